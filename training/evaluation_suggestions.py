"""Suggested findings on kept-back phantoms: how many are there, and how often a side that is named is the right one.

What a suggestion is, is handed in: training knows nothing of the search floor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from encoders.bundle import Bundle, Encoder
from encoders.calibration import wilson_interval
from encoders.volume import Volume
from training.calibration import worker_bundle
from training.evaluation_report_check import SEQUENCES
from training.worker_processes import process_pool

Suggest = Callable[[Encoder, Sequence[Volume]], Any]


@dataclass(frozen=True, slots=True)
class SuggestionCounts:
    """Of examinations: suggestions made, right ones; findings that are there, found ones; sides named, right ones."""

    examinations: int
    made: int
    right: int
    there: int
    found: int
    sides: int
    sides_right: int


def evaluate_suggestions(
    bundle: Bundle, suggest: Suggest, examinations: int, seed: int, workers: int, progress: Callable[[int, int], None]
) -> SuggestionCounts:
    """Suggest findings for phantoms of seeds from `seed` on."""
    rows = []
    with process_pool(workers) as pool:
        one = partial(_suggest_for, bundle.folder, suggest)
        for row in pool.map(one, range(seed, seed + examinations), chunksize=4):
            rows.append(row)
            progress(len(rows), examinations)
    return SuggestionCounts(examinations, *(sum(column) for column in zip(*rows, strict=True)))


def suggestions_table(counts: SuggestionCounts) -> str:
    """The figures as Markdown."""
    lines = [f"| suggested findings of {counts.examinations} phantom examinations | of | share |", "|---|---|---|"]
    for name, part, whole in (
        ("suggestions that are there", counts.right, counts.made),
        ("findings there that are suggested", counts.found, counts.there),
        ("sides named that are right", counts.sides_right, counts.sides),
    ):
        low, high = wilson_interval(part, whole)
        share = f"{part / whole:.1%} ({low:.1%}-{high:.1%})" if whole else ""
        lines.append(f"| {name} | {part} of {whole} | {share} |")
    return "\n".join(lines)


def _suggest_for(folder: Path, suggest: Suggest, seed: int) -> tuple[int, ...]:
    """The counts of one phantom; a finding that is there is found by a suggestion of it or of a kind of it."""
    from training.phantoms.contrast import scan
    from training.phantoms.pathology import make_phantom

    phantom, bundle = make_phantom(seed), worker_bundle(folder)
    volumes = [scan(phantom, sequence, seed) for sequence in SEQUENCES]
    suggested = suggest(bundle, volumes)
    told = {score.finding for score in suggested.findings[1:] if score.threshold is not None}
    kind_of = {finding.name: finding.kind_of for finding in bundle.findings}
    true = phantom.facts.findings
    sides = phantom.facts.one_sided
    right = [one for one in suggested.suggestions if one.finding in true]
    placed = [one for one in right if one.place and one.place.side and one.finding in sides]
    there = {name for name in true & told if kind_of[name] is None}
    found = {kind_of[one.finding] or one.finding for one in right}
    return (
        len(suggested.suggestions),
        len(right),
        len(there),
        len(there & found),
        len(placed),
        sum(sides[one.finding] == one.place.side for one in placed),
    )
