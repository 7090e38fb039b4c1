"""What a bundle's networks reach on phantoms that nothing was trained on.

Areas under the curve by text (nearness to sentences that state a finding against sentences that deny it) and by the
auxiliary findings head; scan to report and report to scan among all phantoms. Real scans are evaluation_real's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.bundle import Bundle
from encoders.sequences import MRSequence
from encoders.volume import Volume
from training.evaluation_tables import areas_table
from training.intervals import area_with_interval, mean_interval

Array = NDArray[np.float32]
Figures = dict[str, Any]
Progress = Callable[[int, int], None]
SEQUENCES = (
    MRSequence.T1W,
    MRSequence.T1W_POST,
    MRSequence.T2W,
    MRSequence.FLAIR,
    MRSequence.DWI,
    MRSequence.T2STAR,
)


def evaluate_phantoms(bundle: Bundle, examinations: int, seed: int, progress: Progress) -> Figures:
    """Areas for each finding and MR sequence, all series fused, and scan to report, on phantoms from `seed` on."""
    from training.phantoms.contrast import render
    from training.phantoms.pathology import make_phantom
    from training.phantoms.reports import write_report

    embeddings: list[list[Array]] = [[] for _ in SEQUENCES]
    logits: list[list[Array]] = [[] for _ in SEQUENCES]
    labels, reports = [], []
    for number in range(examinations):
        phantom = make_phantom(seed + number)
        for kind, sequence in enumerate(SEQUENCES):
            output, _ = bundle.see(Volume.from_voxels(*render(phantom, sequence, seed + number), sequence))
            embeddings[kind].append(unit(output.embedding[0].numpy()))
            logits[kind].append(output.findings[0].numpy())
        labels.append(phantom.labels)
        reports.append(write_report(phantom.facts, seed + number).text)
        progress(number + 1, examinations)
    by_kind = [np.stack(vectors) for vectors in embeddings]
    fused = np.stack([bundle.fuse(np.stack(vectors), SEQUENCES) for vectors in zip(*by_kind, strict=True)])
    views = [(str(sequence), by_kind[kind], np.stack(logits[kind])) for kind, sequence in enumerate(SEQUENCES)]
    views.append(("all fused", fused, np.mean([np.stack(kind) for kind in logits], axis=0)))
    groups: Figures = {}
    for name, vectors, heads in views:
        scores = bundle.raw_scores(vectors)
        table = {}
        for row, finding in enumerate(bundle.findings):
            truth = np.array([label[finding.name] for label in labels], np.bool_)
            if 0 < truth.sum() < len(truth):
                column = bundle.finding_names.index(finding.name)
                table[finding.name] = {"text": area(scores[row], truth), "head": area(heads[:, column], truth)}
        groups[name] = table
    told = bundle.encode_texts(reports)
    return {
        "n": examinations,
        "groups": groups,
        "scan to report": _matching(fused, told),
        "report to scan": _matching(told, fused),
    }


def phantoms_table(figures: Figures) -> str:
    """The figures as Markdown."""
    lines = [f"n = {figures['n']} phantom examinations; positives/n.", "", areas_table(figures["groups"])]
    for way in ("scan to report", "report to scan"):
        cells = [f"{name} {value:.2f} ({low:.2f}-{high:.2f})" for name, (value, low, high) in figures[way].items()]
        lines += ["", f"{way.capitalize()} (all series) among {figures['n']}: {', '.join(cells)}."]
    return "\n".join(lines)


def _matching(queries: Array, gallery: Array) -> Figures:
    cosines = queries @ gallery.T
    ranks = (cosines > np.diag(cosines)[:, None]).sum(axis=1) + 1
    found = {f"R@{depth}": (ranks <= depth).astype(np.float64) for depth in (1, 10)}
    return {name: (float(values.mean()), *mean_interval(values)) for name, values in found.items()}


def area(scores: NDArray[Any], labels: NDArray[np.bool_], groups: Sequence[str] | None = None) -> Figures:
    """Area under the ROC curve with its interval, over groups (people) where these are given."""
    found, low, high = area_with_interval(np.asarray(scores, np.float64), labels, groups)
    return {"auc": found, "interval": (low, high), "positives": int(labels.sum()), "n": len(labels)}


def unit_rows(embeddings: Array) -> Array:
    """Embeddings (N, D), each of length one."""
    return np.asarray(embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True), np.float32)


def unit(embedding: Array) -> Array:
    """An embedding (D,) of length one."""
    return np.asarray(embedding / np.linalg.norm(embedding), np.float32)
