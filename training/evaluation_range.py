"""How often a bundle takes a series for a brain MRI: phantoms, other things by their kind, and real scans.

What is learned from is `out_of_range`'s; the phantoms and other things here are of other seeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from encoders.bundle import Bundle
from encoders.sequences import MRSequence
from encoders.volume import Volume, read_volume
from training.evaluation_tables import interval_cell
from training.evaluation_vision import SEQUENCES, Figures, Progress
from training.intervals import mean_interval
from training.other_things import KINDS, draw_other
from training.phantoms.contrast import scan
from training.phantoms.pathology import make_phantom

PHANTOMS, REAL = "phantoms", "real scans"


def evaluate_range(bundle: Bundle, examples: int, seed: int, dataset: Path | None, progress: Progress) -> Figures:
    """Share of series taken for a brain MRI, by what they are, each with its interval and n.

    Each of `examples` phantoms and other things is one series, said to be of every MR sequence in turn.
    """
    taken: dict[str, list[bool]] = {}
    for number, (kind, volume) in enumerate(_things(examples, seed)):
        taken.setdefault(kind, []).append(bundle.encode_series(volume).in_range)
        progress(number + 1, 2 * examples)
    for path in sorted(dataset.glob("sub-*/**/*.nii.gz")) if dataset else ():
        volume = read_volume(path)
        if volume.sequence in bundle.sequences:
            taken.setdefault(REAL, []).append(bundle.encode_series(volume).in_range)
    figures: Figures = {}
    for kind in (PHANTOMS, REAL, *KINDS):
        values = np.array(taken.get(kind, ()), np.float64)
        if len(values):
            low, high = mean_interval(values)
            figures[kind] = {"value": float(values.mean()), "low": low, "high": high, "n": len(values)}
    return figures


def range_table(figures: Mapping[str, Mapping[str, float]]) -> str:
    """The figures as Markdown."""
    lines = ["| series of | n | taken for a brain MRI |", "|---|---|---|"]
    lines += [
        f"| {kind} | {figure['n']} | {interval_cell(figure['value'], figure['low'], figure['high'])} |"
        for kind, figure in figures.items()
    ]
    return "\n".join(lines)


def _things(examples: int, seed: int) -> Iterator[tuple[str, Volume]]:
    for number in range(examples):
        sequence: MRSequence = SEQUENCES[number % len(SEQUENCES)]
        yield PHANTOMS, scan(make_phantom(seed + number), sequence, seed + number)
        yield draw_other(seed + number, sequence)
