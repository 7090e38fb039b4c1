"""What a bundle's networks reach on phantoms that nothing was trained on.

Areas under the curve by text (nearness to sentences that state a finding against sentences that deny it) and by the
auxiliary findings head; scan to report and report to scan among these phantoms, and scan to report among more reports
of phantoms that are not scanned. Real scans are evaluation_real's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.bundle import Bundle
from encoders.sequences import MRSequence
from training.calibration import worker_bundle
from training.evaluation_tables import areas_table, interval_cell
from training.intervals import area_with_interval, mean_interval
from training.worker_processes import process_pool

Array = NDArray[np.float32]
Figures = dict[str, Any]
Progress = Callable[[int, int], None]
GALLERY = 1_000  # reports
ALL = "all series"
SEQUENCES = (
    MRSequence.T1W,
    MRSequence.T1W_POST,
    MRSequence.T2W,
    MRSequence.FLAIR,
    MRSequence.DWI,
    MRSequence.T2STAR,
)


@dataclass(frozen=True, slots=True)
class SeenPhantom:
    """What K networks say of a phantom: unit embeddings (K, D), findings logits (K, F); its findings and report."""

    embeddings: Array
    logits: Array
    findings: frozenset[str]
    report: str


def evaluate_phantoms(bundle: Bundle, examinations: int, seed: int, workers: int, progress: Progress) -> Figures:
    """Areas for each finding and MR sequence, and scan to report, on phantoms from `seed` on.

    The areas of all series are of scores that each finding weighs by itself; reports are matched with the series fused.
    """
    seen: list[SeenPhantom] = []
    with process_pool(workers) as pool:
        for one in pool.map(partial(_see, bundle.folder), range(seed, seed + examinations), chunksize=4):
            seen.append(one)
            progress(len(seen), examinations)
    embeddings = np.stack([one.embeddings for one in seen], axis=1)
    logits = np.stack([one.logits for one in seen], axis=1)
    fused = np.stack([bundle.fuse(one.embeddings, SEQUENCES) for one in seen])
    views = [(str(sequence), embeddings[kind], logits[kind]) for kind, sequence in enumerate(SEQUENCES)]
    views.append((ALL, fused, logits.mean(axis=0)))
    groups: Figures = {}
    weighed = np.stack([bundle.weighed_scores(one.embeddings, SEQUENCES) for one in seen], axis=1)
    for name, vectors, heads in views:
        scores = weighed if name == ALL else bundle.raw_scores(vectors)
        table = {}
        for row, finding in enumerate(bundle.findings):
            truth = np.array([finding.name in one.findings for one in seen], np.bool_)
            if 0 < truth.sum() < len(truth):
                table[finding.name] = {"text": area(scores[row], truth)}
                if finding.name in bundle.finding_names:
                    table[finding.name]["head"] = area(heads[:, bundle.finding_names.index(finding.name)], truth)
        groups[name] = table
    told = bundle.encode_texts([one.report for one in seen])
    further = _reports(range(seed + examinations, seed + GALLERY))
    gallery = np.concatenate([told, bundle.encode_texts(further)]) if further else told
    found = {
        f"scan to report among {examinations:,}": matching(fused, told),
        f"report to scan among {examinations:,}": matching(told, fused),
        f"scan to report among {len(gallery):,}": matching(fused, gallery),
    }
    return {"n": examinations, "groups": groups, "matching": found}


def phantoms_table(figures: Figures) -> str:
    """The figures as Markdown."""
    lines = [f"n = {figures['n']} phantom examinations; positives/n.", "", areas_table(figures["groups"])]
    for way, found in figures["matching"].items():
        cells = [f"{name} {interval_cell(*figure)}" for name, figure in found.items()]
        lines += ["", f"{way.capitalize()}, all series: {', '.join(cells)}."]
    return "\n".join(lines)


def _reports(seeds: Sequence[int]) -> list[str]:
    """Reports of phantoms that no scan is made of; their sizes are as they were drawn, not as painted."""
    from training.phantoms.reports import write_report
    from training.phantoms.scenario import draw_facts

    return [write_report(draw_facts(seed), seed).text for seed in seeds]


def _see(folder: Path, seed: int) -> SeenPhantom:
    from training.phantoms.contrast import scan
    from training.phantoms.pathology import make_phantom
    from training.phantoms.reports import write_report

    bundle, phantom = worker_bundle(folder), make_phantom(seed)
    outputs = [bundle.see(scan(phantom, sequence, seed))[0] for sequence in SEQUENCES]
    return SeenPhantom(
        unit_rows(np.concatenate([output.embedding.numpy() for output in outputs])),
        np.concatenate([output.findings.numpy() for output in outputs]),
        phantom.facts.findings,
        write_report(phantom.facts, seed).text,
    )


def matching(queries: Array, gallery: Array) -> Figures:
    """R@1 and R@10 of unit vectors (N, D): how often row i of the gallery (M, D) is among the nearest of query i."""
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
