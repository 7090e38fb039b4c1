"""Reports of phantoms: every finding that is present is stated, none that is absent is, in every style and spelling."""

from __future__ import annotations

import re

import pytest

from training.phantoms.facts import FINDINGS, Abnormality, Facts, Pathology
from training.phantoms.negatives import denials
from training.phantoms.reports import statements, write_report
from training.phantoms.scenario import draw_facts

# What a reader takes as naming the finding.
CUES = {
    "hydrocephalus": r"hydrocephal|ventriculomegaly|dilat(at)?ion of the ventric",
    "infarct": r"infarct|ischa?emia\b|ischa?emic stroke|lacune|encephalomalacia",
    "white_matter_lesions": r"demyelinat|multiple sclerosis",
    "small_vessel_disease": r"small vessel|leukoaraiosis|microangiopath",
    "glioma": r"glioma|glioblastoma|residual",
    "meningioma": r"meningioma|dural-based",
    "haemorrhage": r"ha?emorrhage|ha?ematoma|subarachnoid blood",
    "metastases": r"metasta",
    "abscess": r"abscess",
    "schwannoma": r"schwannoma",
    "pituitary_mass": r"macroadenoma",
    "cyst": r"\bcyst\b",
    "cavernoma": r"cavernoma|cavernous malformation",
    "atrophy": r"atrophy|generali[sz]ed cerebral volume loss|volume loss of|global volume loss",
    "mass_effect": r"mass effect|midline shift|effacement|compressed|displaced",
}
NEGATED = re.compile(r"\b(no|not|without|normal)\b", re.IGNORECASE)
SEEDS = range(400)


def stated(text: str) -> set[str]:
    """Findings named by sentences that deny nothing."""
    sentences = re.split(r"(?<=[.:])\s+|\n", text)
    return {
        name
        for name, cue in CUES.items()
        for sentence in sentences
        if re.search(cue, sentence, re.IGNORECASE) and not NEGATED.search(sentence)
    }


def body_of(facts: Facts, seed: int) -> str:
    report = write_report(facts, seed)
    return f"{report.findings}\n{report.impression}"


def test_reports_state_what_is_present() -> None:
    for seed in SEEDS:
        facts = draw_facts(seed)
        missing = {name for name in CUES if facts.labels[name]} - stated(body_of(facts, seed)) - {"mass_effect"}
        assert not missing, f"seed {seed}: {missing} not stated in\n{body_of(facts, seed)}"


def test_reports_never_state_what_is_absent() -> None:
    for seed in SEEDS:
        facts = draw_facts(seed)
        invented = stated(body_of(facts, seed)) - {name for name in CUES if facts.labels[name]}
        assert not invented, f"seed {seed}: {invented} invented in\n{body_of(facts, seed)}"


def test_the_impression_of_an_abnormal_examination_names_the_diagnosis() -> None:
    for seed in SEEDS:
        facts = draw_facts(seed)
        first = next((item.finding for item in facts.abnormalities if item.finding), None)
        if first:
            assert first in stated(write_report(facts, seed).impression), write_report(facts, seed).impression


def test_a_normal_examination_is_called_normal() -> None:
    for seed in range(100):
        facts = draw_facts(seed, pathologies=())
        assert re.search(
            r"normal|no (significant |acute )?intracranial abnormality|unremarkable",
            write_report(facts, seed).impression,
            re.IGNORECASE,
        )


@pytest.mark.parametrize("pathology", Pathology, ids=str)
def test_statements_hold_for_the_facts(pathology: Pathology) -> None:
    for seed in range(30):
        facts = draw_facts(seed, pathologies=(pathology,))
        said = statements(facts, seed)
        assert {one.finding for one in said} <= set(FINDINGS)
        for one in said:
            assert facts.labels[one.finding] is one.present, one
        present = {one.finding for one in said if one.present}
        assert present >= {name for name in FINDINGS if facts.labels[name]}


def test_nothing_present_can_be_denied() -> None:
    for seed in SEEDS:
        facts = draw_facts(seed)
        assert not [name for name in FINDINGS if facts.labels[name] and denials(name, facts)]


def test_side_site_and_size_are_those_of_the_facts() -> None:
    for seed in range(150):
        facts = draw_facts(seed, pathologies=(Pathology.HIGH_GRADE_GLIOMA,))
        item = facts.abnormalities[0]
        report = write_report(facts, seed)
        assert f"{item.side} {item.site.split()[0]}" in f"{report.findings} {report.impression}".lower()
        for number, unit in re.findall(r"(\d+(?:\.\d)?)(?: x [\d.]+)? (mm|cm)\b", report.findings):
            length = float(number) * (10 if unit == "cm" else 1)
            assert min(abs(length - known) for known in (item.size_mm or 0, item.shift_mm)) <= 1.0, report.findings


def test_reports_vary_in_style_and_spelling_but_not_by_chance() -> None:
    facts = draw_facts(3, pathologies=(Pathology.HAEMORRHAGE,))
    texts = [write_report(facts, seed).text for seed in range(60)]
    assert len(set(texts)) > 50
    assert any("haem" in text.lower() for text in texts)
    assert any("hemorrhage" in text.lower() or "hematoma" in text.lower() for text in texts)
    assert not any("haem" in text.lower() and "hemorrhage" in text.lower().replace("haemorrhage", "") for text in texts)
    assert write_report(facts, 7) == write_report(facts, 7)


def test_enhancement_is_only_reported_where_contrast_was_given() -> None:
    facts = draw_facts(3, pathologies=(Pathology.MENINGIOMA,))
    plain = Facts(facts.age, facts.sex, facts.abnormalities, ("T1w", "FLAIR"))
    assert not any("enhanc" in write_report(plain, seed).findings for seed in range(40))
    given = Facts(facts.age, facts.sex, facts.abnormalities, ("T1w", "T1w post contrast"))
    assert any("enhanc" in write_report(given, seed).findings for seed in range(40))


def test_no_report_states_a_size_twice_in_a_row() -> None:
    for seed in range(20_000, 20_400):
        text = write_report(draw_facts(seed), seed).text
        assert not re.search(r"(\d+ (?:mm|cm))[^.]*\. It measures \1", text), text


def test_what_lies_on_both_sides_has_no_one_side() -> None:
    left = Abnormality(Pathology.INFARCT, "left", "frontal", stage="acute")
    right = Abnormality(Pathology.INFARCT, "right", "frontal", stage="chronic")
    meningioma = Abnormality(Pathology.MENINGIOMA, "midline", "falx")
    assert Facts(60, "F", (left, right, meningioma)).one_sided == {"acute_infarct": "left", "chronic_infarct": "right"}
    assert Facts(60, "F", (left,)).one_sided == {"infarct": "left", "acute_infarct": "left"}
