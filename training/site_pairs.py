"""A hospital's own pairs of scan and report: the networks of a bundle go on learning from the ingested examinations.

Pairs are prepared once into a folder of examples, as phantoms are, but without lesion masks: what a network learns from
is the report's vector and the findings that the report states. People are kept back whole, to measure before and after.
Calibrate the new bundle afterwards (training.calibration).
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.bundle import Bundle
from encoders.findings import ABNORMAL, Finding, raw_scores
from encoders.preprocess import preprocess
from indexer.case_store import CaseStore
from indexer.cases import CaseFilter, Examination
from indexer.finding_words import stated_findings
from indexer.series_files import read_stored_series
from training.assembly import assemble
from training.evaluation_vision import area, matching, unit_rows
from training.lent_findings import finding_directions, lend_findings
from training.phantoms.facts import FINDINGS
from training.text_space import phantom_targets, whitening
from training.vision import learn_kind
from training.vision_examples import NETWORKS, Example, ExampleTexts, quantise
from training.vision_fit import features_of, layer, ridge_regression, text_targets
from training.vision_loop import TextVectors, load_state, save_state
from training.vision_settings import VisionTraining, VisionTrainingError

KEPT_ONE_IN = 6  # people
LEAST_SERIES = 40  # of a network's kind, below which that network stays as it is
MORE_RIDGE = (10.0, 100.0)  # hardly any change of the last layer
REPORTS = 1500  # of phantoms, which the whitening of the targets is taken from

Array = NDArray[np.float32]
Progress = Callable[[int, int], None]
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SitePairs:
    """Numbers of the examples that have each of the K kinds: to learn from, and kept back."""

    config: VisionTraining
    learned: tuple[tuple[int, ...], ...]
    kept: tuple[tuple[int, ...], ...]


def train_on_site(config: VisionTraining, data: Path, out: Path, bundle: Bundle, progress: Progress) -> Path:
    """Train the networks of a bundle on the reported examinations of a data directory; the new bundle, `out`/bundle.

    Of `config`, `phantoms` is the most examinations that are taken, and the networks' shape is not looked at: that is
    the bundle's. What is finished in `out` is not done again.

    Raises
    ------
    VisionTrainingError
        no network has enough series, the bundle's networks are of a shape that is no longer trained, or `out` holds a
        run on other examinations
    """
    shape = bundle.network_config
    config = replace(config, mask_classes=shape.mask_classes, channels=shape.channels, blocks=shape.blocks)
    if config.network != shape:
        raise VisionTrainingError(
            f"Networks of the shape of bundle {bundle.name} are no longer trained; take a newer one"
        )
    pairs = prepare(config, data, out, bundle, progress)
    counts = {name: len(pairs.learned[kind]) for kind, (name, _) in enumerate(NETWORKS)}
    if max(counts.values()) < LEAST_SERIES:
        raise VisionTrainingError(f"Expected {LEAST_SERIES} reported series of one kind or more, got {counts}")
    vectors = TextVectors(bundle.encode_texts)
    held_back = whitening(phantom_targets(vectors, REPORTS))
    figures = {}
    for kind, (name, _) in enumerate(NETWORKS):
        shipped, learned = bundle.folder / "vision" / f"{name}.safetensors", out / f"{name}.safetensors"
        if counts[name] < LEAST_SERIES:
            shutil.copyfile(shipped, learned)
            continue
        before = _measured(pairs, out, kind, shipped, vectors, bundle)
        learn_kind(pairs.config, out, kind, vectors, name, start=shipped, seeds=pairs.learned[kind])
        _fit(pairs, learned, kind, vectors, held_back, bundle.findings)
        figures[name] = {"before": before, "after": _measured(pairs, out, kind, learned, vectors, bundle)}
        log.info("%s: %s", name, figures[name])
    (out / "metrics.json").write_text(json.dumps({"series": counts, "kept back": figures}, indent=1) + "\n", "utf-8")
    target = out / "bundle"
    target.mkdir(exist_ok=True)
    for file in ("findings.toml", "range.safetensors"):
        if (bundle.folder / file).exists():
            shutil.copyfile(bundle.folder / file, target / file)
    weights = {Path(entry.file).stem: entry.weight for entry in bundle.entries}
    assemble(f"{bundle.name}-site", bundle.folder / "text", out, pairs.config.network, weights, target)
    return target


def prepare(config: VisionTraining, data: Path, out: Path, bundle: Bundle, progress: Progress) -> SitePairs:
    """Read, preprocess and keep the reported examinations; those to learn from come first."""
    with CaseStore.open(data, read_only=True) as store:
        ids = store.matching(CaseFilter(reported=True))
        people = store.participants(ids.tolist())
        # A fixed order that has nothing to do with the order of the archive.
        chosen = sorted(ids.tolist(), key=lambda row: _digest(f"{people[row]} {row}"))[: config.phantoms]
        chosen.sort(key=lambda row: _kept_back(people[row]))
        learned = sum(not _kept_back(people[row]) for row in chosen)
        _begin(out, [store.examinations([row])[row].key for row in chosen])
        site = replace(
            config,
            seed=0,
            phantoms=learned,
            fit_phantoms=0,
            test_seed=learned,
            test_phantoms=len(chosen) - learned,
            mask_weight=0.0,
        )
        examples = site.examples(out)
        kinds: list[frozenset[int]] = []
        for number, row in enumerate(chosen):
            have = examples.folder / f"{number}.kinds.json"
            if not have.exists():
                example, there = _example(store, store.examinations([row])[row], bundle)
                examples.write(number, example)
                have.write_text(json.dumps(there), "utf-8")
            kinds.append(frozenset(json.loads(have.read_text("utf-8"))))
            progress(number + 1, len(chosen))
    having = [[number for number, there in enumerate(kinds) if kind in there] for kind in range(len(NETWORKS))]
    return SitePairs(
        site,
        tuple(tuple(number for number in numbers if number < learned) for numbers in having),
        tuple(tuple(number for number in numbers if number >= learned) for numbers in having),
    )


def _begin(out: Path, keys: list[str]) -> None:
    """Keep which examinations a run is on, in order; examples are numbered by it."""
    path = out / "pairs.json"
    if path.is_file() and json.loads(path.read_text("utf-8")) != keys:
        raise VisionTrainingError(f"{out} holds a run on other examinations than are ingested now; give another folder")
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(keys), "utf-8")


def _example(store: CaseStore, examination: Examination, bundle: Bundle) -> tuple[Example, list[int]]:
    """One examination as an example, and which kinds of series it has; of several of a kind the first is taken."""
    settings = bundle.preprocessing
    voxels = np.zeros((len(NETWORKS), *settings.shape), np.uint8)
    there: list[int] = []
    for kind, (_, sequences) in enumerate(NETWORKS):
        series = next((one for one in examination.series if one.sequence in sequences and not one.partial), None)
        if series is None:
            continue
        try:
            prepared = preprocess(read_stored_series(store, examination.key, series.number), settings)
        except (OSError, ValueError) as error:
            log.info("%s series %d left out: %s", examination.key, series.number, type(error).__name__)
            continue
        voxels[kind] = quantise(prepared.voxels, settings.clip)
        there.append(kind)
    report = examination.report
    if report is None:
        raise VisionTrainingError("Expected an examination with a report")
    sentences = tuple(sentence.text for sentence in report.sentences) or (report.text,)
    found = tuple(name for name in stated_findings(report) if name in FINDINGS)
    labels = np.zeros((len(NETWORKS), *(side // 2 for side in settings.shape)), np.uint8)
    return Example(voxels, labels, ExampleTexts(found, {}, report.text, sentences)), there


def _fit(
    pairs: SitePairs,
    weights: Path,
    kind: int,
    vectors: TextVectors,
    held_back: NDArray[np.float32],
    findings: Sequence[Finding],
) -> None:
    """Correct the last layer by ridge regression of what it leaves unexplained of the targets, whitened as it was."""
    config = replace(pairs.config, ridge=(*pairs.config.ridge, *MORE_RIDGE))
    out = weights.parent
    features, _ = features_of(config, out, kind, pairs.learned[kind], weights)
    targets = text_targets(config, out, pairs.learned[kind], vectors)
    state = load_state(weights)
    answered = layer(features, state, "embedding_head")
    last = (state["embedding_head.weight"].numpy(), state["embedding_head.bias"].numpy())
    weight, bias = lend_findings(last, features, state, finding_directions(findings, vectors))
    lent = features @ weight.T + bias - answered  # no part of the targets, and not to be corrected away
    left = (targets - targets.mean(axis=0)) @ held_back + lent - answered
    weight, bias, _ = ridge_regression(features, left, config.ridge)
    state["embedding_head.weight"] += torch.from_numpy(weight)
    state["embedding_head.bias"] += torch.from_numpy(bias)
    save_state(weights, {key: tensor.half() for key, tensor in state.items()})


def _measured(
    pairs: SitePairs, out: Path, kind: int, weights: Path, vectors: TextVectors, bundle: Bundle
) -> dict[str, Any]:
    """Area for abnormal by text, and scan to report, on the people kept back."""
    seeds: Sequence[int] = pairs.kept[kind]
    if not seeds:
        return {"n": 0}
    features, _ = features_of(pairs.config, out, kind, seeds, weights)
    state = load_state(weights)
    embeddings = unit_rows(layer(features, state, "embedding_head"))
    texts = [pairs.config.examples(out).texts(seed) for seed in seeds]
    truth = np.array([ABNORMAL in one.findings for one in texts])
    reports = vectors([one.report for one in texts])
    figures: dict[str, Any] = {"n": len(seeds), "scan to report": matching(embeddings, reports)}
    if 0 < truth.sum() < len(truth):
        abnormal = bundle.findings[0]
        scores = raw_scores(embeddings, vectors(abnormal.present), vectors(abnormal.absent))
        figures["abnormal"] = area(scores, truth)
    return figures


def _kept_back(participant: str) -> bool:
    return int(_digest(participant)[:8], 16) % KEPT_ONE_IN == 0


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
