"""Figures of trained sequence networks: on kept-back phantoms, and on real scans that nothing was trained on.

Areas under the curve with bootstrap intervals, by findings head and by text (nearness to sentences that state a finding
against sentences that deny it), and the pointing game: does the surest lesion voxel lie in the true mask. In the real
sets skull-stripping goes with disease, so whole heads and stripped brains are also counted apart.
"""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.findings import Finding, raw_scores
from encoders.preprocess import NetworkInput, Preprocessing, preprocess
from encoders.sequences import MRSequence
from encoders.vision import SequenceNetwork
from encoders.volume import Volume, read_volume
from training.intervals import area_with_interval
from training.phantoms.facts import FINDINGS
from training.vision import EncodeTexts, VisionTraining, load_state
from training.vision_examples import NETWORKS
from training.vision_fit import Cohort, encode_cohort, fit_embeddings

SUBSTITUTES = {MRSequence.PDW: MRSequence.T2W}
TUMOURS = ("glioma",)
STRIPPED_AIR = 0.5  # share of voxels that are exactly the lowest value, from which on a volume counts as skull-stripped
NORMALS = ("normal", "no known abnormality")
LESIONS_FROM = 1  # the first mask class is the ventricles, which are no lesion

log = logging.getLogger(__name__)
Array = NDArray[np.float32]
Figure = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RealSeries:
    """One real series: what is known of it and what the networks say."""

    name: str
    participant: str
    network: str
    diagnosis: str
    stripped: bool
    partial: bool
    embedding: Array
    findings: Array
    pointed: bool | None


def finish(
    config: VisionTraining,
    out: Path,
    findings: Sequence[Finding],
    encode_texts: EncodeTexts,
    dataset: Path | None = None,
) -> Figure:
    """Fit the last layers to NeuroBERT, encode the kept-back phantoms (`kept_back.npz`) and write `metrics.json`.

    Quick, and to be repeated whenever NeuroBERT changes. `dataset` is a BIDS folder of real scans, for evaluation only.
    """
    metrics: Figure = {"config": asdict(config), "explained": fit_embeddings(config, out, encode_texts)}
    cohort = encode_cohort(config, out, config.test_seeds)
    cohort.save(out / "kept_back.npz")
    metrics["phantoms"] = phantom_figures(cohort, findings, encode_texts)
    if dataset is not None:
        metrics["real"] = real_figures(config, out, dataset, findings, encode_texts)
    (out / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", "utf-8")
    return metrics


def phantom_figures(cohort: Cohort, findings: Sequence[Finding], encode_texts: EncodeTexts) -> Figure:
    """Areas under the curve on kept-back phantoms: each network by its head and by text, and all networks together."""
    fused = cohort.embeddings.mean(axis=1)
    fused /= np.linalg.norm(fused, axis=1, keepdims=True)
    figures: Figure = {"n": len(cohort.seeds)}
    views = [(name, cohort.embeddings[:, kind], cohort.findings[:, kind]) for kind, (name, _) in enumerate(NETWORKS)]
    views.append(("all", fused, cohort.findings.mean(axis=1)))
    for name, embeddings, logits in views:
        table: Figure = {}
        for finding in findings:
            if finding.name not in FINDINGS:
                continue
            column = FINDINGS.index(finding.name)
            labels = cohort.labels[:, column]
            scores = raw_scores(embeddings, encode_texts(finding.present), encode_texts(finding.absent))
            table[finding.name] = {"head": _area(logits[:, column], labels), "text": _area(scores, labels)}
        figures[name] = table
    return figures


def real_figures(
    config: VisionTraining, out: Path, dataset: Path, findings: Sequence[Finding], encode_texts: EncodeTexts
) -> Figure:
    """Areas under the curve and pointing game on a BIDS dataset of real scans; evaluation only."""
    series = encode_real(config, out, dataset)
    by_name = {finding.name: finding for finding in findings}

    def text_score(name: str) -> Callable[[RealSeries], float]:
        present, absent = encode_texts(by_name[name].present), encode_texts(by_name[name].absent)
        return lambda item: float(raw_scores(item.embedding[None], present, absent)[0])

    def head_score(name: str) -> Callable[[RealSeries], float]:
        return lambda item: float(item.findings[FINDINGS.index(name)])

    whole = [item for item in series if not item.partial]
    questions: dict[str, Callable[[RealSeries], bool]] = {
        "abnormal": lambda item: item.diagnosis not in NORMALS,
        "glioma": lambda item: item.diagnosis in TUMOURS,
        "white_matter_lesions": lambda item: item.diagnosis == "multiple sclerosis",
    }
    figures: Figure = {"series": len(series), "pointing": _pointing(series)}
    for name, question in questions.items():
        table: Figure = {}
        groups = [("all", whole)]
        groups += [(network, [item for item in whole if item.network == network]) for network, _ in NETWORKS]
        groups += [(f"{word}", [item for item in whole if item.stripped is state]) for word, state in _STRIPPING]
        for group, items in groups:
            labels = np.array([question(item) for item in items], np.bool_)
            if 0 < labels.sum() < len(labels):
                scores = {
                    way: np.array([score(name)(item) for item in items]) for way, score in _ways(head_score, text_score)
                }
                table[group] = {way: _area(values, labels) for way, values in scores.items()}
        figures[name] = table
    return figures


_STRIPPING = (("stripped", True), ("whole heads", False))


def _ways(head: Any, text: Any) -> tuple[tuple[str, Any], ...]:
    return (("head", head), ("text", text))


def encode_real(config: VisionTraining, out: Path, dataset: Path) -> list[RealSeries]:
    """Every series of a BIDS dataset whose MR sequence has a network."""
    with (dataset / "participants.tsv").open(encoding="utf-8") as file:
        people = {row["participant_id"]: row for row in csv.DictReader(file, delimiter="\t")}
    networks: dict[str, SequenceNetwork] = {}
    series = []
    for path in sorted(dataset.glob("sub-*/**/*.nii.gz")):
        volume = read_volume(path)
        sequence = SUBSTITUTES.get(volume.sequence, volume.sequence) if volume.sequence else None
        name = next((network for network, sequences in NETWORKS if sequence in sequences), None)
        if name is None:
            log.warning("%s has no network", path.name)
            continue
        if name not in networks:
            networks[name] = SequenceNetwork(config.network).eval()
            networks[name].load_state_dict(load_state(out / f"{name}.safetensors"))
        prepared = preprocess(volume, Preprocessing())
        with torch.inference_mode():
            output = networks[name](torch.from_numpy(prepared.voxels)[None, None])
        embedding = output.embedding[0].numpy()
        participant = path.name.split("_")[0]
        series.append(
            RealSeries(
                name=path.name,
                participant=participant,
                network=name,
                diagnosis=people[participant]["diagnosis"],
                stripped=float((volume.voxels == volume.voxels.min()).mean()) > STRIPPED_AIR,
                partial=prepared.partial,
                embedding=(embedding / np.linalg.norm(embedding)).astype(np.float32),
                findings=output.findings[0].numpy(),
                pointed=_points_at_lesion(output.masks[0].numpy(), prepared, _mask_of(dataset, path)),
            )
        )
    return series


def _mask_of(dataset: Path, scan: Path) -> Volume | None:
    path = dataset / "derivatives" / "lesions" / scan.relative_to(dataset)
    path = path.with_name(path.name.replace(".nii.gz", "_mask.nii.gz"))
    return read_volume(path) if path.exists() else None


def _points_at_lesion(masks: Array, prepared: NetworkInput, truth: Volume | None) -> bool | None:
    """Whether the cell with the highest lesion logit lies in the true mask, one cell's width allowed."""
    if truth is None:
        return None
    surest = np.unravel_index(int(masks[LESIONS_FROM:].max(axis=0).argmax()), masks.shape[1:])
    place = prepared.affine @ np.array([*(2.0 * np.array(surest) + 0.5), 1.0])
    voxel = (np.linalg.inv(truth.affine) @ place)[:3]
    reach = 2.0 * Preprocessing().spacing_mm / np.array(truth.spacing) / 2
    low = np.maximum(np.floor(voxel - reach), 0).astype(int)
    high = np.minimum(np.ceil(voxel + reach) + 1, truth.voxels.shape).astype(int)
    return bool(truth.voxels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))].any())


def _pointing(series: Sequence[RealSeries]) -> Figure:
    figures: Figure = {}
    for diagnosis in sorted({item.diagnosis for item in series}):
        hits = [item.pointed for item in series if item.diagnosis == diagnosis and item.pointed is not None]
        if hits:
            figures[diagnosis] = {"hits": sum(hits), "n": len(hits)}
    return figures


def _area(scores: NDArray[Any], labels: NDArray[np.bool_]) -> Figure:
    area, low, high = area_with_interval(np.asarray(scores, np.float64), labels)
    return {
        "auc": round(area, 3),
        "interval": [round(low, 3), round(high, 3)],
        "positives": int(labels.sum()),
        "n": len(labels),
    }
