"""The ids of terms in the shipped catalogue of findings, against the public terminologies that they are from."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import encoders
from encoders.bundle import PRETRAINED
from encoders.catalogue import load_findings

CATALOGUE = PRETRAINED / "findings.toml"
AMERICAN = {"haemorrh": "hemorrh", "oedema": "edema", "haema": "hema", "tumour": "tumor", "ischaem": "ischem"}
DOUBTFUL = {"OIFM_GMTS_025620", "DOID:4706", "DOID:9427", "OIFM_CDE_000194"}


def plain(name: str) -> str:
    """A name in American spelling, without case and punctuation."""
    name = name.casefold().replace("_", " ")
    for british, american in AMERICAN.items():
        name = name.replace(british, american)
    return name


@pytest.fixture(scope="module")
def terms(shared_mri: Path) -> dict[str, tuple[str, ...]]:
    """Names by id; of ids of the Disease Ontology and of finding models without the source's prefix."""
    with gzip.open(shared_mri.parent / "text" / "terms.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    bare = [(row["id"].removeprefix("do:").removeprefix("oifm:"), tuple(row["labels"])) for row in rows]
    return dict(bare)


def radlex(ids: tuple[str, ...]) -> bool:
    return any(one.startswith("radlex:") for one in ids)


@pytest.mark.shared
def test_every_id_is_one_of_the_terminologies_and_says_which(terms: dict[str, tuple[str, ...]]) -> None:
    text = CATALOGUE.read_text("utf-8")
    for finding in load_findings(CATALOGUE):
        for identity in (*finding.terms, *finding.narrower):
            assert f'"{identity}",  # {terms[identity][0]}\n' in text, (finding.name, identity)
            if identity.startswith("radlex:"):
                assert identity == "radlex:" + hashlib.sha1(terms[identity][0].encode()).hexdigest()[:10]  # noqa: S324


@pytest.mark.shared
def test_no_term_of_radlex_that_has_a_finding_s_name_is_left_out(terms: dict[str, tuple[str, ...]]) -> None:
    names = {plain(name): identity for identity, (name, *_) in terms.items() if identity.startswith("radlex:")}
    for finding in load_findings(CATALOGUE):
        said = {
            *finding.present,
            finding.title,
            finding.name,
            *(one.removeprefix("there is ") for one in finding.present),
        }
        for name in {plain(one) for one in said} & set(names):
            assert names[name] in (*finding.terms, *finding.narrower), (finding.name, name)


def test_the_catalogue_says_for_which_findings_radlex_has_a_term() -> None:
    findings = load_findings(CATALOGUE)
    same = [one.name for one in findings if radlex(one.terms)]
    kinds = [one.name for one in findings if not radlex(one.terms) and radlex(one.narrower)]
    neither = [one.name for one in findings if not radlex((*one.terms, *one.narrower))]
    assert {"herniation", "schwannoma", "subarachnoid_haemorrhage", "tuberous_sclerosis"} == set(same)
    assert {"chiari_malformation", "meningioma", "pituitary_mass"} < set(kinds)
    head = CATALOGUE.read_text("utf-8").partition("[[finding]]")[0]
    said = " ".join(line.removeprefix("#") for line in head.splitlines()).split()
    lists = " ".join(said)
    for names in (same, kinds, neither):
        assert ", ".join(names) in lists
    assert not DOUBTFUL & {identity for one in findings for identity in one.terms}


def test_ids_and_dates_change_neither_the_encoder_nor_what_scores_are_of(tmp_path: Path) -> None:
    home = tmp_path / "bundle"
    shutil.copytree(PRETRAINED, home)
    shipped = encoders.load(PRETRAINED)
    catalogue = home / "findings.toml"
    catalogue.write_text(catalogue.read_text("utf-8").replace('"radlex:', '"elsewhere:'), "utf-8")
    assert shipped.calibration_set is not None
    replace(shipped.calibration_set, date="2001-01-01").save(home, shipped.encoder_id)
    other = encoders.load(home)
    assert other.findings != shipped.findings
    assert (other.encoder_id, other.scoring_id) == (shipped.encoder_id, shipped.scoring_id)
    catalogue.write_text(catalogue.read_text("utf-8").replace("no hydrocephalus", "hydrocephalus is absent"), "utf-8")
    assert encoders.load(home).scoring_id != shipped.scoring_id
    present = {name: ~row for name, row in shipped.calibration_set.present.items()}
    replace(shipped.calibration_set, present=present).save(home, shipped.encoder_id)
    shutil.copyfile(CATALOGUE, catalogue)
    assert encoders.load(home).scoring_id != shipped.scoring_id
