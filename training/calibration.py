"""Calibration: Platt scaling and thresholds of a bundle's findings, on examinations that no network was trained on.

These are phantoms, rendered in several MR sequences, encoded and fused as real examinations are, or a site's own
reported examinations. Half of them fit the scaling and choose the thresholds, the other half measure them.
`calibration.json` in the bundle holds the outcome.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.bundle import Bundle
from encoders.calibration import Calibration, ScoreSet, logistic, parse_operating_point
from encoders.sequences import MRSequence, parse_sequence
from encoders.volume import Volume
from indexer.case_store import CaseStore
from indexer.finding_words import stated_findings
from training.worker_processes import process_pool

LEAST_EACH = 8  # with and without a finding, in each half: fewer choose no threshold and measure none
Progress = Callable[[int, int], None]


class CalibrationConfigError(ValueError):
    """A configuration of calibration that cannot be used."""


@dataclass(frozen=True, slots=True)
class CalibrationConfig:
    """How many phantoms, from which seed on, in which MR sequences, and the operating points.

    `seed` must lie outside the seeds that the networks were trained on: the model card names those.
    """

    seed: int
    examinations: int
    sequences: tuple[MRSequence, ...]
    series_per_examination: int
    operating_point: str
    operating_point_abnormal: str
    workers: int


@dataclass(frozen=True, slots=True)
class CalibrationCohort:
    """Fused embeddings (N, D) of examinations, whether each finding is there, (N,) by name, and what they are."""

    embeddings: NDArray[np.float32]
    labels: dict[str, NDArray[np.bool_]]
    data: str


def load_config(path: Path) -> CalibrationConfig:
    """Read the TOML file; an unknown or a missing key is an error."""
    table = tomllib.loads(path.read_text("utf-8"))
    expected = {field.name for field in fields(CalibrationConfig)}
    if set(table) != expected:
        raise CalibrationConfigError(f"Expected the keys {sorted(expected)} in {path.name}, got {sorted(table)}")
    table["sequences"] = tuple(parse_sequence(name) for name in table["sequences"])
    for key in ("operating_point", "operating_point_abnormal"):
        parse_operating_point(table[key])
    return CalibrationConfig(**table)


def calibrate(bundle: Bundle, config: CalibrationConfig, cohort: CalibrationCohort) -> dict[str, Any]:
    """Calibrate every finding of a bundle on a cohort; the document that `calibration.json` holds.

    The first half of the cohort fits the scaling and chooses the thresholds, the second half measures them.
    """
    date = datetime.now(UTC).date().isoformat()
    raw = bundle.raw_scores(cohort.embeddings).astype(np.float64)
    half = len(cohort.embeddings) // 2
    entries: dict[str, Any] = {}
    for finding, scores in zip(bundle.findings, raw, strict=True):
        labels = cohort.labels.get(finding.name)
        if labels is None or min(_fewer(labels[:half]), _fewer(labels[half:])) < LEAST_EACH:
            continue
        point = config.operating_point_abnormal if finding.name == "abnormal" else config.operating_point
        slope, intercept = fit_platt(scores[:half], labels[:half])
        if slope <= 0:  # the score does not rise with the finding: no threshold of it would mean anything
            continue
        scaled = np.array([logistic(slope * score + intercept) for score in scores])
        entries[finding.name] = Calibration(
            slope=slope,
            intercept=intercept,
            operating_point=parse_operating_point(point),
            choosing=_score_set(scaled[:half], labels[:half]),
            measuring=_score_set(scaled[half:], labels[half:]),
            data=f"{len(scaled) - half} {cohort.data}, {date}",
        ).to_dict()
    digest = hashlib.sha256(cohort.embeddings.tobytes()).hexdigest()
    return {"date": date, "encoder_id": bundle.encoder_id, "data_sha256": digest, "findings": entries}


def phantom_cohort(bundle: Bundle, config: CalibrationConfig, progress: Progress) -> CalibrationCohort:
    """Phantom examinations of several series each, encoded and fused by the bundle, in processes of their own."""
    seeds = [config.seed + number for number in range(config.examinations)]
    made: list[tuple[NDArray[np.float32], frozenset[str]]] = []
    encode = partial(_encode_phantom, bundle.folder, config)
    with process_pool(config.workers) as pool:
        for one in pool.map(encode, seeds, chunksize=4):
            made.append(one)
            progress(len(made), len(seeds))
    embeddings, present = zip(*made, strict=True)
    return _cohort(bundle, embeddings, present, f"phantom examinations, seeds from {seeds[len(seeds) // 2]}")


def site_cohort(bundle: Bundle, data: Path) -> CalibrationCohort:
    """The reported examinations of a data directory; what a report states of a finding is taken for the truth.

    People stay whole: all examinations of one are in the same half, give or take the one in the middle.

    Raises
    ------
    CalibrationConfigError
        the data directory holds no vectors of this bundle and reports beside them
    """
    with CaseStore.open(data, read_only=True) as store:
        series = store.embeddings.reported(bundle.encoder_id)
        people = store.participants(series)
        ids = sorted(series, key=lambda row: (hashlib.sha256(people[row].encode()).digest(), row))
        reports = {row: one.report for row, one in store.examinations(ids).items()}
    if not ids:
        raise CalibrationConfigError(
            f"Expected reported examinations encoded by {bundle.encoder_id}, found none; run neurorecall rebuild first"
        )
    fused = [bundle.fuse(np.stack([v for _, v in series[row]]), [name for name, _ in series[row]]) for row in ids]
    stated = [frozenset(stated_findings(report)) if (report := reports[row]) else frozenset() for row in ids]
    return _cohort(bundle, fused, stated, "reported examinations of this site, truth by their reports")


def _cohort(
    bundle: Bundle, embeddings: Sequence[NDArray[np.float32]], present: Sequence[frozenset[str]], data: str
) -> CalibrationCohort:
    labels = {finding.name: np.array([finding.name in found for found in present]) for finding in bundle.findings}
    return CalibrationCohort(np.stack(embeddings), labels, data)


@cache
def worker_bundle(folder: Path) -> Bundle:
    """The bundle of a worker process, read once."""
    torch.set_num_threads(1)
    return Bundle(folder)


def _encode_phantom(folder: Path, config: CalibrationConfig, seed: int) -> tuple[NDArray[np.float32], frozenset[str]]:
    from training.phantoms.contrast import render
    from training.phantoms.pathology import make_phantom

    phantom = make_phantom(seed)
    chosen = np.random.default_rng(seed).choice(
        len(config.sequences), size=config.series_per_examination, replace=False
    )
    sequences = [config.sequences[index] for index in chosen]
    volumes = [Volume.from_voxels(*render(phantom, sequence, seed), sequence) for sequence in sequences]
    return worker_bundle(folder).encode_examination(volumes), phantom.facts.findings


def fit_platt(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and intercept of a logistic fit with Platt's smoothed targets (Platt 1999)."""
    from scipy.optimize import minimize

    positives, negatives = int(labels.sum()), int((~labels).sum())
    targets = np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    scale = float(scores.std()) or 1.0

    def loss(parameters: NDArray[np.float64]) -> float:
        logits = parameters[0] * scores / scale + parameters[1]
        return float((np.logaddexp(0.0, logits) - targets * logits).mean())

    slope, intercept = minimize(loss, np.array([1.0, 0.0]), method="BFGS").x
    return float(slope) / scale, float(intercept)


def write_calibration(folder: Path, document: dict[str, Any]) -> None:
    """Write `calibration.json` into a bundle's folder, whole or not at all."""
    temporary = folder / "calibration.json.tmp"
    temporary.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    temporary.replace(folder / "calibration.json")


def _fewer(labels: NDArray[np.bool_]) -> int:
    """How many there are of the rarer kind."""
    return int(min(labels.sum(), (~labels).sum()))


def _score_set(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> ScoreSet:
    return ScoreSet(np.sort(scores[labels]), np.sort(scores[~labels]))
