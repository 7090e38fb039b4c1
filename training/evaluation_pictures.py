"""The pictures of an evaluation: curves, confusion of diagnoses, slices with what was pointed at or retrieved.

Each is a PNG that goes into the one HTML file; figures in words stand in the tables.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from encoders.calibration import Calibration

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 5
MOST_TILES = 20
_BLUE, _RED, _GREY = "#3b6ea5", "#c0504d", "#bbbbbb"


@dataclass(frozen=True, slots=True)
class Picture:
    """A caption, and what draws the PNG when it is wanted."""

    caption: str
    draw: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Tile:
    """A slice (H, W) with its title; outlines of a true lesion and of the heat, (H, W) 0-1, where there are some."""

    title: str
    pixels: NDArray[np.float32]
    truth: NDArray[np.float32] | None = None
    heat: NDArray[np.float32] | None = None


def draw_curves(calibrations: Mapping[str, Calibration], *, precision: bool = False) -> bytes:
    """The ROC or the precision-recall curve of every calibrated finding, on the half that measures; grey is chance."""
    from matplotlib.figure import Figure

    rows = -(-len(calibrations) // COLUMNS)
    figure = Figure(figsize=(2.3 * COLUMNS, 2.5 * rows), layout="constrained")
    for place, (name, calibration) in enumerate(calibrations.items(), 1):
        scores = calibration.measuring
        cuts = np.unique(np.concatenate([scores.present, scores.absent]))[::-1]
        hits = len(scores.present) - np.searchsorted(scores.present, cuts)
        alarms = len(scores.absent) - np.searchsorted(scores.absent, cuts)
        sensitivity = hits / len(scores.present)
        axes = figure.add_subplot(rows, COLUMNS, place)
        if precision:
            share = len(scores.present) / (len(scores.present) + len(scores.absent))
            axes.axhline(share, color=_GREY, linewidth=0.6)
            axes.plot(sensitivity, hits / (hits + alarms), color=_RED, linewidth=1)
        else:
            axes.plot([0, 1], [0, 1], color=_GREY, linewidth=0.6)
            axes.plot(np.append(0, alarms / len(scores.absent)), np.append(0, sensitivity), color=_BLUE, linewidth=1)
        of = f"{len(scores.present)} of {len(scores.present) + len(scores.absent)}"
        axes.set(title=f"{name.replace('_', ' ')}, {of}", xlim=(0, 1), ylim=(0, 1.02))
        axes.title.set_fontsize(8)
        axes.tick_params(labelsize=6)
    figure.supxlabel("sensitivity" if precision else "1 - specificity", fontsize=8)
    figure.supylabel("precision" if precision else "sensitivity", fontsize=8)
    return as_png(figure)


def draw_confusion(shares: Mapping[str, Mapping[str, float]], counts: Mapping[str, int]) -> bytes:
    """Of the first hits for a scan of each diagnosis (rows) the share that has each diagnosis (columns).

    `counts` are the first hits of each row.
    """
    from matplotlib.figure import Figure

    rows = list(shares)
    columns = list(dict.fromkeys([*rows, *(name for found in shares.values() for name in found)]))
    table = np.array([[shares[row].get(column, 0.0) for column in columns] for row in rows])
    figure = Figure(figsize=(1.6 + 0.55 * len(columns), 1.4 + 0.4 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(table, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), share in np.ndenumerate(table):
        if share:
            axes.text(column, row, f"{share:.2f}", ha="center", va="center", fontsize=7, color=_ink(share))
    axes.set_xticks(np.arange(len(columns)), columns, rotation=40, ha="right", fontsize=7)
    axes.set_yticks(np.arange(len(rows)), [f"{row} ({counts[row]} hits)" for row in rows], fontsize=7)
    axes.set_xlabel("diagnosis of the first hits", fontsize=7)
    axes.set_ylabel("diagnosis of the scan", fontsize=7)
    return as_png(figure)


def draw_tiles(tiles: Sequence[Tile], columns: int = COLUMNS) -> bytes:
    """Slices side by side, the true lesion outlined in green and half of the greatest heat in red."""
    from matplotlib.figure import Figure

    rows = -(-len(tiles) // columns)
    figure = Figure(figsize=(1.9 * columns, 2.15 * rows), layout="constrained", facecolor="black")
    for place, tile in enumerate(tiles, 1):
        axes = figure.add_subplot(rows, columns, place)
        axes.imshow(tile.pixels, cmap="gray", vmin=0, vmax=float(np.percentile(tile.pixels, 99.5)) or 1.0)
        for outline, colour in ((tile.truth, "#4caf50"), (tile.heat, "#ff5252")):
            if outline is not None and outline.max() > 0:
                axes.contour(outline, levels=[outline.max() / 2], colors=colour, linewidths=0.9)
        axes.set_title(tile.title, fontsize=7, color="white")
        axes.set_axis_off()
    return as_png(figure)


def axial(volume: NDArray[np.floating], index: int) -> NDArray[np.float32]:
    """An axial slice (H, W) of voxels (X, Y, Z) in RAS+ order, anterior above, the right of the head on the left."""
    return np.asarray(np.flip(volume[:, :, index].T, axis=(0, 1)), np.float32)


def _ink(share: float) -> str:
    return "white" if share > 0.55 else "black"


def as_png(figure: Figure) -> bytes:
    """A drawn figure as PNG."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return stream.getvalue()
