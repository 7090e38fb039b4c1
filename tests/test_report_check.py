"""A provisional report against its scan: what is flagged for review, and above all what is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from search_cases import write_volume
from toy_encoder import ToyEncoder

from encoders.calibration import Measured, OperatingPoint
from encoders.findings import Finding, FindingScore
from encoders.volume import Volume, read_volume
from search_api.query import QueryError
from search_api.report_check import check
from search_api.scan_answers import ReportCheck

NAMES = ("abnormal", "hydrocephalus", "infarct", "meningioma", "haemorrhage")


class FixedScores(ToyEncoder):
    """The toy with the scores that a test gives, and thresholds of 0.8 (specific) and 0.2 (sensitive)."""

    def __init__(self, measured: bool = True, **scores: float) -> None:
        super().__init__()
        self.fixed = scores
        self.is_measured = measured

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(Finding(name, name, (f"there is {name}",), (f"no {name}",)) for name in NAMES)

    def score_series(self, embeddings, sequences, point: OperatingPoint | None = None) -> tuple[FindingScore, ...]:
        threshold = {"specificity": 0.8, "sensitivity": 0.2}[point.aim] if point else 0.5
        return tuple(
            FindingScore(
                finding=name,
                title=name,
                score=self.fixed.get(name, 0.5),
                threshold=threshold if self.is_measured else None,
                flagged=self.is_measured and self.fixed.get(name, 0.5) >= threshold,
                operating_point=str(point) if point else "sensitivity=0.9",
                measured=None,
            )
            for name in NAMES
        )


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    return read_volume(write_volume(tmp_path_factory.mktemp("scan") / "scan_FLAIR.nii.gz", 1))


def test_a_denied_finding_with_a_high_score_is_flagged_for_review(scan: Volume) -> None:
    checked = check(FixedScores(hydrocephalus=0.95), [scan], "Findings: No hydrocephalus. No infarct.")
    assert [(one.text, one.finding, one.score, one.threshold) for one in checked.statements] == [
        ("No hydrocephalus.", "hydrocephalus", 0.95, 0.8)
    ]
    assert "flagged for review" in checked.statements[0].message.casefold()
    assert checked.checked == 2


def test_a_stated_finding_with_a_low_score_is_flagged_for_review(scan: Volume) -> None:
    checked = check(FixedScores(meningioma=0.05), [scan], "Impression: Right frontal meningioma. Acute infarct.")
    assert [(one.finding, one.assertion) for one in checked.statements] == [("meningioma", "present")]


def test_a_normal_study_with_a_high_abnormal_score_is_flagged_for_review(scan: Volume) -> None:
    checked = check(FixedScores(abnormal=0.97), [scan], "Impression: Normal study.")
    assert [one.finding for one in checked.statements] == ["abnormal"]
    assert check(FixedScores(abnormal=0.6), [scan], "Impression: Normal study.").statements == ()


def test_a_finding_that_goes_unmentioned_is_listed(scan: Volume) -> None:
    checked = check(FixedScores(haemorrhage=0.9, infarct=0.9), [scan], "Findings: Acute infarct.")
    assert [(one.finding, one.score, one.threshold) for one in checked.unmentioned] == [("haemorrhage", 0.9, 0.8)]


@pytest.mark.parametrize(
    "report",
    [
        "Findings: Hydrocephalus. No infarct.",
        "Findings: Hydrocephalus cannot be excluded. No infarct.",
        "Indication: ? hydrocephalus. Findings: No infarct.",
        "Findings: Known previous hydrocephalus. No infarct.",
    ],
)
def test_what_lies_between_the_thresholds_or_is_not_asserted_is_left_alone(scan: Volume, report: str) -> None:
    assert check(FixedScores(), [scan], report).statements == ()
    assert check(FixedScores(), [scan], report).unmentioned == ()


def test_without_measured_thresholds_nothing_is_flagged_and_it_is_said(scan: Volume) -> None:
    checked = check(FixedScores(measured=False, hydrocephalus=0.99), [scan], "No hydrocephalus.")
    assert (checked.statements, checked.unmentioned) == ((), ())
    assert any("No finding has a threshold for FLAIR alone" in notice for notice in checked.notices)


@pytest.mark.parametrize(
    ("report", "code"), [("", "empty_report"), (" \n", "empty_report"), ("{\\rtf1 x}", "bad_report")]
)
def test_a_report_that_is_none_has_its_code(scan: Volume, report: str, code: str) -> None:
    with pytest.raises(QueryError) as caught:
        check(FixedScores(), [scan], report)
    assert caught.value.code == code


def test_without_a_scan_only_the_report_is_compared_with_itself() -> None:
    checked = check(FixedScores(hydrocephalus=0.99), [], "FINDINGS:\nNo hydrocephalus.\n\nIMPRESSION:\nHydrocephalus.")
    assert (checked.statements, checked.unmentioned, checked.findings) == ((), (), ())
    assert [one.finding for one in checked.contradictions] == ["hydrocephalus"]
    assert any("No scan was given" in notice for notice in checked.notices)


def test_a_finding_that_the_scan_shows_on_the_other_side_is_flagged(scan: Volume) -> None:
    encoder = FixedScores()
    encoder.encode_series = lambda volume: replace(  # type: ignore[method-assign]
        ToyEncoder.encode_series(encoder, volume), lesions={"tumour": (0.95, 0.05)}
    )
    wrong = check(encoder, [scan], "Impression: Right frontal meningioma.")
    assert [(one.kind, one.finding) for one in wrong.statements] == [("side", "meningioma")]
    assert "left" in wrong.statements[0].message
    for right in ("Left frontal meningioma.", "Meningioma.", "Meningiomas on the left and right.", "No meningioma."):
        assert check(encoder, [scan], f"Impression: {right}").statements == ()


@pytest.mark.parametrize("text", ["The sutures are intact.", "Nothing to add."])
def test_a_text_that_names_nothing_known_is_said_to_be_so(scan: Volume, text: str) -> None:
    checked = check(FixedScores(), [scan], text)
    assert (checked.statements, checked.checked) == ((), 0)
    assert any("English report of a brain MRI" in notice for notice in checked.notices)


def test_the_words_are_for_review_and_never_a_diagnosis(scan: Volume, tmp_path: Path) -> None:
    checked = check(
        FixedScores(hydrocephalus=0.9, meningioma=0.01, haemorrhage=0.9), [scan], "Meningioma. No hydrocephalus."
    )
    assert ReportCheck.from_dict(checked.to_dict()) == checked
    words = " ".join([one.message for one in checked.statements] + [one.message for one in checked.unmentioned])
    assert words
    assert "diagnos" not in words.casefold()
    assert "detected" not in words.casefold()


def test_what_the_scan_has_no_threshold_for_is_not_counted_as_compared_and_is_named(scan: Volume) -> None:
    checked = check(FixedScores(), [scan], "Right frontal meningioma. Colloid cyst. No infarct.")
    assert checked.checked == 2
    assert any(notice.startswith("Not compared") and "cyst" in notice for notice in checked.notices)


def test_false_alarms_are_those_of_the_kind_of_flag(scan: Volume) -> None:
    class Figured(FixedScores):
        def score_series(self, embeddings, sequences, point=None):
            figures = Measured(0.9, 0.7, 100, (0.8, 0.95), (0.6, 0.8), "made up")
            return tuple(replace(one, measured=figures) for one in super().score_series(embeddings, sequences, point))

    checked = check(
        Figured(hydrocephalus=0.95, meningioma=0.05, haemorrhage=0.9), [scan], "No hydrocephalus. Meningioma."
    )
    denied, stated = checked.statements
    assert (denied.kind, denied.false_alarms) == ("denied", (0.3, 0.2, 0.4))
    assert (stated.kind, stated.false_alarms) == ("stated", (0.1, 0.05, 0.2))
    assert checked.unmentioned[0].false_alarms == (0.3, 0.2, 0.4)


def test_a_finding_that_several_sentences_state_is_flagged_once(scan: Volume) -> None:
    checked = check(FixedScores(meningioma=0.05), [scan], "FINDINGS: Frontal meningioma. IMPRESSION: Meningioma.")
    assert [one.text for one in checked.statements] == ["Frontal meningioma."]
