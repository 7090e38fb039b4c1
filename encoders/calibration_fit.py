"""How raw scores are made into one calibrated score: shares of the networks, and a logistic scaling.

Both are fitted to the examinations that thresholds are chosen on; which those are is left to `calibration_set`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from encoders.calibration import area_under_curve

Array = NDArray[np.float64]
# How strongly a finding's shares of the networks are drawn to the usual ones. Of five strengths from 0.003 to 0.3 this
# told findings best in choosing examinations that were left out of the fit.
DRAWN = 0.01
FOLDS = 4
LEAST_WEIGHT = 1e-6  # below it all weights are nought


def network_shares(weights: Sequence[float], networks: Sequence[int] | NDArray[np.int64]) -> Array:
    """The weights of these networks in a fusion, as shares of their sum."""
    chosen = np.asarray(weights, np.float64)[list(networks)]
    return np.asarray(chosen / chosen.sum())


def choose_shares(scores: Array, labels: NDArray[np.bool_], usual: Array) -> tuple[Array, Array]:
    """Shares (K,) by which K networks' scores (N, K) are summed to tell labels (N,), and the sums (N,) of these.

    Each sum is by shares that were fitted without it, so that a threshold chosen on the sums is not too hopeful. Where
    these tell no more than the usual shares, the usual are kept.
    """
    as_usual, mean = scores @ usual, scores.mean(axis=0)
    folds = np.empty(len(labels), np.int64)
    folds[np.argsort(labels, kind="stable")] = np.arange(len(labels)) % FOLDS
    apart = np.zeros(len(labels))
    for fold in range(FOLDS if len(usual) > 1 else 0):
        left_out = folds == fold
        apart[left_out] = (scores[left_out] - mean) @ fit_shares(scores[~left_out], labels[~left_out], usual)
    if len(usual) == 1 or _area(apart, labels) <= _area(as_usual, labels):
        return usual, as_usual
    shares = fit_shares(scores, labels, usual)
    return shares, apart + mean @ shares


def fit_shares(scores: Array, labels: NDArray[np.bool_], usual: Array) -> Array:
    """Shares (K,) of K networks by a logistic fit of their scores (N, K) to labels (N,), drawn to the usual shares.

    No weight is below zero; where all would be, the usual shares are given.
    """
    from scipy.optimize import minimize

    standard = scores - scores.mean(axis=0)  # networks differ in their mean, which says nothing
    standard /= float(standard.std()) or 1.0
    targets = _smoothed(labels)
    apart = np.eye(len(usual)) - usual[:, None]  # of weights w, how far they lie from the usual shares of their sum
    pull = DRAWN * apart.T @ apart

    def loss(values: Array) -> tuple[float, Array]:
        weights, logits = values[:-1], standard @ values[:-1] + values[-1]
        wrong = 1 / (1 + np.exp(-logits)) - targets
        slopes = np.append(standard.T @ wrong / len(wrong) + 2 * pull @ weights, wrong.mean())
        return float((np.logaddexp(0.0, logits) - targets * logits).mean() + weights @ pull @ weights), slopes

    bounds = [*[(0.0, None)] * len(usual), (None, None)]
    weights = minimize(loss, np.append(usual, 0.0), jac=True, method="L-BFGS-B", bounds=bounds).x[:-1]
    return np.asarray(weights / weights.sum()) if weights.sum() > LEAST_WEIGHT else usual


def fit_platt(scores: Array, labels: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and intercept of a logistic fit with Platt's smoothed targets (Platt 1999).

    The slope is never negative: a score that falls where the finding is there says nothing, and becomes its prevalence.
    """
    from scipy.optimize import minimize

    targets = _smoothed(labels)
    scale = float(scores.std()) or 1.0

    def loss(parameters: Array) -> float:
        logits = parameters[0] * scores / scale + parameters[1]
        return float((np.logaddexp(0.0, logits) - targets * logits).mean())

    bounds = ((0.0, None), (None, None))
    slope, intercept = minimize(loss, np.array([1.0, 0.0]), method="L-BFGS-B", bounds=bounds).x
    return float(slope) / scale, float(intercept)


def _smoothed(labels: NDArray[np.bool_]) -> Array:
    positives, negatives = int(labels.sum()), int((~labels).sum())
    return np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2))


def _area(scores: Array, labels: NDArray[np.bool_]) -> float:
    return area_under_curve(scores[labels], np.sort(scores[~labels]))
