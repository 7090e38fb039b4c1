"""What a network is taught to answer for a scan: the vector of its report, with the commonest directions held back.

Reports differ most by being normal or not, and by a few common diagnoses. Taught as they are, those few directions are
nearly all that a network answers with, and every query sentence that leans their way finds the same scans. So targets
are whitened in part, as zero-phase components analysis does in full (Bell and Sejnowski 1997).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.text_data import sentences
from training.vision_loop import TextVectors

REPORT_SHARE = 0.5  # of the target; the rest is the mean of the report's sentences
HALVED = 10.0  # a direction with so many times the mean variance is held back to half; lesser ones less
FIRST_SEED = 3_500_000  # of phantom reports; no network and no calibration uses seeds from here on

Array = NDArray[np.float32]


def target_of(report: str, parts: Sequence[str], vectors: TextVectors) -> Array:
    """The vector (D,) of a report and its sentences: half the report's own, half the mean of its sentences'."""
    target: Array = REPORT_SHARE * vectors([report])[0] + (1 - REPORT_SHARE) * vectors(parts).mean(axis=0)
    return target


def phantom_targets(vectors: TextVectors, count: int) -> Array:
    """Targets (N, D) of phantom reports for which no scan is made."""
    from training.phantoms.reports import write_report
    from training.phantoms.scenario import draw_facts

    rows = []
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        report = write_report(draw_facts(seed), seed)
        parts = [*sentences(report.findings), *sentences(report.impression)] or [report.text]
        rows.append(target_of(report.text, parts, vectors))
    return np.stack(rows).astype(np.float32)


def whitening(targets: Array) -> Array:
    """Symmetric matrix (D, D) that holds back the directions in which targets (N, D) vary most."""
    covariance = np.cov(targets.T.astype(np.float64))
    mean_variance = float(np.trace(covariance)) / len(covariance)
    held_back = np.linalg.inv(np.eye(len(covariance)) + covariance / (HALVED * max(mean_variance, 1e-12)))
    return np.asarray((held_back + held_back.T) / 2, np.float32)
