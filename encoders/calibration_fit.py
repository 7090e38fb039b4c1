"""How raw scores are made into one calibrated score: shares of the networks, and a logistic scaling."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

DRAWN = 0.01  # how strongly a finding's shares of the networks are drawn to the usual ones
LEAST_WEIGHT = 1e-6


def network_shares(weights: Sequence[float], networks: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float64]:
    """The weights of these networks in a fusion, as shares of their sum."""
    chosen = np.asarray(weights, np.float64)[list(networks)]
    return np.asarray(chosen / chosen.sum())


def fit_shares(
    scores: NDArray[np.float64], labels: NDArray[np.bool_], usual: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Shares (K,) by which K networks' scores (N, K) are summed to tell labels (N,); `usual` where they tell nothing.

    A logistic fit with weights of zero and more, drawn to the usual shares: a few examples shall not turn them over.
    """
    from scipy.optimize import minimize

    if len(usual) == 1:
        return usual
    standard = (scores - scores.mean(axis=0)) / (float(scores.std()) or 1.0)
    targets = _smoothed(labels)
    apart = np.eye(len(usual)) - usual[:, None]  # of weights w, how far they lie from the usual shares of their sum
    pull = DRAWN * apart.T @ apart

    def loss(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights, logits = values[:-1], standard @ values[:-1] + values[-1]
        wrong = 1 / (1 + np.exp(-logits)) - targets
        slopes = np.append(standard.T @ wrong / len(wrong) + 2 * pull @ weights, wrong.mean())
        return float((np.logaddexp(0.0, logits) - targets * logits).mean() + weights @ pull @ weights), slopes

    bounds = [*[(0.0, None)] * len(usual), (None, None)]
    weights = minimize(loss, np.append(usual, 0.0), jac=True, method="L-BFGS-B", bounds=bounds).x[:-1]
    return np.asarray(weights / weights.sum()) if weights.sum() > LEAST_WEIGHT else usual


def fit_platt(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and intercept of a logistic fit with Platt's smoothed targets (Platt 1999).

    The slope is never negative: a score that falls where the finding is there says nothing, and becomes its prevalence.
    """
    from scipy.optimize import minimize

    targets = _smoothed(labels)
    scale = float(scores.std()) or 1.0

    def loss(parameters: NDArray[np.float64]) -> float:
        logits = parameters[0] * scores / scale + parameters[1]
        return float((np.logaddexp(0.0, logits) - targets * logits).mean())

    bounds = ((0.0, None), (None, None))
    slope, intercept = minimize(loss, np.array([1.0, 0.0]), method="L-BFGS-B", bounds=bounds).x
    return float(slope) / scale, float(intercept)


def _smoothed(labels: NDArray[np.bool_]) -> NDArray[np.float64]:
    positives, negatives = int(labels.sum()), int((~labels).sum())
    return np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2))
