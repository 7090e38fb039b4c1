"""The teaching matter and what training makes of it: triples, denials, opposites pushed apart."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from training.curves import draw_curves
from training.finding_names import FindingNames
from training.matching_pairs import draws
from training.matching_text import MatchingText, gather
from training.opposition import BROADER, NORMAL, contradicting, contradicts
from training.precision import autocast
from training.section_matching import SectionMatchingConfig, draw_batch, opposition_loss
from training.statements import Statements, all_training_texts, read_statements
from training.text_data import Record, TextCollection
from training.text_loop import StageResult
from training.written_cases import read_cases


@pytest.fixture(scope="module")
def statements() -> Statements:
    return read_statements()


@pytest.fixture(scope="module")
def matter(statements: Statements) -> MatchingText:
    findings = "There is a mass of the left temporal lobe. No haemorrhage or hydrocephalus. The sulci are normal."
    record = Record("k", "g", "made", "open", "case", "case", findings, findings, "Meningioma.", ())
    return gather(TextCollection(corpus=(record,), pairs=(record,)), 0, 0, statements)


def test_the_teaching_matter_covers_the_field(statements: Statements) -> None:
    names = {finding.name for finding in statements.findings}
    assert len(statements.trainable) > 200
    assert len(statements.reports) > 250
    assert {
        "hydrocephalus",
        "normal pressure hydrocephalus",
        "acute infarct",
        "meningioma",
        "multiple sclerosis",
    } <= names
    for finding in statements.trainable:
        assert finding.described
        assert finding.normal
        assert len(finding.names) > 1, finding.name


def test_an_unseen_finding_is_no_subject_of_the_teaching(statements: Statements) -> None:
    unseen = [finding for finding in statements.findings if finding.unseen]
    assert len(unseen) >= 12
    names = [name for finding in unseen for name in finding.names if len(name) > 4]
    taught = [text for text in all_training_texts(statements) if any(name in text.lower() for name in names)]
    # A broken skull "with pneumocephalus" is the one place where such a name stands beside something else.
    assert len(taught) <= 1
    assert {finding.name for finding in unseen}.isdisjoint(finding.name for finding in statements.trainable)


def test_written_cases_leave_their_names_out_of_the_texts_and_teach_no_unseen_finding(statements: Statements) -> None:
    names = FindingNames(statements)
    cases, macros = read_cases(statements, names)
    assert len(cases) > 800
    assert len(macros) > 100
    firsts = [case.names[0].lower() for case in cases]
    assert len(set(firsts)) > 1000
    for case in cases:
        assert len(case.texts) >= 4
        assert not [text for text in case.texts if case.names[0].lower() in text.lower()], case.names[0]
    unseen = {f"present:{finding.name}" for finding in statements.findings if finding.unseen}
    said = [*(text for case in cases for text in (*case.names, *case.says)), *(macro.impression for macro in macros)]
    assert not [text for text in said if unseen & names.keys(text)]


def test_texts_of_one_case_are_no_negatives_of_each_other(matter: MatchingText) -> None:
    one, other, *_ = [section for section in matter.cases if section.names == matter.cases[0].names]
    assert one.findings != other.findings
    assert not contradicts(one.keys, other.keys)
    normal = [section for section in matter.written if section.impression.lower().startswith("normal")]
    assert contradicts(normal[-1].keys, normal[-2].keys)


def test_parts_of_findings_are_drawn_only_where_single_sentences_are(matter: MatchingText) -> None:
    def drawn(*, single: bool) -> set[str]:
        config = SectionMatchingConfig(single_sentences=single)
        kinds = draws(replace(matter, written=(), cases=()), config)
        chance = random.Random(1)
        return {kinds[0][1](chance).positive.text for _ in range(60)}

    whole = matter.pairs[0].findings
    assert drawn(single=False) == {whole}
    assert {whole, "There is a mass of the left temporal lobe."} < drawn(single=True)


def test_kinds_are_no_negatives_of_what_they_belong_to(statements: Statements) -> None:
    names = FindingNames(statements)
    assert not contradicts(names.keys("glioblastoma"), names.keys("glioma"))
    assert contradicts(names.keys("glioblastoma"), names.keys("meningioma"))
    assert contradicts(names.keys("glioma"), names.keys("glioma", are_present=False))


def test_contradictions_by_matrix_are_those_of_the_rule() -> None:
    chance = random.Random(3)
    every = ["present:a", "absent:a", "present:b", "absent:b", NORMAL, f"{BROADER}present:a", f"{BROADER}absent:b"]
    keys = [frozenset(chance.sample(every, chance.choice((1, 2, 3)))) for _ in range(60)]
    assert contradicting(keys).tolist() == [[contradicts(one, other) for other in keys] for one in keys]


def test_reports_are_read_for_what_they_state_and_deny(matter: MatchingText) -> None:
    (pair,) = matter.pairs
    assert pair.names == ("Meningioma",)
    assert "There is a mass of the left temporal lobe." in pair.stating
    assert not any("haemorrhage" in sentence for sentence in pair.stating)
    denial = next(one for one in matter.denials if one.clause.startswith("No haemorrhage or hydrocephalus"))
    assert set(denial.names) == {"hemorrhage", "hydrocephalus"}


def test_a_batch_has_negatives_only_where_opposition_is_taught(matter: MatchingText) -> None:
    for single in (True, False):
        config = SectionMatchingConfig(single_sentences=single)
        batch = draw_batch(draws(matter, config), 40, random.Random(1))
        assert len(batch) == 40
        assert sum(triple.negative is not None for triple in batch) > 10
        for triple in batch:
            if triple.negative is not None:
                assert contradicts(triple.anchor.keys, triple.negative.keys)


def test_opposites_are_pushed_apart_and_no_further_than_the_margin() -> None:
    anchor = torch.tensor([[1.0, 0.0]])
    near = opposition_loss(torch.cat([anchor, anchor, anchor]), [0], 1, 0.0)
    far = opposition_loss(torch.cat([anchor, anchor, -anchor]), [0], 1, 0.0)
    assert float(near) == pytest.approx(1.0)
    assert float(far) == 0.0
    assert float(opposition_loss(torch.cat([anchor, anchor]), [], 1, 0.0)) == 0.0


def test_bf16_is_used_only_where_the_processor_has_it() -> None:
    with autocast(torch.device("cpu")):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    has = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    assert product.dtype == (torch.bfloat16 if has else torch.float32)


def test_curves_are_drawn_for_every_stage(tmp_path: Path) -> None:
    stage = StageResult("section_matching", tuple(1 / step for step in range(1, 50)), 12.0)
    assert draw_curves([stage, replace(stage, name="masked_language")], tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert not draw_curves([], tmp_path / "none.png")
