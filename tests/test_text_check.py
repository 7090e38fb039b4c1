"""A report against itself: what contradicts, and the many ways of agreeing that must be left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from encoders.bundle import PRETRAINED
from encoders.catalogue import load_findings
from indexer.report_text import make_report
from search_api.text_check import contradictions, cross_checked
from training.phantoms.reports import write_report
from training.phantoms.scenario import draw_facts
from training.report_errors import ERRORS


def found(findings: str, impression: str) -> list[tuple[str, str]]:
    report = make_report({}, f"FINDINGS:\n{findings}\n\nIMPRESSION:\n{impression}")
    assert report is not None
    return [(one.kind, one.finding) for one in contradictions(report)]


@pytest.mark.parametrize(
    ("findings", "impression", "expected"),
    [
        ("Acute infarct in the left thalamus.", "No infarct.", ("presence", "infarct")),
        ("No hydrocephalus.", "Hydrocephalus.", ("presence", "hydrocephalus")),
        ("There is a right frontal meningioma.", "Left frontal meningioma.", ("side", "meningioma")),
        ("Mass in the left temporal lobe.", "Glioma of the right temporal lobe.", ("side", "temporal")),
        ("Marked hydrocephalus.", "Normal study.", ("presence", "hydrocephalus")),
        ("3 cm mass of the left temporal lobe.", "Normal MRI of the brain.", ("presence", "mass")),
        ("Left temporal mass, likely glioma.", "No intracranial mass.", ("presence", "mass")),
        ("Acute infarct in the left thalamus.", "No acute intracranial abnormality.", ("presence", "infarct")),
        ("No midline shift.", "Large infarct with 8 mm midline shift.", ("presence", "mass_effect")),
        ("Enhancing mass in the left frontal lobe.", "Right frontal glioma.", ("side", "frontal")),
        ("Left frontal glioma with midline shift.", "Right frontal glioma.", ("side", "glioma")),
        ("Marked hydrocephalus.", "No intracranial abnormality.", ("presence", "hydrocephalus")),
        ("Mild hydrocephalus.", "Severe hydrocephalus.", ("severity", "hydrocephalus")),
        ("Severe generalised atrophy.", "Minimal atrophy.", ("severity", "atrophy")),
    ],
)
def test_what_contradicts_is_brought_up(findings: str, impression: str, expected: tuple[str, str]) -> None:
    assert expected in found(findings, impression)


@pytest.mark.parametrize(
    ("findings", "impression"),
    [
        ("Old infarct in the left thalamus.", "No acute infarct."),
        ("Left frontal haemorrhage.", "No new haemorrhage."),
        ("Left frontal haemorrhage. No right-sided haemorrhage.", "Left frontal haemorrhage."),
        ("No haemorrhage on the right. Left frontal haemorrhage.", "Haemorrhage."),
        ("Meningiomas on the left and on the right.", "Left frontal meningioma."),
        ("Bilateral subdural haematomas.", "Left subdural haematoma."),
        ("Left temporal lobe mass. The right temporal lobe is normal.", "Mass of the left temporal lobe."),
        ("No small vessel disease. Lacune in the left thalamus.", "Lacunar infarct in the left thalamus."),
        ("Prominent perivascular spaces.", "Normal study."),
        ("Chronic infarct.", "No acute intracranial abnormality."),
        ("Acute infarct in the left pons.", "Acute pontine infarct accounting for right facial weakness."),
        ("Haemorrhage in the left thalamus.", "Thalamic haemorrhage, right frontal EVD in place."),
        ("Left convexity subdural haematoma.", "Subdural haematoma displacing the brain to the right."),
        ("Acute infarct in the left occipital lobe. Old infarcts.", "Old right cerebellar infarct."),
        ("Infarct in the right occipital lobe, cyst in the left frontal lobe.", "Atrophy of the right frontal lobe."),
        ("Old haemorrhage in the left thalamus.", "No fresh bleed."),
        ("No haemorrhagic transformation.", "Old left thalamic haemorrhage, unchanged."),
        ("No meningioma other than the known left frontal one.", "Stable left frontal meningioma."),
        ("Scattered white matter hyperintensities.", "No evidence of demyelinating disease."),
        ("No brain metastasis.", "Known lung cancer with liver metastases."),
        ("No hydrocephalus.", "Treated hydrocephalus."),
        ("No mass of the cerebellopontine angles.", "Right frontal glioma."),
        ("Mild atrophy.", "No disproportionate hippocampal atrophy."),
        ("Moderate hydrocephalus.", "Marked hydrocephalus."),
        ("Mild hydrocephalus. Severe atrophy.", "Severe atrophy with mild hydrocephalus."),
        ("Mild atrophy. Severe hippocampal atrophy.", "Severe atrophy."),
        ("Mild oedema around a glioma.", "Glioma with marked oedema and mass effect."),
        ("Hydrocephalus.", ""),
        ("", "Hydrocephalus."),
    ],
)
def test_what_agrees_is_left_alone(findings: str, impression: str) -> None:
    assert found(findings, impression) == []


def test_untouched_phantom_reports_are_left_alone_and_changed_sides_are_mostly_found() -> None:
    sides = []
    for seed in range(60_000, 60_150):
        facts = draw_facts(seed)
        report = make_report({}, write_report(facts, seed).text)
        assert report is not None and contradictions(report) == (), seed
        changed = ERRORS["side changes between sections"](facts, seed)
        if changed is not None:
            read = make_report({}, changed)
            sides.append(read is not None and bool(contradictions(read)))
    assert sum(sides) > 0.7 * len(sides) > 20


def test_what_contradicts_is_counted_as_compared() -> None:
    report = make_report({}, "FINDINGS: Right frontal mass. The patient moved.\nIMPRESSION: Left frontal mass.")
    assert report is not None
    assert [one.kind for one in contradictions(report)] == ["side"]
    assert len(cross_checked(report)) == 2


def test_each_kind_of_error_changes_the_report_and_only_where_it_can() -> None:
    for seed in range(61_000, 61_040):
        facts = draw_facts(seed)
        own = write_report(facts, seed).text
        for kind, error in ERRORS.items():
            text = error(facts, seed)
            assert text != own, kind
            assert text == error(facts, seed)
            if not facts.labels["abnormal"] and kind not in ("false finding", "another examination's report"):
                assert text is None, kind


def blocks(name: str) -> list[str]:
    parts = (Path(__file__).parent / "data" / name).read_text("utf-8").split("\n### ")[1:]
    return [part.partition("\n")[2] for part in parts]


def test_tricky_reports_that_agree_are_left_alone_and_most_that_do_not_are_found() -> None:
    """The rules were written with these in view: they hold what was reached, and measure nothing new."""
    catalogue = load_findings(PRETRAINED / "findings.toml")
    agreeing, not_agreeing = (
        [bool(contradictions(report, catalogue)) for text in blocks(name) if (report := make_report({}, text))]
        for name in ("consistent_reports.txt", "contradictory_reports.txt")
    )
    assert sum(agreeing) <= 2 and len(agreeing) > 150
    assert sum(not_agreeing) >= 37 and len(not_agreeing) > 50
