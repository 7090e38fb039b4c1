"""The findings that a bundle scores: their names, their prompts, and how a similarity becomes a calibrated score.

A finding's raw score is how much nearer an embedding lies to sentences that state the finding than to sentences that
deny it. Calibration (made by `training.calibration`, stored in the bundle) turns that into 0-1 and gives the threshold
with the figures that were measured for it. Without measured figures a finding has no threshold and is never flagged.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ABNORMAL = "abnormal"


class FindingsError(ValueError):
    """A catalogue or calibration file that cannot be used; says what was found, where, and what was expected."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A named abnormality with sentences that state it and sentences that deny it."""

    name: str
    title: str
    present: tuple[str, ...]
    absent: tuple[str, ...]
    radlex: str | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured at a threshold: proportions 0-1 with 95 % intervals, and how many examinations."""

    sensitivity: float
    specificity: float
    n: int
    sensitivity_interval: tuple[float, float]
    specificity_interval: tuple[float, float]
    data: str


@dataclass(frozen=True, slots=True)
class Calibration:
    """Platt scaling of one finding's raw score, and its threshold on the calibrated scale."""

    slope: float
    intercept: float
    threshold: float
    operating_point: str
    measured: Measured


@dataclass(frozen=True, slots=True)
class FindingScore:
    """One finding of one examination: a calibrated score 0-1, flagged where it reaches the measured threshold."""

    finding: str
    title: str
    score: float
    threshold: float | None
    flagged: bool
    operating_point: str | None
    measured: Measured | None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FindingScore:
        measured = data.get("measured")
        return cls(
            finding=str(data["finding"]),
            title=str(data.get("title", data["finding"])),
            score=float(data["score"]),
            threshold=None if data.get("threshold") is None else float(data["threshold"]),
            flagged=bool(data["flagged"]),
            operating_point=data.get("operating_point"),
            measured=None if measured is None else _measured(measured),
        )


def load_findings(path: Path) -> tuple[Finding, ...]:
    """Read a catalogue (TOML, one `[[finding]]` table each); `abnormal` comes first and must be there."""
    try:
        tables = tomllib.loads(path.read_text("utf-8")).get("finding", [])
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise FindingsError(f"Expected a catalogue of findings in {path.name}, got: {error}") from error
    findings = tuple(_finding(table, path.name) for table in tables)
    names = [finding.name for finding in findings]
    if not names or names[0] != ABNORMAL or len(set(names)) != len(names):
        raise FindingsError(f"Expected unique findings in {path.name} that begin with '{ABNORMAL}', got {names}")
    return findings


def load_calibrations(path: Path) -> dict[str, Calibration]:
    """Read `calibration.json`; an absent file means that nothing is calibrated."""
    if not path.exists():
        return {}
    try:
        entries = json.loads(path.read_text("utf-8"))["findings"]
        return {
            name: Calibration(
                slope=float(entry["slope"]),
                intercept=float(entry["intercept"]),
                threshold=float(entry["threshold"]),
                operating_point=str(entry["operating_point"]),
                measured=_measured(entry["measured"]),
            )
            for name, entry in entries.items()
        }
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise FindingsError(f"Expected calibrated findings in {path.name}, got: {error!r}") from error


def raw_scores(
    embeddings: NDArray[np.float32], present: NDArray[np.float32], absent: NDArray[np.float32]
) -> NDArray[np.float32]:
    """How much nearer each embedding is to the stating than to the denying sentences.

    Parameters
    ----------
    embeddings : (N, D) unit length
    present, absent : (P, D) and (A, D) unit length

    Returns
    -------
    (N,) mean cosine to `present` minus mean cosine to `absent`, in -2..2
    """
    difference: NDArray[np.float32] = embeddings @ (present.mean(axis=0) - absent.mean(axis=0))
    return difference


def finding_score(finding: Finding, raw: float, calibration: Calibration | None) -> FindingScore:
    """A raw score with its calibration; without one the score is the plain logistic, with no threshold."""
    if calibration is None:
        return FindingScore(finding.name, finding.title, _logistic(raw), None, False, None, None)
    score = _logistic(calibration.slope * raw + calibration.intercept)
    return FindingScore(
        finding=finding.name,
        title=finding.title,
        score=score,
        threshold=calibration.threshold,
        flagged=score >= calibration.threshold,
        operating_point=calibration.operating_point,
        measured=calibration.measured,
    )


def _finding(table: Mapping[str, Any], where: str) -> Finding:
    unknown = set(table) - {"name", "title", "present", "absent", "radlex"}
    if unknown:
        raise FindingsError(f"Unknown key {sorted(unknown)} of a finding in {where}")
    present, absent = tuple(table.get("present", ())), tuple(table.get("absent", ()))
    if not table.get("name") or not present or not absent:
        raise FindingsError(
            f"Expected a name, present and absent sentences for each finding in {where}, got {dict(table)}"
        )
    return Finding(table["name"], table.get("title", table["name"]), present, absent, table.get("radlex"))


def _measured(entry: Mapping[str, Any]) -> Measured:
    return Measured(
        sensitivity=float(entry["sensitivity"]),
        specificity=float(entry["specificity"]),
        n=int(entry["n"]),
        sensitivity_interval=_interval(entry["sensitivity_interval"]),
        specificity_interval=_interval(entry["specificity_interval"]),
        data=str(entry["data"]),
    )


def _interval(pair: Any) -> tuple[float, float]:
    low, high = pair
    return float(low), float(high)


def _logistic(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-min(max(value, -60.0), 60.0)))
