"""Trains the sequence networks on phantoms: one trunk over all kinds, then a network for each kind of MR sequence.

The trunk learns lesion masks and findings; each network starts from it and learns the report's text vector besides;
then nothing moves but how masks are drawn from what the network sees. The last layer is fitted in closed form by
`vision_fit`, which can be repeated alone when NeuroBERT changes. A killed training goes on from its last checkpoint
with the same examples, since every step draws from its own seed.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch

from training.vision_examples import NETWORKS, filling
from training.vision_loop import EncodeTexts, TextVectors, TrainingRun
from training.vision_settings import VisionTraining, VisionTrainingError, settings_that_differ
from training.worker_processes import process_pool

OpenTexts = Callable[[], EncodeTexts]  # goes to other processes
TRUNK = "trunk"
PATIENCE_SECONDS = 120.0


def train(config: VisionTraining, out: Path, open_texts: OpenTexts | None = None, start: Path | None = None) -> None:
    """Train the trunk, then every network, into `out`; what is finished there is not done again.

    The networks are trained side by side in as many processes as there are workers, each with its own text encoder.
    With `start`, a file of weights, the trunk starts from what of those fits; where it is a folder with a file for each
    network, as a bundle's, there is no trunk, and each network starts from its own.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    _begin(config, out)
    if start is not None and start.is_dir():
        missing = [name for name, _ in NETWORKS if not (start / f"{name}.safetensors").is_file()]
        if missing:
            raise VisionTrainingError(f"Expected weights of every network in {start}, found none of {missing}")
    seeds = (*config.fit_seeds, *config.test_seeds)
    with filling(config.examples(out), seeds, config.workers) as filled:
        if start is None or start.is_file():
            train_trunk(config, out, start)
            start = out / f"{TRUNK}.safetensors"
        else:
            filled()
    if config.workers < 2:
        vectors = None if open_texts is None else TextVectors(open_texts())
        for kind in range(len(NETWORKS)):
            tune_network(config, out, kind, vectors, start)
    else:
        with process_pool(config.workers, _open_process, (open_texts,)) as pool:
            list(pool.map(partial(_tune_in_process, config, out, start), range(len(NETWORKS))))


def _begin(config: VisionTraining, out: Path) -> None:
    """Keep the settings of a run; what was begun with others is not gone on with."""
    path = out / "training.json"
    if path.is_file():
        differ = settings_that_differ(config, json.loads(path.read_text("utf-8")))
        if differ:
            raise VisionTrainingError(f"{out} holds a run with another {', '.join(differ)}; give another folder")
    path.write_text(json.dumps(asdict(config), indent=1), "utf-8")


_of_process: list[TextVectors] = []  # of a process that tunes networks: texts are encoded once for all of them


def _open_process(open_texts: OpenTexts | None) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    _of_process.extend([] if open_texts is None else [TextVectors(open_texts())])


def _tune_in_process(config: VisionTraining, out: Path, start: Path, kind: int) -> None:
    tune_network(config, out, kind, _of_process[0] if _of_process else None, start)


def train_trunk(config: VisionTraining, out: Path, start: Path | None = None) -> None:
    """One network over all kinds: masks and findings, a few phantoms in one kind each a step."""
    steps = trunk_schedule(config)
    examples = config.examples(out)
    run = TrainingRun(config, out, TRUNK, len(steps), config.learning_rate)
    run.start_from(start)
    for step in range(run.step, len(steps)):
        pairs = [(examples.get(seed, patience=PATIENCE_SECONDS), kind) for seed, kind in steps[step]]
        run.update(step, pairs, None)
    run.finish()


def tune_network(config: VisionTraining, out: Path, kind: int, vectors: TextVectors | None, start: Path) -> None:
    """One kind's network, from the trunk or from its own file in a folder: masks, findings and, with vectors, text."""
    name, _ = NETWORKS[kind]
    weights = start / f"{name}.safetensors" if start.is_dir() else start
    if not config.mask_weight:  # then there is nothing that draws masks
        learn_kind(config, out, kind, vectors, name, start=weights)
        return
    tuned = learn_kind(config, out, kind, vectors, f"{name}-tuned", start=weights)
    learn_kind(config, out, kind, None, name, start=tuned, masks_only=True)


def learn_kind(
    config: VisionTraining,
    out: Path,
    kind: int,
    vectors: TextVectors | None,
    name: str,
    *,
    start: Path | None = None,
    seeds: Sequence[int] | None = None,
    masks_only: bool = False,
) -> Path:
    """A network for one kind, from the weights of `start` or from scratch; its file in `out`.

    It learns from the examples `seeds`, those of the training where none are given; with `masks_only` nothing but the
    drawing of masks.
    """
    examples = config.examples(out)
    volumes, rate = config.tune_volumes, config.tune_learning_rate
    if masks_only:
        volumes, rate = config.mask_volumes, config.mask_learning_rate
    count = volumes // config.tune_batch
    run = TrainingRun(config, out, name, count, rate, masks_only=masks_only)
    run.start_from(start)
    for step in range(run.step, count):
        rng = np.random.default_rng((config.seed, kind, step, int(masks_only)))
        drawn = rng.choice(np.array(seeds or config.train_seeds), config.tune_batch, replace=False)
        run.update(step, [(examples.get(int(seed)), kind) for seed in drawn], vectors)
    return run.finish()


def trunk_schedule(config: VisionTraining) -> list[tuple[tuple[int, int], ...]]:
    """Seed and kind of every volume of each step: windows of phantoms, each in every kind, `repeats` times over."""
    steps: list[tuple[tuple[int, int], ...]] = []
    for first in range(0, config.phantoms, config.window):
        window = config.train_seeds[first : first + config.window]
        pairs = np.array([(seed, kind) for seed in window for kind in range(len(NETWORKS))])
        for repeat in range(config.repeats):
            order = np.random.default_rng((config.seed, first, repeat)).permutation(pairs)
            whole = len(order) // config.batch * config.batch
            rows = order[:whole].reshape(-1, config.batch, 2)
            steps.extend(tuple((int(seed), int(kind)) for seed, kind in row) for row in rows)
    return steps
