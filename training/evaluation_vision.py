"""What a bundle's networks reach: on phantoms that nothing was trained on, and on a BIDS dataset of real scans.

Areas under the curve by text (nearness to sentences that state a finding against sentences that deny it) and by the
auxiliary findings head; scan to report among all phantoms; and the pointing game: does the surest lesion voxel lie in
the true mask. In public sets skull-stripping goes with disease, so whole heads and stripped brains are counted apart.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.bundle import Bundle, EncodingError
from encoders.preprocess import NetworkInput
from encoders.sequences import MRSequence
from encoders.volume import Volume, read_volume
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
STRIPPED_AIR = 0.5  # share of voxels that hold exactly the least value, from which on a volume counts as skull-stripped
NORMALS = ("normal", "no known abnormality")
DIAGNOSIS_OF = {"glioma": "glioma", "white_matter_lesions": "multiple sclerosis"}
VENTRICLES = "ventricles"  # a mask class that is no lesion


@dataclass(frozen=True, slots=True)
class SeenSeries:
    """One series: what is known of it, and what its network says."""

    group: str
    participant: str
    sequence: str
    stripped: bool
    partial: bool
    embedding: Array
    findings: Array
    pointed: bool | None


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
            embeddings[kind].append(_unit(output.embedding[0].numpy()))
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
                table[finding.name] = {"text": _area(scores[row], truth), "head": _area(heads[:, column], truth)}
        groups[name] = table
    return {"n": examinations, "groups": groups, "scan to report": _matching(fused, bundle.encode_texts(reports))}


def evaluate_real(bundle: Bundle, dataset: Path, progress: Progress) -> Figures:
    """Areas and pointing game on every series of a BIDS dataset whose MR sequence has a network; slabs are left out."""
    series = [item for item in see_dataset(bundle, dataset, progress) if not item.partial]
    questions: dict[str, Callable[[SeenSeries], bool]] = {"abnormal": lambda item: item.group not in NORMALS}
    for finding, diagnosis in DIAGNOSIS_OF.items():
        questions[finding] = lambda item, diagnosis=diagnosis: item.group == diagnosis  # type: ignore[misc]
    parts: list[tuple[str, list[SeenSeries]]] = [("all", series)]
    names = sorted({item.sequence for item in series})
    parts += [(name, [item for item in series if item.sequence == name]) for name in names]
    parts.append(("skull-stripped", [item for item in series if item.stripped]))
    parts.append(("whole heads", [item for item in series if not item.stripped]))
    groups: Figures = {}
    for name, items in parts:
        table = {}
        for finding, question in questions.items():
            truth = np.array([question(item) for item in items], np.bool_)
            if 0 < truth.sum() < len(truth):
                row = [finding.name for finding in bundle.findings].index(finding)
                column = bundle.finding_names.index(finding)
                table[finding] = {
                    "text": _area(bundle.raw_scores(np.stack([item.embedding for item in items]))[row], truth),
                    "head": _area(np.array([item.findings[column] for item in items]), truth),
                }
        if table:
            groups[name] = table
    people = len({item.participant for item in series})
    return {"n": len(series), "people": people, "groups": groups, "pointing": _pointing(series)}


def see_dataset(bundle: Bundle, dataset: Path, progress: Progress) -> list[SeenSeries]:
    """Every series of a BIDS dataset that a network takes, with its lesion mask's verdict where there is one."""
    with (dataset / "participants.tsv").open(encoding="utf-8") as file:
        diagnoses = {row["participant_id"]: row["diagnosis"] for row in csv.DictReader(file, delimiter="\t")}
    paths = sorted(dataset.glob("sub-*/**/*.nii.gz"))
    lesions = [row for row, name in enumerate(bundle.mask_classes) if name != VENTRICLES]
    series = []
    for number, path in enumerate(paths):
        volume = read_volume(path)
        progress(number + 1, len(paths))
        try:
            output, prepared = bundle.see(volume)
        except EncodingError:
            continue
        participant = path.name.split("_")[0]
        series.append(
            SeenSeries(
                group=diagnoses[participant],
                participant=participant,
                sequence=str(volume.sequence),
                stripped=float((volume.voxels == volume.voxels.min()).mean()) > STRIPPED_AIR,
                partial=prepared.partial,
                embedding=_unit(output.embedding[0].numpy()),
                findings=output.findings[0].numpy(),
                pointed=_points_at_lesion(output.masks[0].numpy()[lesions], prepared, _mask_of(dataset, path)),
            )
        )
    return series


def vision_table(figures: Figures) -> str:
    """The figures of either evaluation as Markdown."""
    lines = [f"n = {figures['n']}{' series' if 'people' in figures else ' phantom examinations'}; positives/n.", ""]
    lines.append(areas_table(figures["groups"]))
    if "scan to report" in figures:
        matching = figures["scan to report"]
        cells = [f"{name} {value:.2f} ({low:.2f}-{high:.2f})" for name, (value, low, high) in matching.items()]
        lines += ["", f"Scan (all series) to its report among {figures['n']}: {', '.join(cells)}."]
    for group, (hits, total) in figures.get("pointing", {}).items():
        lines += ["", f"Pointing game, {group}: {hits} of {total} series with a mask."]
    return "\n".join(lines)


def _matching(scans: Array, reports: Array) -> Figures:
    cosines = scans @ reports.T
    ranks = (cosines > np.diag(cosines)[:, None]).sum(axis=1) + 1
    found = {f"R@{depth}": (ranks <= depth).astype(np.float64) for depth in (1, 10)}
    return {name: (float(values.mean()), *mean_interval(values)) for name, values in found.items()}


def _mask_of(dataset: Path, scan: Path) -> Volume | None:
    path = dataset / "derivatives" / "lesions" / scan.relative_to(dataset)
    path = path.with_name(path.name.replace(".nii.gz", "_mask.nii.gz"))
    return read_volume(path) if path.exists() else None


def _points_at_lesion(masks: Array, prepared: NetworkInput, truth: Volume | None) -> bool | None:
    """Whether the cell (two input voxels wide) of the highest lesion logit touches the true mask."""
    if truth is None:
        return None
    surest = np.unravel_index(int(masks.max(axis=0).argmax()), masks.shape[1:])
    place = prepared.affine @ np.array([*(2.0 * np.array(surest) + 0.5), 1.0])
    voxel = (np.linalg.inv(truth.affine) @ place)[:3]
    reach = np.linalg.norm(prepared.affine[:3, :3], axis=0) / np.array(truth.spacing)
    low = np.maximum(np.floor(voxel - reach), 0).astype(int)
    high = np.minimum(np.ceil(voxel + reach) + 1, truth.voxels.shape).astype(int)
    return bool(truth.voxels[tuple(slice(first, last) for first, last in zip(low, high, strict=True))].any())


def _pointing(series: Sequence[SeenSeries]) -> Figures:
    figures: Figures = {}
    for group in sorted({item.group for item in series}):
        hits = [item.pointed for item in series if item.group == group and item.pointed is not None]
        if hits:
            figures[group] = (sum(hits), len(hits))
    return figures


def _area(scores: NDArray[Any], labels: NDArray[np.bool_]) -> Figures:
    area, low, high = area_with_interval(np.asarray(scores, np.float64), labels)
    return {"auc": area, "interval": (low, high), "positives": int(labels.sum()), "n": len(labels)}


def _unit(embedding: Array) -> Array:
    return np.asarray(embedding / np.linalg.norm(embedding), np.float32)
