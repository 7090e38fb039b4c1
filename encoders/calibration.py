"""From a raw score to a calibrated one, a threshold, and the figures that were measured for that threshold.

A finding's calibration keeps the calibrated scores of two sets of examinations that no network was trained on: the
threshold of an operating point is chosen on the first, its sensitivity and specificity are measured on the second. How
those sets are made is left to `training.calibration`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

AIMS = ("sensitivity", "specificity")
Z95 = 1.959964  # the normal quantile of a two-sided 95 % interval


class CalibrationError(ValueError):
    """A calibration or an operating point that cannot be used; says what was found and what was expected."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured at a threshold: proportions 0-1 with 95 % Wilson intervals, n examinations, of which data."""

    sensitivity: float
    specificity: float
    n: int
    sensitivity_interval: tuple[float, float]
    specificity_interval: tuple[float, float]
    data: str

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Measured:
        return cls(
            sensitivity=float(entry["sensitivity"]),
            specificity=float(entry["specificity"]),
            n=int(entry["n"]),
            sensitivity_interval=_pair(entry["sensitivity_interval"]),
            specificity_interval=_pair(entry["specificity_interval"]),
            data=str(entry["data"]),
        )


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What a threshold shall reach: `sensitivity` or `specificity`, and the value (0-1) aimed at."""

    aim: str
    value: float

    def __str__(self) -> str:
        return f"{self.aim}={self.value:g}"


@dataclass(frozen=True, slots=True)
class ScoreSet:
    """Calibrated scores of examinations that have a finding, and of those that have it not; both sorted."""

    present: NDArray[np.float64]
    absent: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Platt scaling of one finding's raw score, and the two score sets behind its thresholds."""

    slope: float
    intercept: float
    operating_point: OperatingPoint
    choosing: ScoreSet
    measuring: ScoreSet
    data: str

    def score(self, raw: float) -> float:
        """Calibrated score, 0-1."""
        return logistic(self.slope * raw + self.intercept)

    def threshold(self, point: OperatingPoint) -> float:
        """The score from which on a finding is flagged, so that the first set reaches the operating point."""
        if point.aim == "sensitivity":
            missed = math.floor((1.0 - point.value) * len(self.choosing.present) + 1e-9)
            return float(self.choosing.present[min(missed, len(self.choosing.present) - 1)])
        passed = math.ceil(point.value * len(self.choosing.absent) - 1e-9)
        below = float(self.choosing.absent[max(passed - 1, 0)])
        return float(np.nextafter(below, 2.0))

    def measured(self, threshold: float) -> Measured:
        """Sensitivity and specificity of a threshold on the second set."""
        hits = int((self.measuring.present >= threshold).sum())
        passed = int((self.measuring.absent < threshold).sum())
        n_present, n_absent = len(self.measuring.present), len(self.measuring.absent)
        return Measured(
            sensitivity=round(hits / n_present, 4),
            specificity=round(passed / n_absent, 4),
            n=n_present + n_absent,
            sensitivity_interval=wilson_interval(hits, n_present),
            specificity_interval=wilson_interval(passed, n_absent),
            data=self.data,
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "slope": self.slope,
            "intercept": self.intercept,
            "operating_point": str(self.operating_point),
            "choosing": _scores_to_dict(self.choosing),
            "measuring": _scores_to_dict(self.measuring),
            "data": self.data,
        }


def parse_operating_point(text: str) -> OperatingPoint:
    """Read `sensitivity=0.95` or `specificity=0.9`.

    >>> parse_operating_point("sensitivity=0.95")
    OperatingPoint(aim='sensitivity', value=0.95)
    """
    aim, _, number = text.partition("=")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if aim.strip() not in AIMS or not 0.0 < value < 1.0:
        raise CalibrationError(f"Expected an operating point such as sensitivity=0.95, got '{text[:40]}'")
    return OperatingPoint(aim.strip(), value)


def load_calibrations(path: Path) -> dict[str, Calibration]:
    """Read `calibration.json` of a bundle; without the file nothing is calibrated."""
    if not path.exists():
        return {}
    try:
        entries = json.loads(path.read_text("utf-8"))["findings"]
        return {name: _calibration(entry) for name, entry in entries.items()}
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise CalibrationError(f"Expected calibrated findings in {path.name}, got: {error!r}") from error


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927).

    >>> wilson_interval(9, 10)
    (0.5958, 0.9821)
    """
    if trials == 0:
        return 0.0, 1.0
    share, spread = successes / trials, Z95**2 / trials
    centre = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    return round(max(centre - half, 0.0), 4), round(min(centre + half, 1.0), 4)


def logistic(value: float) -> float:
    """1 / (1 + exp(-value)), without overflow."""
    return 1.0 / (1.0 + math.exp(-min(max(value, -60.0), 60.0)))


def _calibration(entry: Mapping[str, Any]) -> Calibration:
    sets = [
        ScoreSet(*(np.sort(np.asarray(entry[name][side], np.float64)) for side in ("present", "absent")))
        for name in ("choosing", "measuring")
    ]
    if not all(len(side) for scores in sets for side in (scores.present, scores.absent)):
        raise CalibrationError("Expected scores of examinations with and without the finding, got none")
    return Calibration(
        slope=float(entry["slope"]),
        intercept=float(entry["intercept"]),
        operating_point=parse_operating_point(entry["operating_point"]),
        choosing=sets[0],
        measuring=sets[1],
        data=str(entry["data"]),
    )


def _scores_to_dict(scores: ScoreSet) -> dict[str, list[float]]:
    return {"present": scores.present.round(4).tolist(), "absent": scores.absent.round(4).tolist()}


def _pair(values: Any) -> tuple[float, float]:
    low, high = values
    return float(low), float(high)
