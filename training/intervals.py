"""Intervals for figures: bootstrap over the things that were measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000


def bootstrap_interval(statistic: Callable[[NDArray[np.int64]], float], n: int, seed: int = 1) -> tuple[float, float]:
    """95 % percentile interval of a statistic of row numbers, over resamples of the n rows.

    Resamples in which the statistic is not defined (not a number) are left out.
    """
    generator = np.random.default_rng(seed)
    values = [statistic(generator.integers(0, n, n)) for _ in range(RESAMPLES)]
    defined = [value for value in values if np.isfinite(value)]
    if not defined:
        return float("nan"), float("nan")
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)


def mean_interval(
    values: NDArray[np.float64], groups: Sequence[str] | None = None, seed: int = 1
) -> tuple[float, float]:
    """95 % bootstrap interval of the mean of values (N,).

    Values of one group (the scans of one person) are not independent: with `groups` (N names) whole groups are drawn.
    """
    members = _members(len(values), groups)
    return bootstrap_interval(
        lambda rows: float(values[np.concatenate([members[row] for row in rows])].mean()), len(members), seed
    )


def wilson_interval(hits: int, total: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927), which holds near 0 and 1 as well; (0, 1) for nothing counted.

    >>> low, high = wilson_interval(0, 100)
    >>> round(low, 3), round(high, 3)
    (0.0, 0.037)
    """
    if not total:
        return 0.0, 1.0
    share, z = hits / total, 1.959964
    centre = share + z * z / (2 * total)
    spread = z * float(np.sqrt(share * (1 - share) / total + z * z / (4 * total * total)))
    scale = 1 + z * z / total
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def area_under_curve(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counting half."""
    from scipy.stats import rankdata

    positives, negatives = int(labels.sum()), int((~labels).sum())
    if not positives or not negatives:
        return float("nan")
    ranks = rankdata(scores)
    return float((ranks[labels].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def area_with_interval(
    scores: NDArray[np.float64], labels: NDArray[np.bool_], groups: Sequence[str] | None = None, seed: int = 1
) -> tuple[float, float, float]:
    """Area under the ROC curve and its 95 % bootstrap interval; with `groups` whole groups are drawn."""
    members = _members(len(scores), groups)

    def area_of(drawn: NDArray[np.int64]) -> float:
        rows = np.concatenate([members[row] for row in drawn])
        return area_under_curve(scores[rows], labels[rows])

    return area_under_curve(scores, labels), *bootstrap_interval(area_of, len(members), seed)


def _members(count: int, groups: Sequence[str] | None) -> list[NDArray[np.int64]]:
    """The rows of each group; every row is its own where there are no groups."""
    names = np.arange(count) if groups is None else np.array(groups)
    return [np.flatnonzero(names == name) for name in np.unique(names)]
