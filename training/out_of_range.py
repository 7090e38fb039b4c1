"""Learns for each network which pooled features are those of a brain: phantoms against volumes of other things.

Logistic regression with a strong penalty, since it has to hold on real scans, which differ from phantoms. The threshold
leaves one phantom in a hundred out, less a margin.
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
from training.calibration import worker_bundle
from training.other_things import draw_other
from training.phantoms.contrast import scan
from training.phantoms.pathology import make_phantom
from training.worker_processes import process_pool

PENALTY = 0.1
LEFT_OUT = 0.01  # of phantoms
MARGIN = 0.5  # of the way from that quantile down to the middle of the other things
LEAST_DEVIATION = 1e-2
_STEPS = 300

Array = NDArray[np.float32]


def learn_range(
    bundle: Bundle, seed: int, examples: int, workers: int, progress: Callable[[int, int], None]
) -> dict[str, RangeRule]:
    """Learn a rule for every network of a bundle from `examples` phantoms and as many other things, and write them."""
    found: list[tuple[Array, Array]] = []
    with process_pool(workers) as pool:
        for one in pool.map(partial(_features, bundle.folder), range(seed, seed + examples), chunksize=4):
            found.append(one)
            progress(len(found), examples)
    brains, others = (np.stack(part, axis=1) for part in zip(*found, strict=True))
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
    """Features (K, P) that the K networks pool of a phantom, each of its own kind, and of one other thing."""
    bundle = worker_bundle(folder)
    phantom = make_phantom(seed)
    kinds = [entry.sequences[seed % len(entry.sequences)] for entry in bundle.entries]
    brains = [scan(phantom, kind, seed) for kind in kinds]
    _, other = draw_other(seed, kinds[0])
    others = [replace(other, sequence=kind) for kind in kinds]
    seen = [np.stack([bundle.see(volume)[0].features[0].numpy() for volume in volumes]) for volumes in (brains, others)]
    return seen[0], seen[1]
