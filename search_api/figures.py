"""What was measured for a threshold, in words: the same on the command line and on the pages.

Proportions stand with their 95 % interval, the number of examinations, the data and its date.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from encoders.calibration import Measured
from encoders.findings import UNTOLD, UNTOLD_THERE, FindingScore

_BEGUN = {
    UNTOLD: "Not told from their absence by these MR sequences where that was measured, so never flagged",
    UNTOLD_THERE: "Flagged no more often with it than without at this operating point, so never flagged",
}


def percent(share: float) -> str:
    """A share in whole percent, never rounded up to all of it nor down to none.

    >>> percent(0.954), percent(0.9991), percent(1.0), percent(0.0031)
    ('95 %', '99 %', '100 %', '0.31 %')
    """
    if 0 < share < 0.01:
        return f"{100 * share:.2g} %"
    return f"{min(round(share * 100), 99) if share < 1.0 else 100} %"


def with_interval(share: float, ends: tuple[float, float]) -> str:
    """A share with the ends of its interval.

    >>> with_interval(0.954, (0.91, 0.974))
    '95 % (91–97 %)'
    """
    low, high = ends
    return f"{percent(share)} ({percent(low).removesuffix(' %')}–{percent(high)})"


def figures(measured: Measured | None) -> str:
    """Sensitivity and specificity with their intervals; empty where nothing was measured."""
    if measured is None:
        return ""
    return (
        f"sensitivity {with_interval(measured.sensitivity, measured.sensitivity_interval)}, "
        f"specificity {with_interval(measured.specificity, measured.specificity_interval)}, n = {measured.n}"
    )


def score_of_threshold(score: float | None, threshold: float | None) -> str:
    """A score beside its threshold.

    >>> score_of_threshold(0.864, 0.71), score_of_threshold(0.5, None), score_of_threshold(None, None)
    ('0.86 / 0.71', '0.50', 'no score')
    """
    if score is None:
        return "no score"
    return f"{score:.2f}" if threshold is None else f"{score:.2f} / {threshold:.2f}"


def predictive(values: tuple[float, float] | None, flagged: bool) -> str:
    """Of the flag where there is one, and else of there being none."""
    if values is None:
        return ""
    positive, negative = values
    if flagged:
        return f"{percent(positive)} of such flags are right"
    return f"{percent(negative)} of those not flagged are normal"


def measured_on(measured: Iterable[Measured | None]) -> str:
    """On which data, and when; empty where nothing was measured.

    >>> measured_on([Measured(0.9, 0.8, 9, (0.8, 0.95), (0.7, 0.9), "9 phantoms, 2026-11-24"), None])
    'Figures with 95 % intervals, measured on: 9 phantoms, 2026-11-24.'
    """
    data = dict.fromkeys(one.data for one in measured if one is not None)
    return f"Figures with 95 % intervals, measured on: {'; '.join(data)}." if data else ""


def without_threshold(findings: Sequence[FindingScore]) -> tuple[str, ...]:
    """The findings that are never flagged, by the reason for it, one sentence a reason."""
    titles: dict[str, list[str]] = {}
    for one in findings:
        if one.threshold is None:
            reason = (one.note or "No threshold was measured.").removesuffix(".")
            titles.setdefault(_BEGUN.get(one.note or "", reason), []).append(one.title)
    return tuple(f"{reason}: {', '.join(named)}." for reason, named in titles.items())


def without_calibration(titles: Sequence[str]) -> str:
    """The findings that have no score; empty where all have one."""
    if not titles:
        return ""
    return f"Not calibrated for these MR sequences, so without a score: {', '.join(titles)}."
