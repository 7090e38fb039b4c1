"""How far a bundle's calibrated scores can be believed: reliability diagrams, Brier score and calibration error.

All of it on the half of the calibration's examinations that neither scaled the scores nor chose a threshold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.bundle import Bundle
from encoders.calibration import Calibration, wilson_interval
from encoders.sequences import MRSequence
from training.evaluation_pictures import as_png
from training.evaluation_tables import interval_cell
from training.intervals import area_with_interval

BINS = 8  # of about equally many examinations
_COLUMNS = 4  # of the picture
_PLAIN = (MRSequence.T1W, MRSequence.T2W, MRSequence.FLAIR)
SETS = (  # each kind alone, then what is usual without contrast, for stroke, for a tumour, and everything
    *((one,) for one in (*_PLAIN, MRSequence.T1W_POST, MRSequence.DWI, MRSequence.T2STAR)),
    _PLAIN,
    (MRSequence.FLAIR, MRSequence.DWI, MRSequence.T2STAR),
    (*_PLAIN, MRSequence.T1W_POST),
    (*_PLAIN, MRSequence.T1W_POST, MRSequence.DWI, MRSequence.T2STAR),
)
Figures = dict[str, Any]
Array = NDArray[np.float64]


def reliability(calibrations: Mapping[str, Calibration]) -> Figures:
    """Figures of each calibrated finding: area, Brier score, calibration error, bins, and its operating point's."""
    return {name: _figures(calibration) for name, calibration in calibrations.items()}


def reliability_table(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """The figures as Markdown."""
    lines = [
        "| finding | positives/n | area under the curve | Brier score (always the prevalence) | calibration error |"
        " operating point | sensitivity | specificity |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, one in figures.items():
        point = "not told | | |"
        if one["told"]:
            point = (
                f"{one['operating_point']} | {interval_cell(one['sensitivity'], *one['sensitivity_interval'])}"
                f" | {interval_cell(one['specificity'], *one['specificity_interval'])} |"
            )
        lines.append(
            f"| {name} | {one['positives']}/{one['n']} | {interval_cell(one['area'], *one['area_interval'])}"
            f" | {one['brier']:.3f} ({one['brier_of_prevalence']:.3f}) | {one['calibration_error']:.3f} | {point}"
        )
    return "\n".join(lines)


def told_by_sets(bundle: Bundle) -> Figures:
    """Area under the curve of each finding by some usual sets of MR sequences, and whether it is told there at all."""
    figures: Figures = {}
    for sequences in SETS:
        if all(sequence in bundle.sequences for sequence in sequences):
            found = bundle.calibrations(sequences)
            name = ", ".join(sequences)
            figures[name] = {finding: {**_area(one), "told": one.told} for finding, one in found.items()}
    return figures


def sets_table(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """The figures as Markdown; in brackets what is not told, for which there is no threshold."""
    findings = list(dict.fromkeys(finding for found in figures.values() for finding in found))
    lines = [f"| area under the curve | {' | '.join(figures)} |", "|---" * (len(figures) + 1) + "|"]
    for finding in findings:
        cells = []
        for found in figures.values():
            one = found.get(finding)
            told = "" if one is None else interval_cell(one["area"], *one["area_interval"])
            cells.append(f"({told})" if one is not None and not one["told"] else told)
        lines.append(f"| {finding} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw_reliability(figures: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Reliability diagrams as PNG, one panel a finding: share with the finding against the score, by bins."""
    from matplotlib.figure import Figure

    rows = -(-len(figures) // _COLUMNS)
    figure = Figure(figsize=(2.6 * _COLUMNS, 2.7 * rows), layout="constrained")
    for place, (name, one) in enumerate(figures.items(), 1):
        axes = figure.add_subplot(rows, _COLUMNS, place)
        axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=0.8)
        scores = [bin_["score"] for bin_ in one["bins"]]
        shares = np.array([bin_["share"] for bin_ in one["bins"]])
        ends = np.array([bin_["interval"] for bin_ in one["bins"]]).T
        axes.errorbar(scores, shares, np.abs(ends - shares), fmt="o-", markersize=3, linewidth=0.8, color="#3b6ea5")
        axes.set(title=name.replace("_", " "), xlim=(0, 1), ylim=(0, 1))
        axes.title.set_fontsize(8)
        axes.tick_params(labelsize=7)
    figure.supxlabel("calibrated score", fontsize=8)
    figure.supylabel("share with the finding", fontsize=8)
    return as_png(figure)


def _figures(calibration: Calibration) -> Figures:
    present, absent = calibration.measuring.present, calibration.measuring.absent
    scores = np.concatenate([present, absent])
    truth = np.concatenate([np.ones(len(present)), np.zeros(len(absent))])
    bins = _bins(scores, truth)
    measured = calibration.measured(calibration.threshold(calibration.operating_point))
    return {
        "n": len(scores),
        "positives": len(present),
        "told": calibration.told,
        **_area(calibration),
        "brier": float(((scores - truth) ** 2).mean()),
        "brier_of_prevalence": float(truth.mean() * (1 - truth.mean())),
        "calibration_error": sum(one["n"] * abs(one["share"] - one["score"]) for one in bins) / len(scores),
        "bins": bins,
        "operating_point": str(calibration.operating_point),
        "sensitivity": measured.sensitivity,
        "sensitivity_interval": measured.sensitivity_interval,
        "specificity": measured.specificity,
        "specificity_interval": measured.specificity_interval,
        "data": calibration.data,
    }


def _area(calibration: Calibration) -> Figures:
    present, absent = calibration.measuring.present, calibration.measuring.absent
    truth = np.repeat([True, False], [len(present), len(absent)])
    area, low, high = area_with_interval(np.concatenate([present, absent]), truth)
    return {"area": area, "area_interval": (low, high)}


def _bins(scores: Array, truth: Array) -> list[Figures]:
    """Examinations in order of their score, equal ones in any order, cut into parts of about the same size."""
    chance = np.random.default_rng(0).random(len(scores))
    parts = np.array_split(np.lexsort((chance, scores)), min(BINS, len(scores)))
    return [
        {
            "n": len(rows),
            "score": float(scores[rows].mean()),
            "share": float(truth[rows].mean()),
            "interval": wilson_interval(int(truth[rows].sum()), len(rows)),
        }
        for rows in parts
    ]
