"""From a raw score to a calibrated one, a threshold, and the figures that were measured for that threshold.

A finding's calibration keeps the calibrated scores of two sets of examinations that no network was trained on: networks
are weighed and the threshold of an operating point is chosen on the first, its sensitivity and specificity are measured
on the second.
Where those come from is left to `calibration_set`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

AIMS = ("sensitivity", "specificity", "miss_rate", "ppv", "npv")
PREDICTIVE = ("ppv", "npv")
TAIL = 0.25  # of the scores: what would lie below all of them is told from these
Z95 = 1.959964  # the normal quantile of a two-sided 95 % interval


class CalibrationError(ValueError):
    """A calibration or an operating point that cannot be used; says what was found and what was expected."""


class UnreachableError(CalibrationError):
    """No threshold reaches an operating point on the examinations that thresholds are chosen on."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured at a threshold: proportions 0-1 with 95 % Wilson intervals, n examinations, of which data."""

    sensitivity: float
    specificity: float
    n: int
    sensitivity_interval: tuple[float, float]
    specificity_interval: tuple[float, float]
    data: str

    def predictive_values(self, prevalence: float) -> tuple[float, float]:
        """Positive and negative predictive value where a share `prevalence` of the examinations has the finding.

        >>> Measured(0.9, 0.8, 100, (0.8, 0.95), (0.7, 0.9), "").predictive_values(0.5)
        (0.8182, 0.8889)
        """
        true, false = prevalence * self.sensitivity, (1 - prevalence) * (1 - self.specificity)
        right, missed = (1 - prevalence) * self.specificity, prevalence * (1 - self.sensitivity)
        positive = true / (true + false) if true + false else math.nan
        negative = right / (right + missed) if right + missed else math.nan
        return round(positive, 4), round(negative, 4)

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
    """What a threshold shall reach, and the value (0-1) aimed at.

    `sensitivity`, `specificity`, `ppv` or `npv` (predictive values, which also need a prevalence) as measured on the
    choosing set, where a sensitivity that would miss none of it is told from its tail; or `miss_rate`: the chance of
    missing a further examination with the finding, which the threshold keeps at or below the value whatever the
    scores' distribution (split-conformal: Vovk, Gammerman, Shafer 2005). That is so for one kind of MR sequence; for
    several it is so nearly, since they are weighed by the same examinations.
    """

    aim: str
    value: float
    prevalence: float | None = None

    def __str__(self) -> str:
        return f"{self.aim}={self.value:g}" + ("" if self.prevalence is None else f"@{self.prevalence:g}")


@dataclass(frozen=True, slots=True)
class ScoreSet:
    """Calibrated scores of examinations that have a finding, and of those that have it not; both sorted."""

    present: NDArray[np.float64]
    absent: NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """Platt scaling of one finding's raw score, and the two score sets behind its thresholds.

    The raw score is a sum over the networks, in order of their rows, each weighed by its `shares`, which sum to one;
    of an examination that was fused before there is one.
    """

    slope: float
    intercept: float
    operating_point: OperatingPoint
    choosing: ScoreSet
    measuring: ScoreSet
    data: str
    shares: tuple[float, ...] = (1.0,)

    @cached_property
    def told(self) -> bool:
        """Whether the score tells the finding from its absence at all, in the choosing and in the measuring set.

        That is where the area under the ROC curve lies above one half, by its 95 % interval (Hanley and McNeil 1982).
        """
        return all(_above_chance(scores) for scores in (self.choosing, self.measuring))

    def score(self, raw: float) -> float:
        """Calibrated score, 0-1."""
        return logistic(self.slope * raw + self.intercept)

    def threshold(self, point: OperatingPoint) -> float:
        """The score from which on a finding is flagged, so that the first set reaches the operating point.

        Raises
        ------
        UnreachableError
            no threshold reaches a predictive value, or keeps a miss rate but by flagging all; says the best there is
        """
        if point.aim == "miss_rate":
            further = len(self.choosing.present) + 1
            allowed = math.floor(point.value * further + 1e-9)
            if not allowed:
                raise UnreachableError(f"{point} cannot be reached: the best that is reached is {1 / further:.2g}")
            return float(self.choosing.present[allowed - 1])
        if point.aim in PREDICTIVE:
            return self._predictive_threshold(point)
        if point.aim == "sensitivity":
            missed = math.floor((1.0 - point.value) * len(self.choosing.present) + 1e-9)
            if not missed:  # fewer than one of these: the lowest says little of where the tail ends
                return min(float(self.choosing.present[0]), _lower_tail(self.choosing.present, 1.0 - point.value))
            return float(self.choosing.present[min(missed, len(self.choosing.present) - 1)])
        passed = math.ceil(point.value * len(self.choosing.absent) - 1e-9)
        below = float(self.choosing.absent[max(passed - 1, 0)])
        return float(np.nextafter(below, 2.0))

    def _predictive_threshold(self, point: OperatingPoint) -> float:
        """The lowest threshold that reaches a positive, or the highest that reaches a negative predictive value.

        What speaks against it, false alarms or misses, is taken at the upper end of its 95 % interval: that a few
        examinations showed none does not mean that there are none.
        """
        present, absent = self.choosing.present, self.choosing.absent
        candidates = np.unique(np.concatenate([present, absent]))
        share = 0.5 if point.prevalence is None else point.prevalence
        missed, passed = np.searchsorted(present, candidates), np.searchsorted(absent, candidates)
        with np.errstate(invalid="ignore"):
            if point.aim == "ppv":
                flagged = share * (1 - missed / len(present))
                alarms = [wilson_interval(len(absent) - int(count), len(absent))[1] for count in passed]
                values = flagged / (flagged + (1 - share) * np.array(alarms))
                reached = candidates[values >= point.value]
            else:
                right = (1 - share) * passed / len(absent)
                misses = [wilson_interval(int(count), len(present))[1] for count in missed]
                values = right / (right + share * np.array(misses))
                reached = candidates[values >= point.value][::-1]
        if not len(reached):
            best = math.floor(1000 * float(np.nanmax(values))) / 1000  # never rounded up to what is not reached
            raise UnreachableError(f"{point} cannot be reached: the best that is reached is {best:.3f}")
        return float(reached[0])

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


def _lower_tail(scores: NDArray[np.float64], share: float) -> float:
    """The score below which a `share` of further ones would lie, by the lowest quarter of these, which are sorted.

    Logits below that quarter's end are taken to fall off exponentially (peaks over a threshold, Pickands 1975).
    """
    kept = np.clip(scores, 1e-9, 1 - 1e-9)
    logits = np.log(kept / (1 - kept))
    end = float(np.quantile(logits, TAIL))
    tail = logits[logits <= end]
    return logistic(end - float((end - tail).mean()) * math.log(max(TAIL / share, 1.0)))


def area_under_curve(present: NDArray[np.float64], absent: NDArray[np.float64]) -> float:
    """How often a score of `present` lies above one of `absent`, which are sorted; ties count half."""
    below = np.searchsorted(absent, present, "left") + np.searchsorted(absent, present, "right")
    return float(below.mean()) / (2 * len(absent))


def _above_chance(scores: ScoreSet) -> bool:
    present, absent = scores.present, scores.absent
    area = area_under_curve(present, absent)
    of_present, of_absent = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (len(present) - 1) * (of_present - area**2)
    spread += (len(absent) - 1) * (of_absent - area**2)
    return area - Z95 * math.sqrt(max(spread, 0.0) / (len(present) * len(absent))) > 0.5


def parse_operating_point(text: str) -> OperatingPoint:
    """Read `sensitivity=0.95`, `specificity=0.9`, `miss_rate=0.05`, or `ppv=0.8@0.1` at a prevalence of one in ten.

    >>> str(parse_operating_point("sensitivity=0.95")), str(parse_operating_point("npv=0.99@0.3"))
    ('sensitivity=0.95', 'npv=0.99@0.3')
    """
    name, _, number = text.partition("=")
    aim, (value, at, prevalence) = name.strip(), number.partition("@")
    if aim in AIMS and _share(value) and (_share(prevalence) if aim in PREDICTIVE else not at):
        return OperatingPoint(aim, float(value), float(prevalence) if at else None)
    raise CalibrationError(
        "Expected an operating point such as sensitivity=0.95, specificity=0.9, miss_rate=0.05 or ppv=0.8@0.1 "
        f"(at a prevalence), got '{text[:40]}'"
    )


def _share(text: str) -> bool:
    try:
        return text.isascii() and 0.0 < float(text) < 1.0
    except ValueError:
        return False


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


def _pair(values: Any) -> tuple[float, float]:
    low, high = values
    return float(low), float(high)
