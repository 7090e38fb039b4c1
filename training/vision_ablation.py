"""`neurorecall train vision-ablations`: what each part of the networks' objective brings, on one MR sequence.

Every run starts from scratch, takes as many steps over the same phantoms and adds one part to the one before; it is
shorter than the run that ships, so that figures compare with each other and with nothing else. The last layer is fitted
to the reports of phantoms as they are, without what the findings head lends that of the shipped networks, and measured
on phantoms of the training that no run saw, and on real scans.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.findings import Finding, raw_scores
from encoders.preprocess import Preprocessing, preprocess
from encoders.sequences import MRSequence
from encoders.vision import SequenceNetwork
from encoders.volume import read_volume
from training.evaluation_real import NORMALS, diagnoses
from training.evaluation_tables import interval_cell
from training.evaluation_vision import area, matching, unit_rows
from training.text_space import whitening
from training.vision import learn_kind
from training.vision_fit import features_of, ridge_regression, text_targets
from training.vision_loop import EncodeTexts, TextVectors, load_state
from training.vision_settings import VisionTraining

KIND, SEQUENCE = 3, MRSequence.FLAIR  # of training.vision_examples.NETWORKS
HELD_SHARE = 4  # one phantom in so many is held back
FINDING_NAMES = ("abnormal", "white_matter_lesions", "glioma", "infarct")

Array = NDArray[np.float32]
Changes = Mapping[str, float]

_PLAIN: Changes = {"mask_weight": 0.0, "findings_weight": 0.0, "sentence_share": 0.0, "contrastive_weight": 0.0}
VARIANTS: tuple[tuple[str, Changes], ...] = tuple(
    (name, {part: weight for part, weight in _PLAIN.items() if part not in added})
    for name, added in (
        ("squared error to the report's vector", ()),
        ("and lesion masks", ("mask_weight",)),
        ("and single sentences", ("mask_weight", "sentence_share")),
        ("and the contrastive term", ("mask_weight", "sentence_share", "contrastive_weight")),
        ("and findings, as shipped", tuple(_PLAIN)),
    )
)


@dataclass(frozen=True, slots=True)
class Measuring:
    """What every run is measured with: texts' vectors, findings, how many phantoms are held back, and real scans."""

    vectors: TextVectors
    findings: Sequence[Finding]
    held: int
    real: RealScans | None


@dataclass(frozen=True, slots=True)
class RealScans:
    """Network inputs (N, 1, D, H, W) of one MR sequence, whose they are, and whether the person is no normal one."""

    voxels: tuple[Array, ...]
    people: tuple[str, ...]
    abnormal: NDArray[np.bool_]


def run_ablations(
    config: VisionTraining,
    out: Path,
    encode_texts: EncodeTexts,
    findings: Sequence[Finding],
    dataset: Path | None,
    say: Callable[[str], None],
) -> str:
    """Train and measure every variant on the phantoms in `out`, a run of the vision training; the table as Markdown."""
    held = config.phantoms // HELD_SHARE
    by = Measuring(TextVectors(encode_texts), findings, held, None if dataset is None else _real_scans(dataset))
    rows: dict[str, Mapping[str, Any]] = {}
    for number, (name, changes) in enumerate(VARIANTS):
        figures = out / f"ablation-{number}.json"
        if not figures.is_file():
            say(name)
            rest = {"seed": config.seed + held, "phantoms": config.phantoms - held}
            weights = learn_kind(replace(config, **rest, **changes), out, KIND, by.vectors, f"ablation-{number}")  # type: ignore[arg-type]
            measured = _measured(config, out, weights, by)
            figures.write_text(json.dumps(measured, indent=1) + "\n", "utf-8")
        rows[name] = json.loads(figures.read_text("utf-8"))
    return _table(config, held, rows)


def _measured(config: VisionTraining, out: Path, weights: Path, by: Measuring) -> dict[str, Any]:
    """Figures on the first `held` phantoms; the last layer is fitted to the rest."""
    seeds, held, vectors = config.train_seeds, by.held, by.vectors
    features, _ = features_of(config, out, KIND, seeds, weights)
    targets = text_targets(config, out, seeds, vectors)
    centred = targets - targets.mean(axis=0)
    centred = centred @ whitening(centred)
    weight, bias, explained = ridge_regression(features[held:], centred[held:], config.ridge)
    embeddings = unit_rows(features[:held] @ weight.T + bias)
    read = [config.examples(out).texts(seed) for seed in seeds[:held]]
    reports = vectors([texts.report for texts in read])
    asked = {finding.name: finding for finding in by.findings if finding.name in FINDING_NAMES}
    figures: dict[str, Any] = {"explained": explained, "R@10": matching(embeddings, reports)["R@10"][0]}
    for name, finding in asked.items():
        truth = np.array([name in texts.findings for texts in read])
        figures[name] = area(_by_text(embeddings, finding, vectors), truth)
    if by.real is not None:
        network = SequenceNetwork(config.network).eval()
        network.load_state_dict(load_state(weights))
        with torch.inference_mode():
            seen = [network(torch.from_numpy(voxels)[None, None]).features[0].numpy() for voxels in by.real.voxels]
        scores = _by_text(unit_rows(np.stack(seen) @ weight.T + bias), asked["abnormal"], vectors)
        figures["real"] = area(scores, by.real.abnormal, by.real.people)
    return figures


def _by_text(embeddings: Array, finding: Finding, vectors: TextVectors) -> Array:
    return raw_scores(embeddings, vectors(finding.present), vectors(finding.absent))


def _real_scans(dataset: Path) -> RealScans:
    """Every whole series of the MR sequence in a BIDS dataset."""
    known = diagnoses(dataset)
    voxels, people = [], []
    for path in sorted(dataset.glob("sub-*/**/*.nii.gz")):
        volume = read_volume(path)
        if volume.sequence is SEQUENCE:
            prepared = preprocess(volume, Preprocessing())
            if not prepared.partial:
                voxels.append(prepared.voxels)
                people.append(path.name.split("_")[0])
    return RealScans(tuple(voxels), tuple(people), np.array([known[person] not in NORMALS for person in people]))


def _table(config: VisionTraining, held: int, rows: Mapping[str, Mapping[str, Any]]) -> str:
    names = [*FINDING_NAMES, *(("real",) if all("real" in row for row in rows.values()) else ())]
    titles = ["abnormal, real FLAIR" if name == "real" else name for name in names]
    lines = [
        f"FLAIR, {config.tune_volumes:,} volumes of {config.phantoms - held} phantoms a run, seed {config.seed}; "
        f"measured on {held} others. Areas by text, with 95 % intervals.",
        "",
        f"| objective | variance explained | scan to report, R@10 of {held} | {' | '.join(titles)} |",
        f"|---|---|---|{'---|' * len(names)}",
    ]
    for name, row in rows.items():
        cells = [interval_cell(row[key]["auc"], *row[key]["interval"]) for key in names]
        lines.append(f"| {name} | {row['explained']:.2f} | {row['R@10']:.2f} | {' | '.join(cells)} |")
    return "\n".join(lines)
