"""Catalogues of findings: what is refused and in which words, and a site's own findings from its file to its labels."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy_encoder import ToyEncoder

import encoders
from encoders.bundle import PRETRAINED
from encoders.catalogue import OWN, FindingsError, load_findings
from indexer.case_store import CaseStore
from indexer.cases import CaseFilter, Draft, Section
from indexer.finding_words import stated_findings
from indexer.rebuild import rebuild
from indexer.report_text import make_report

ABNORMAL = "[[finding]]\nname = 'abnormal'\npresent = ['a lesion']\nabsent = ['normal']\n"
OWN_TEXT = """
[[finding]]
name = "colpocephaly"
title = "colpocephaly"
present = ["there is colpocephaly", "disproportionate enlargement of the occipital horns"]
absent = ["no colpocephaly", "the occipital horns are of normal size"]
kind_of = "abnormal"
words = ["colpocephal"]
"""
REPORT = make_report({Section.FINDINGS: "Marked colpocephaly. No hydrocephalus.", Section.IMPRESSION: "Colpocephaly."})


def entry(**changed: str) -> str:
    lines = {"name": "'x'", "present": "['an x']", "absent": "['no x']"} | changed
    return ABNORMAL + "[[finding]]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            entry(present="'colpocephaly'"),
            "list of present sentences as `present` of the finding 'x' in f.toml, got",
        ),
        (entry(absent="['no x', 3]"), "list of absent sentences as `absent` of the finding 'x'"),
        (entry(name="3"), "Expected a name of small letters.* for finding 2 in f.toml, got int '3'"),
        (entry(name="'Big Name'"), "Expected a name of small letters"),
        (entry(title="3"), "Expected a text as the title of the finding 'x' in f.toml, got int"),
        (entry(kind_of="'x'"), "`kind_of` of the finding 'x' in f.toml to name another finding, got 'x'"),
        (entry(kind_of="'nothing'"), "to name another finding, got 'nothing'"),
        (entry(kind_of="3"), "`kind_of` of the finding 'x' in f.toml, got int"),
        (entry(absent="['an x']"), "other absent than present sentences for the finding 'x'"),
        (entry(terms="'DOID:1'"), "list of ids as `terms` of the finding 'x' in f.toml, got str"),
        (entry(words="'x'"), "list of words as `words` of the finding 'x'"),
        (entry(colour="'red'"), r"Unknown key \['colour'\] of the finding 'x' in f.toml; known are name"),
        (entry(name="'abnormal'"), "every finding once in f.toml, got 'abnormal' twice"),
        ("finding = 3\n", r"\[\[finding\]\] tables in f.toml, got 3"),
    ],
)
def test_a_wrong_entry_is_refused_with_its_name(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "f.toml").write_text(text, "utf-8")
    with pytest.raises(FindingsError, match=message):
        load_findings(tmp_path / "f.toml")


def test_a_binary_file_is_no_toml(tmp_path: Path) -> None:
    (tmp_path / "f.toml").write_bytes(b"\x80\x81\xff\x00")
    with pytest.raises(FindingsError, match=r"findings in f.toml, got bytes that are no TOML"):
        load_findings(tmp_path / "f.toml")


def test_own_findings_stand_beside_the_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(OWN, raising=False)
    shipped = encoders.load(PRETRAINED)
    (tmp_path / "own.toml").write_text(OWN_TEXT, "utf-8")
    monkeypatch.setenv(OWN, str(tmp_path / "own.toml"))
    bundle = encoders.load(PRETRAINED)
    assert [one.name for one in bundle.findings] == [*(one.name for one in shipped.findings), "colpocephaly"]
    assert bundle.encoder_id == shipped.encoder_id
    assert bundle.scoring_id != shipped.scoring_id
    there, not_there = bundle.raw_scores(bundle.encode_texts(["there is colpocephaly", "no colpocephaly"]))[-1]
    assert there > not_there
    (tmp_path / "own.toml").write_text(OWN_TEXT.replace('name = "colpocephaly"', 'name = "glioma"'), "utf-8")
    replaced = encoders.load(PRETRAINED).findings
    assert len(replaced) == len(shipped.findings)
    assert next(one for one in replaced if one.name == "glioma").title == "colpocephaly"


def test_reports_state_own_findings_from_the_next_rebuild_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(OWN, raising=False)
    assert REPORT is not None
    with CaseStore.open(tmp_path / "data") as store:
        store.put(Draft(participant="one", session=None, source="site", report=REPORT))
    assert "colpocephaly" not in stated_findings(REPORT)
    (tmp_path / "own.toml").write_text(OWN_TEXT, "utf-8")
    with monkeypatch.context() as patch:
        patch.setenv(OWN, str(tmp_path / "own.toml"))
        assert stated_findings(REPORT) == ("abnormal", "colpocephaly")
        rebuild(tmp_path / "data", ToyEncoder())
        assert having(tmp_path / "data") == 1
    rebuild(tmp_path / "data", ToyEncoder())
    assert having(tmp_path / "data") == 0


def having(data: Path) -> int:
    with CaseStore.open(data, read_only=True) as store:
        return len(store.matching(CaseFilter(finding="colpocephaly")))
