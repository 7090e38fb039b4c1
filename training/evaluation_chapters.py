"""Chapters of an evaluation that are made of a bundle or of pictures alone, and what is said of a bundle at the top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from training.evaluation_html import Chapter
from training.evaluation_pictures import MOST_TILES, Picture, Tile, draw_confusion, draw_curves, draw_tiles

if TYPE_CHECKING:
    from encoders.bundle import Bundle
    from encoders.calibration_set import CalibrationSet
    from encoders.sequences import MRSequence


def calibration_chapters(bundle: Bundle, sequences: Sequence[MRSequence] | None = None) -> list[Chapter]:
    """How far scores can be believed, with reliability diagrams and curves; and by sets of MR sequences."""
    from training.reliability import draw_reliability, reliability, reliability_table, sets_table, told_by_sets

    calibrations = bundle.calibrations(sequences)
    figures = reliability(calibrations)
    pictures: tuple[Picture, ...] = (
        Picture(
            "Reliability: the share with the finding against the calibrated score.", partial(draw_reliability, figures)
        ),
        Picture("ROC curves: sensitivity against false alarms.", partial(draw_curves, calibrations)),
        Picture("Precision against sensitivity.", partial(draw_curves, calibrations, precision=True)),
    )
    table = reliability_table(figures)
    if not calibrations:
        pictures, table = (
            (),
            "No finding is calibrated: too few examinations have these MR sequences, and too few of those it.",
        )
    title = "Calibrated scores" if sequences is None else f"Calibrated scores of {', '.join(sequences)}"
    chapters = [Chapter(title, table, figures, pictures)]
    if bundle.calibration_set is not None:
        measured = bundle.calibration_set
        said = {"examinations": measured.count, "data": measured.data, "date": measured.date}
        hashed = f"SHA-256 of their vectors and of what is true of them: `{measured.data_hash}`"
        table = f"{_calibrated_on(measured)}\n\n{hashed}"
        chapters.append(Chapter("Calibrated on", table, {**said, "sha256": measured.data_hash}))
    if sequences is None:
        by_sets = told_by_sets(bundle)
        chapters.append(Chapter("By MR sequences", sets_table(by_sets), by_sets))
    return chapters


def confusion_of(shares: Mapping[str, Mapping[str, float]], counts: Mapping[str, int]) -> tuple[Picture, ...]:
    """The confusion of diagnoses among the first hits, where there are any."""
    told = "Diagnoses of the first hits of other people (columns) for the scans of each diagnosis (rows)."
    return (Picture(told, partial(draw_confusion, shares, counts)),) if shares else ()


def tiles_of(tiles: Sequence[Tile], caption: str) -> tuple[Picture, ...]:
    """Slices in sheets."""
    sheets = [tiles[first : first + MOST_TILES] for first in range(0, len(tiles), MOST_TILES)]
    return tuple(Picture(caption, partial(draw_tiles, sheet)) for sheet in sheets)


def about(bundle: Bundle) -> dict[str, str]:
    """The bundle, its thresholds' data and their hash, for the top of an evaluation."""
    said = {"bundle": bundle.encoder_id}
    measured = bundle.calibration_set
    if measured is not None:
        said["calibrated on"] = f"{_calibrated_on(measured)} SHA-256 {measured.data_hash}"
    return said


def _calibrated_on(measured: CalibrationSet) -> str:
    half = measured.count // 2
    return (
        f"{measured.count} examinations ({measured.date}): thresholds are chosen on the first {half} and measured on "
        f"the other {measured.count - half}, {measured.data}."
    )
