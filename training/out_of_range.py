"""Learns for each network which pooled features are those of a brain: phantoms against volumes of other things.

Logistic regression with a strong penalty, since it has to hold on real scans, which differ from phantoms; so phantoms
also come varied as in the training, though with all of the head that they have. The threshold leaves one phantom in a
hundred out, less a margin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.bundle import Bundle
from encoders.in_range import FILE, RangeRule, save_rules
from encoders.preprocess import NetworkInput, preprocess
from encoders.volume import Volume
from training.calibration import worker_bundle
from training.other_things import draw_other
from training.phantoms.contrast import scan
from training.phantoms.pathology import make_phantom
from training.vision_losses import augment
from training.worker_processes import process_pool

PENALTY = 0.1
LEFT_OUT = 0.01  # of phantoms
MARGIN = 0.5  # of the way from that quantile down to the middle of the other things
LEAST_DEVIATION = 1e-2
OTHERS = 4  # other things a phantom
NO_LABELS = torch.zeros(1, 1, 1, 1)
_STEPS = 300

Array = NDArray[np.float32]


def learn_range(
    bundle: Bundle, seed: int, examples: int, workers: int, progress: Callable[[int, int], None]
) -> dict[str, RangeRule]:
    """Learn a rule for every network of a bundle from `examples` phantoms, OTHERS other things each, and write them."""
    found: list[tuple[Array, Array]] = []
    with process_pool(workers) as pool:
        for one in pool.map(partial(_features, bundle.folder), range(seed, seed + examples), chunksize=4):
            found.append(one)
            progress(len(found), examples)
    brains, others = (np.concatenate(part, axis=1) for part in zip(*found, strict=True))
    rules = {entry.file: fit_rule(*of_one) for entry, *of_one in zip(bundle.entries, brains, others, strict=True)}
    save_rules(rules, bundle.folder / FILE)
    return rules


def fit_rule(brains: Array, others: Array) -> RangeRule:
    """The rule that parts features (N, P) of brains from those of other things."""
    mean = brains.mean(axis=0)
    deviation = np.maximum(brains.std(axis=0), LEAST_DEVIATION).astype(np.float32)
    rule = RangeRule(mean, deviation, np.zeros_like(mean), 0.0, 0.0)
    standard = torch.from_numpy(np.concatenate([rule.standard(brains), rule.standard(others)]))
    truth = torch.cat([torch.ones(len(brains)), torch.zeros(len(others))])
    weight = torch.zeros(standard.shape[1], requires_grad=True)
    bias = torch.zeros(1, requires_grad=True)
    optimiser = torch.optim.Adam((weight, bias), lr=0.02)
    for _ in range(_STEPS):
        optimiser.zero_grad()
        wrong = torch.nn.functional.binary_cross_entropy_with_logits(standard @ weight + bias, truth)
        loss = wrong + PENALTY * weight.square().sum()
        torch.autograd.backward(loss)
        optimiser.step()
    learned = RangeRule(mean, deviation, weight.detach().numpy(), float(bias.detach()), 0.0)
    lowest = float(np.quantile(learned.likeness(brains), LEFT_OUT))
    middle = float(np.median(learned.likeness(others)))
    threshold = lowest - MARGIN * max(lowest - middle, 0.0)
    return RangeRule(mean, deviation, learned.weight, learned.bias, threshold)


def _features(folder: Path, seed: int) -> tuple[Array, Array]:
    """Features (K, N, P) that the K networks pool of a phantom, as it is and varied, and of OTHERS other things."""
    bundle = worker_bundle(folder)
    phantom = make_phantom(seed)
    kinds = [entry.sequences[seed % len(entry.sequences)] for entry in bundle.entries]
    generator = torch.Generator().manual_seed(seed)
    others = [draw_other(OTHERS * seed + number, kinds[0])[1] for number in range(OTHERS)]
    prepared_others = [preprocess(other, bundle.preprocessing) for other in others]
    brains_seen, others_seen = [], []
    for kind in kinds:
        volume = scan(phantom, kind, seed)
        prepared = preprocess(volume, bundle.preprocessing)
        varied, _ = augment(torch.from_numpy(prepared.voxels)[None, None], NO_LABELS, generator)
        inputs = (prepared, replace(prepared, voxels=varied[0, 0].numpy()))
        brains_seen.append([_pooled(bundle, volume, one) for one in inputs])
        pairs = zip(others, prepared_others, strict=True)
        others_seen.append([_pooled(bundle, replace(other, sequence=kind), one) for other, one in pairs])
    return np.array(brains_seen, np.float32), np.array(others_seen, np.float32)


def _pooled(bundle: Bundle, volume: Volume, prepared: NetworkInput) -> Array:
    return np.asarray(bundle.see_input(volume, prepared).features[0].numpy(), np.float32)
