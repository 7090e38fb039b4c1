"""How often the report check flags a report that is right, and how often one that belongs to another examination.

On kept-back phantoms: each is checked with its own report and with the report of the next one whose diagnosis differs.
What a check is, is handed in, since training knows nothing of the search floor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from encoders.bundle import Encoder
from encoders.calibration import wilson_interval
from encoders.sequences import MRSequence
from encoders.volume import Volume

CheckReport = Callable[[Encoder, Sequence[Volume], str], Any]
SEQUENCES = (MRSequence.T1W, MRSequence.T2W, MRSequence.FLAIR)


@dataclass(frozen=True, slots=True)
class ReportCheckFigures:
    """Proportions 0-1 with 95 % Wilson intervals over n examinations."""

    n: int
    own_flagged: float
    own_interval: tuple[float, float]
    swapped_flagged: float
    swapped_interval: tuple[float, float]


def evaluate_report_check(
    encoder: Encoder, check: CheckReport, examinations: int, seed: int, progress: Callable[[int, int], None]
) -> ReportCheckFigures:
    """Check phantoms of seeds from `seed` on with their own and with another examination's report."""
    from training.phantoms.contrast import render
    from training.phantoms.pathology import make_phantom
    from training.phantoms.reports import write_report

    own = swapped = compared = 0
    earlier: list[tuple[str, str]] = []  # diagnosis and report
    for number in range(examinations):
        phantom = make_phantom(seed + number)
        volumes = [Volume.from_voxels(*render(phantom, sequence, seed + number), sequence) for sequence in SEQUENCES]
        report, diagnosis = write_report(phantom.facts, seed + number).text, phantom.facts.diagnosis
        own += _flags(check(encoder, volumes, report))
        # Another person's: the last report with another diagnosis.
        other = next((text for known, text in reversed(earlier) if known != diagnosis), None)
        if other is not None:
            compared += 1
            swapped += _flags(check(encoder, volumes, other))
        earlier.append((diagnosis, report))
        progress(number + 1, examinations)
    return ReportCheckFigures(
        examinations,
        own / examinations,
        wilson_interval(own, examinations),
        swapped / max(compared, 1),
        wilson_interval(swapped, compared),
    )


def report_check_table(figures: ReportCheckFigures) -> str:
    """The figures as Markdown."""
    rows = (
        ("its own (false alarms)", figures.own_flagged, figures.own_interval),
        ("another examination's", figures.swapped_flagged, figures.swapped_interval),
    )
    lines = [f"| report ({figures.n} phantom examinations) | flagged | 95 % interval |", "|---|---|---|"]
    lines += [f"| {name} | {share:.1%} | {low:.1%}-{high:.1%} |" for name, share, (low, high) in rows]
    return "\n".join(lines)


def _flags(check: Any) -> bool:
    return bool(check.statements or check.unmentioned)
