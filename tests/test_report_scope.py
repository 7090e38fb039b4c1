"""What of a report can be checked: that phantoms' own reports lose nothing to the rules, with and without errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexer.body_parts import is_elsewhere, other_part
from indexer.cases import Section
from indexer.language import is_foreign
from indexer.report_text import make_report
from search_api.report_scope import scope_of
from training.phantoms.reports import write_report
from training.phantoms.scenario import draw_facts
from training.report_errors import ERRORS

CHECKED = (Section.FINDINGS, Section.IMPRESSION, Section.BODY)


def test_reports_of_phantoms_lose_nothing_so_that_the_figures_of_the_check_are_not_moved() -> None:
    read = 0
    for seed in range(63_000, 63_040):
        facts = draw_facts(seed)
        texts = [write_report(facts, seed).text, *(error(facts, seed) for error in ERRORS.values())]
        for text in filter(None, texts):
            report = make_report({}, text)
            assert report is not None
            scope = scope_of(report)
            assert (scope.outside, scope.notices, scope.report) == (None, (), report), text
            elsewhere = [one.text for one in report.sentences if one.section in CHECKED and is_elsewhere(one.text)]
            assert elsewhere == []
            read += 1
    assert read > 200


@pytest.mark.parametrize("name", ["consistent_reports.txt", "contradictory_reports.txt"])
def test_written_brain_reports_are_of_the_brain_and_in_english(name: str) -> None:
    """CT and MRI, with sinuses, orbits, skull and known tumours of other organs in them."""
    texts = (Path(__file__).parent / "data" / name).read_text("utf-8").split("\n### ")[1:]
    reports = [make_report({}, text.partition("\n")[2]) for text in texts]
    assert len(reports) > 50
    assert [report.text for report in reports if report and (other_part(report) or is_foreign(report.text))] == []


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("CT chest, abdomen and pelvis.\nFindings: No metastases.", "the chest"),
        ("Findings: The heart is normal. The lungs are clear.", "the chest"),
        ("Technique: MRI of the brain and of the cervical spine.\nFindings: C5/6 disc protrusion.", None),
        ("Findings: Frontal sinusitis. Clear lungs.", None),
        ("Impression: Normal study.", None),
        ("Known lung cancer, staging MRI. Multiple cerebral metastases.", None),
        ("Neck pain, MRI.\nFindings: No infarct in either hemisphere. The ventricles are normal.", None),
        ("MRI left shoulder\nImpression: Normal.", "the limbs and joints"),
        ("History: MRI knee last year, chest pain.\nFindings: No infarct.", None),
    ],
)
def test_the_part_of_the_body_is_told_by_title_and_anatomy(text: str, part: str | None) -> None:
    report = make_report({}, text)
    assert report is not None and other_part(report) == part
