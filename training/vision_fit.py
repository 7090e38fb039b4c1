"""Fits the last layer of trained sequence networks to NeuroBERT in closed form, and encodes kept-back phantoms.

The pooled features of a finished network stay as they are; ridge regression maps them to what `text_space` makes of the
report, less the mean over all phantoms. Every phantom counts twice: as it is, and varied as in the training, since what
is fitted to phantoms as they are leans on what real scans do not share. Features are kept in a folder, so a new
NeuroBERT needs minutes, not a new training.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.findings import Finding
from encoders.preprocess import Preprocessing
from encoders.vision import SequenceNetwork
from training.lent_findings import finding_directions, lend_findings
from training.phantoms.facts import FINDINGS
from training.precision import autocast
from training.text_space import target_of, whitening
from training.vision_examples import NETWORKS
from training.vision_loop import EncodeTexts, TextVectors, batch_tensors, load_state, save_state
from training.vision_losses import augment
from training.vision_settings import VisionTraining
from training.worker_processes import process_pool

FOLDS = 5
INFERENCE_BATCH = 4
STRIPPED_SHARE = 0.5  # of varied phantoms
LEAST_DEVIATION = 1e-2  # features that hardly vary are not blown up

log = logging.getLogger(__name__)
Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Cohort:
    """Phantoms in every kind of MR sequence: embeddings (N, K, D) unit, findings logits (N, K, F), labels (N, F)."""

    seeds: NDArray[np.int64]
    embeddings: Array
    findings: Array
    labels: NDArray[np.bool_]
    facts: tuple[str, ...]

    def save(self, path: Path) -> None:
        """Write as .npz: the arrays, the names of findings and networks, and each phantom's facts as JSON."""
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            np.savez_compressed(
                file,
                seeds=self.seeds,
                embeddings=self.embeddings.astype(np.float16),
                findings=self.findings,
                labels=self.labels,
                finding_names=np.array(FINDINGS),
                networks=np.array([name for name, _ in NETWORKS]),
                facts=np.array(self.facts),
            )
        temporary.replace(path)


def fit_embeddings(
    config: VisionTraining, out: Path, encode_texts: EncodeTexts, findings: Sequence[Finding]
) -> dict[str, float]:
    """Fit and write the embedding layer of every network; the share of variance explained on held-out folds.

    Besides, the findings head lends it what it knows of `findings`.
    """
    directions = finding_directions(findings, encode_texts)
    vectors = TextVectors(encode_texts)
    targets = text_targets(config, out, config.fit_seeds, vectors)
    # What all reports share says nothing about a scan, and would make any two scans nearly equal.
    targets -= targets.mean(axis=0)
    targets = targets @ whitening(targets)
    twice = np.concatenate([targets, targets])
    explained = {}
    for kind, (name, _) in enumerate(NETWORKS):
        ways = [features_of(config, out, kind, config.fit_seeds, varied=varied)[0] for varied in (False, True)]
        features = np.concatenate(ways)
        weight, bias, explained[name] = ridge_regression(features, twice, config.ridge, len(targets))
        state = load_state(out / f"{name}.safetensors")
        weight, bias = lend_findings((weight, bias), features, state, directions)
        state["embedding_head.weight"], state["embedding_head.bias"] = torch.from_numpy(weight), torch.from_numpy(bias)
        save_state(out / f"{name}.safetensors", {key: tensor.half() for key, tensor in state.items()})
        log.info("%s: the fit explains %.3f of the held-out variance", name, explained[name])
    return explained


def prepare_features(config: VisionTraining, out: Path) -> None:
    """Pool the features of all that the fit and the tests will ask for, networks side by side."""
    if config.workers > 1:
        with process_pool(config.workers) as pool:
            list(pool.map(partial(_pool_features, config, out), range(len(NETWORKS))))


def _pool_features(config: VisionTraining, out: Path, kind: int) -> None:
    for seeds in (config.fit_seeds, config.test_seeds):
        features_of(config, out, kind, seeds)
    features_of(config, out, kind, config.fit_seeds, varied=True)


def encode_cohort(config: VisionTraining, out: Path, seeds: Sequence[int]) -> Cohort:
    """Embeddings and findings of phantoms by the networks in `out`, with what is true of each phantom."""
    embeddings, findings = [], []
    for kind, (name, _) in enumerate(NETWORKS):
        features, _ = features_of(config, out, kind, seeds)
        state = load_state(out / f"{name}.safetensors")
        embedding = layer(features, state, "embedding_head")
        embeddings.append(embedding / np.linalg.norm(embedding, axis=1, keepdims=True))
        findings.append(layer(features, state, "findings_head"))
    examples = config.examples(out)
    read = [examples.texts(int(seed)) for seed in seeds]
    labels = np.array([[name in texts.findings for name in FINDINGS] for texts in read])
    facts = tuple(json.dumps(texts.facts) for texts in read)
    return Cohort(np.array(seeds), np.stack(embeddings, 1), np.stack(findings, 1), labels, facts)


def layer(features: Array, state: Mapping[str, torch.Tensor], name: str) -> Array:
    """What a linear layer of a network's state makes of features (N, P)."""
    return np.asarray(features @ state[f"{name}.weight"].numpy().T + state[f"{name}.bias"].numpy())


def features_of(
    config: VisionTraining,
    out: Path,
    kind: int,
    seeds: Sequence[int],
    weights: Path | None = None,
    *,
    varied: bool = False,
) -> tuple[Array, Array]:
    """Pooled features (N, P) and findings logits (N, F) of phantoms in one kind; kept in `out`/features.

    By the kind's network in `out`, or by that of the file `weights`; of the phantoms as they are, or with `varied` as
    in the training, half of them with nothing outside of the skull.
    """
    weights = weights or out / f"{NETWORKS[kind][0]}.safetensors"
    folder = out / "features"
    folder.mkdir(exist_ok=True)
    state = load_state(weights)
    of_which = f"{seeds[0]}-{len(seeds)}" + ("-varied" if varied else "")
    path = folder / f"{weights.stem}-{_digest_of_body(state)}-{of_which}.npz"
    if path.exists():
        with np.load(path, allow_pickle=False) as stored:
            return stored["features"], stored["findings"]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = SequenceNetwork(config.network).to(device).eval()
    network.load_state_dict(state)
    examples = config.examples(out)
    features, findings = [], []
    with torch.inference_mode(), autocast(device):
        for first in range(0, len(seeds), INFERENCE_BATCH):
            pairs = [(examples.get(int(seed)), kind) for seed in seeds[first : first + INFERENCE_BATCH]]
            voxels, labels, _ = batch_tensors(pairs, Preprocessing().clip, device)
            if varied:
                generator = torch.Generator().manual_seed(int(seeds[first]))
                voxels, _ = augment(voxels, labels, generator, STRIPPED_SHARE)
            output = network(voxels)
            features.append(output.features.float().cpu().numpy())
            findings.append(output.findings.float().cpu().numpy())
    both = np.concatenate(features), np.concatenate(findings)
    with path.with_suffix(".tmp").open("wb") as file:
        np.savez(file, features=both[0], findings=both[1])
    path.with_suffix(".tmp").replace(path)
    return both


def _digest_of_body(state: Mapping[str, torch.Tensor]) -> str:
    """Of every weight that features depend on: all but the last layer, which is fitted to them."""
    digest = hashlib.sha256()
    for key in sorted(state):
        if not key.startswith("embedding_head"):
            digest.update(state[key].half().numpy().tobytes())
    return digest.hexdigest()[:12]


def text_targets(config: VisionTraining, out: Path, seeds: Sequence[int], vectors: TextVectors) -> Array:
    """What `text_space` makes of the phantoms' reports, (N, D), neither centred nor whitened."""
    examples = config.examples(out)
    read = [examples.texts(int(seed)) for seed in seeds]
    vectors([text for texts in read for text in (texts.report, *texts.sentences)])
    return np.stack([target_of(texts.report, texts.sentences, vectors) for texts in read]).astype(np.float32)


def ridge_regression(
    features: Array, targets: Array, penalties: Sequence[float], examples: int | None = None
) -> tuple[Array, Array, float]:
    """Linear map features (N, P) -> targets (N, D), with the penalty that explains most on held-out fifths.

    Where `examples` come several times over, one after the other, each is held out whole.

    Returns
    -------
    weight (D, P), bias (D,), share of the held-out variance explained
    """
    folds = np.arange(len(features)) % (examples or len(features)) % FOLDS
    errors = []
    for penalty in penalties:
        error = 0.0
        for fold in range(FOLDS):
            weight, bias = _solve(features[folds != fold], targets[folds != fold], penalty)
            error += float(((features[folds == fold] @ weight.T + bias - targets[folds == fold]) ** 2).sum())
        errors.append(error)
    best = int(np.argmin(errors))
    total = float(((targets - targets.mean(axis=0)) ** 2).sum())
    weight, bias = _solve(features, targets, penalties[best])
    return weight, bias, 1 - errors[best] / total


def _solve(features: Array, targets: Array, penalty: float) -> tuple[Array, Array]:
    mean, deviation = features.mean(axis=0), np.maximum(features.std(axis=0), LEAST_DEVIATION)
    standard = ((features - mean) / deviation).astype(np.float64)
    offset = targets.mean(axis=0)
    gram = standard.T @ standard + penalty * len(features) * np.eye(standard.shape[1])
    solved = np.linalg.solve(gram, standard.T @ (targets - offset)).T / deviation
    return solved.astype(np.float32), (offset - solved @ mean).astype(np.float32)
