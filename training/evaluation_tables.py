"""Figures as Markdown tables: one row a figure, one column a scorer, each with its interval and n."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def text_table(document: Mapping[str, Any]) -> str:
    """The figures of `evaluation_text.evaluate_text`, NeuroBERT beside its baselines."""
    scorers: Mapping[str, Any] = document["figures"]
    names = list(scorers)
    rows: dict[str, dict[str, str]] = {}
    for scorer in names:
        for label, figure in _leaves(scorers[scorer]):
            rows.setdefault(f"{label} (n={figure['n']})", {})[scorer] = interval_cell(
                figure["value"], figure["low"], figure["high"]
            )
    lines = [f"| figure | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    lines += [f"| {label} | {' | '.join(cells.get(name, '') for name in names)} |" for label, cells in rows.items()]
    return "\n".join(lines)


def areas_table(figures: Mapping[str, Mapping[str, Mapping[str, Mapping[str, Any]]]]) -> str:
    """Areas under the ROC curve: figures[group][finding][way] = {auc, interval, positives, n}."""
    findings = list(dict.fromkeys(finding for group in figures.values() for finding in group))
    ways = list(dict.fromkeys(way for group in figures.values() for cell in group.values() for way in cell))
    header = [f"{finding}, by {way}" for finding in findings for way in ways]
    lines = [f"| | {' | '.join(header)} |", f"|---|{'---|' * len(header)}"]
    for group, table in figures.items():
        cells = [_area(table.get(finding, {}).get(way)) for finding in findings for way in ways]
        lines.append(f"| {group} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _leaves(figures: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if not isinstance(figures, Mapping):
        return
    if "value" in figures:
        yield ", ".join(path), figures
        return
    for key, value in figures.items():
        yield from _leaves(value, (*path, str(key)))


def interval_cell(value: float, low: float, high: float) -> str:
    """A figure with its interval.

    >>> interval_cell(0.912, 0.8, 1)
    '0.91 (0.80-1.00)'
    """
    return f"{value:.2f} ({low:.2f}-{high:.2f})"


def _area(cell: Mapping[str, Any] | None) -> str:
    if cell is None:
        return ""
    return f"{interval_cell(cell['auc'], *cell['interval'])}, {cell['positives']}/{cell['n']}"
