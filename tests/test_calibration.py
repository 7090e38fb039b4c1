"""Calibration: thresholds reach what they aim at on the first set and are measured on the second."""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path

import numpy as np
import pytest

from encoders.calibration import (
    Calibration,
    CalibrationError,
    OperatingPoint,
    ScoreSet,
    UnreachableError,
    parse_operating_point,
    wilson_interval,
)
from encoders.calibration_fit import fit_platt
from encoders.catalogue import FindingsError, load_findings
from encoders.findings import Finding, finding_score, raw_scores
from training.calibration import CalibrationConfigError, load_config
from training.intervals import area_under_curve, area_with_interval, mean_interval

FINDING = Finding("abnormal", "abnormal examination", ("there is a lesion",), ("no lesion",))


def calibration(seed: int = 0) -> Calibration:
    generator = np.random.default_rng(seed)

    def scores() -> ScoreSet:
        return ScoreSet(np.sort(generator.beta(5, 2, 200)), np.sort(generator.beta(2, 5, 300)))

    return Calibration(3.0, -0.5, OperatingPoint("sensitivity", 0.9), scores(), scores(), "made up for this test")


@pytest.mark.parametrize("value", [0.5, 0.8, 0.9, 0.95, 0.99])
def test_a_threshold_reaches_its_operating_point_on_the_choosing_set_and_no_more_than_needed(value: float) -> None:
    calibrated = calibration()
    present, absent = calibrated.choosing.present, calibrated.choosing.absent
    sensitive = calibrated.threshold(OperatingPoint("sensitivity", value))
    assert (present >= sensitive).mean() >= value
    assert (present > sensitive).mean() < value
    specific = calibrated.threshold(OperatingPoint("specificity", value))
    assert (absent < specific).mean() >= value
    assert (absent < np.nextafter(specific, 0) - 1e-9).mean() < value


@pytest.mark.parametrize("prevalence", [0.1, 0.5])
def test_a_threshold_reaches_its_predictive_value_and_no_other_does_sooner(prevalence: float) -> None:
    calibrated = calibration()
    present, absent = calibrated.choosing.present, calibrated.choosing.absent

    def values(threshold: float) -> tuple[float, float]:
        sensitivity, specificity = (present >= threshold).mean(), (absent < threshold).mean()
        alarms = wilson_interval(int((absent >= threshold).sum()), len(absent))[1]
        misses = wilson_interval(int((present < threshold).sum()), len(present))[1]
        true, false = prevalence * sensitivity, (1 - prevalence) * alarms
        right, missed = (1 - prevalence) * specificity, prevalence * misses
        return float(true / (true + false)), float(right / (right + missed)) if right else 0.0

    scores = np.unique(np.concatenate([present, absent]))
    positive = calibrated.threshold(OperatingPoint("ppv", 0.6, prevalence))
    assert values(positive)[0] >= 0.6
    assert all(values(score)[0] < 0.6 for score in scores[scores < positive])
    negative = calibrated.threshold(OperatingPoint("npv", 0.95, prevalence))
    assert values(negative)[1] >= 0.95
    assert all(values(score)[1] < 0.95 for score in scores[scores > negative])


def test_an_unreachable_predictive_value_flags_nothing() -> None:
    scores = ScoreSet(np.linspace(0.48, 0.6, 40), np.linspace(0.4, 0.6, 40))
    useless = Calibration(1.0, 0.0, OperatingPoint("sensitivity", 0.9), scores, scores, "made up")
    point = OperatingPoint("ppv", 0.9, 0.1)
    with pytest.raises(UnreachableError):
        useless.threshold(point)
    score = finding_score(FINDING, 9.0, useless, point)
    assert (score.threshold, score.flagged, score.measured, score.operating_point) == (None, False, None, "ppv=0.9@0.1")
    assert score.note is not None
    best = float(re.fullmatch(r"ppv=0.9@0.1 cannot be reached: the best that is reached is (0\.\d+)\.", score.note)[1])
    reached = useless.threshold(OperatingPoint("ppv", best, 0.1))
    assert finding_score(FINDING, 9.0, useless, OperatingPoint("ppv", best + 0.001, 0.1)).threshold is None
    assert 0 < reached < 1


def test_a_sensitivity_that_few_examples_cannot_show_is_told_from_their_tail() -> None:
    generator = np.random.default_rng(6)
    missed, lowest = [], []
    for _ in range(2000):
        logits = generator.logistic(1.0, 0.6, 30)
        present = np.sort(1 / (1 + np.exp(-logits)))
        scores = ScoreSet(present, np.array([0.1, 0.2]))
        threshold = Calibration(1.0, 0.0, OperatingPoint("sensitivity", 0.99), scores, scores, "").threshold(
            OperatingPoint("sensitivity", 0.99)
        )
        assert threshold <= present[0]
        further = generator.logistic(1.0, 0.6, 100)
        missed.append(float((1 / (1 + np.exp(-further)) < threshold).mean()))
        lowest.append(float((1 / (1 + np.exp(-further)) < present[0]).mean()))
    assert np.mean(lowest) == pytest.approx(1 / 31, abs=0.005)  # what the lowest of thirty promises
    assert 0.005 < np.mean(missed) < 0.02  # aimed at 0.01: the tail of seven is not known better


def test_the_miss_rate_is_kept_over_many_draws_of_the_choosing_set() -> None:
    generator = np.random.default_rng(5)
    absent = np.array([0.1, 0.2])
    missed = []
    for _ in range(3000):
        drawn = ScoreSet(np.sort(generator.beta(2, 2, 29)), absent)
        threshold = Calibration(1.0, 0.0, OperatingPoint("miss_rate", 0.1), drawn, drawn, "").threshold(
            OperatingPoint("miss_rate", 0.1)
        )
        missed.append(generator.beta(2, 2) < threshold)
    assert np.mean(missed) == pytest.approx(0.1, abs=0.02)
    few = ScoreSet(np.array([0.7, 0.8]), absent)
    point = OperatingPoint("miss_rate", 0.1)
    with pytest.raises(UnreachableError, match=r"miss_rate=0.1 cannot be reached: the best that is reached is 0.33"):
        Calibration(1.0, 0.0, point, few, few, "").threshold(point)


def test_figures_are_measured_on_the_other_set() -> None:
    calibrated = calibration()
    threshold = calibrated.threshold(calibrated.operating_point)
    measured = calibrated.measured(threshold)
    assert measured.sensitivity == pytest.approx((calibrated.measuring.present >= threshold).mean(), abs=1e-4)
    assert measured.specificity == pytest.approx((calibrated.measuring.absent < threshold).mean(), abs=1e-4)
    assert measured.n == 500
    assert measured.sensitivity_interval[0] <= measured.sensitivity <= measured.sensitivity_interval[1]


def test_a_finding_is_flagged_from_its_threshold_on_and_carries_the_figures() -> None:
    calibrated = calibration()
    high = finding_score(FINDING, 2.0, calibrated)
    low = finding_score(FINDING, -2.0, calibrated)
    assert high.flagged and not low.flagged
    assert high.measured is not None and high.operating_point == "sensitivity=0.9"
    assert type(high).from_dict(json.loads(json.dumps(high.to_dict()))) == high
    strict = finding_score(FINDING, 0.2, calibrated, OperatingPoint("specificity", 0.99))
    assert strict.operating_point == "specificity=0.99"


def test_a_finding_that_is_not_told_keeps_its_score_and_loses_its_threshold() -> None:
    generator = np.random.default_rng(5)
    chance = ScoreSet(np.sort(generator.uniform(0, 1, 30)), np.sort(generator.uniform(0, 1, 200)))
    untold = Calibration(1.0, 0.0, OperatingPoint("specificity", 0.9), chance, chance, "made up")
    assert not untold.told
    assert calibration().told
    score = finding_score(FINDING, 5.0, untold)
    assert score.threshold is None and score.measured is None and not score.flagged
    assert score.score == pytest.approx(0.9933, abs=1e-3)
    assert score.note is not None and "never flagged" in score.note


@pytest.mark.parametrize(("shift", "told"), [(0.0, False), (0.3, False), (1.5, True)])
def test_told_follows_the_interval_of_the_area(shift: float, told: bool) -> None:
    rank = statistics.NormalDist().inv_cdf
    present, absent = (np.array([rank((i + 0.5) / n) for i in range(n)]) for n in (15, 150))
    scores = ScoreSet(present + shift, absent)
    assert Calibration(1.0, 0.0, OperatingPoint("specificity", 0.9), scores, scores, "").told is told


@pytest.mark.parametrize("text", ["", "sensitivity", "sensitivity=", "sensitivity=1", "sensitivity=nan", "recall=0.9"])
def test_an_operating_point_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(CalibrationError, match=r"sensitivity=0\.95"):
        parse_operating_point(text)


def test_platt_scaling_orders_as_the_raw_scores_do_and_is_calibrated() -> None:
    generator = np.random.default_rng(2)
    labels = generator.random(4000) < 0.3
    raw = generator.normal(0, 0.1, 4000) + 0.1 * labels
    slope, intercept = fit_platt(raw, labels)
    scores = 1 / (1 + np.exp(-(slope * raw + intercept)))
    assert slope > 0
    for low in np.arange(0.1, 0.7, 0.1):
        bin_ = (scores >= low) & (scores < low + 0.1)
        assert labels[bin_].mean() == pytest.approx(scores[bin_].mean(), abs=0.1)


def test_raw_scores_prefer_the_side_that_an_embedding_lies_on() -> None:
    present, absent = np.eye(4, dtype=np.float32)[:1], np.eye(4, dtype=np.float32)[1:2]
    assert raw_scores(np.concatenate([present, absent]), present, absent).tolist() == [1.0, -1.0]


def test_intervals_hold_what_they_should() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)
    assert wilson_interval(10, 10)[1] == 1.0
    scores, labels = np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])
    assert area_under_curve(scores, labels) == 0.75
    area, low, high = area_with_interval(np.tile(scores, 20), np.tile(labels, 20))
    assert low <= area <= high
    values = np.repeat([0.0, 1.0, 1.0, 0.0], 10)
    grouped = mean_interval(values, [str(row // 10) for row in range(40)])
    alone = mean_interval(values)
    assert grouped[1] - grouped[0] > alone[1] - alone[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[finding]]\nname='mass'\npresent=['a']\nabsent=['b']\n", "begin with 'abnormal'"),
        ("[[finding]]\nname='abnormal'\npresent=['a']\n", "absent sentences"),
        ("[[finding]]\nname='abnormal'\npresent=['a']\nabsent=['b']\ncolour='red'\n", "Unknown key"),
        ("[[finding", "Expected a catalogue"),
    ],
)
def test_a_catalogue_that_cannot_be_used_says_why(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "findings.toml").write_text(text)
    with pytest.raises(FindingsError, match=message):
        load_findings(tmp_path / "findings.toml")


def test_the_configuration_refuses_unknown_keys(tmp_path: Path) -> None:
    shipped = Path(__file__).parent.parent / "training" / "configs" / "calibration.toml"
    assert load_config(shipped).examinations > 0
    (tmp_path / "wrong.toml").write_text(shipped.read_text() + "\ncolour = 1\n")
    with pytest.raises(CalibrationConfigError, match="colour"):
        load_config(tmp_path / "wrong.toml")
