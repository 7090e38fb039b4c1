"""Trains the sequence networks on phantoms: one trunk over all kinds, then a network for each kind of MR sequence.

The trunk learns lesion masks and findings; each network starts from it and learns the report's text vector besides. The
last layer is then fitted in closed form by `vision_fit`, which can be repeated alone when NeuroBERT changes. A killed
training goes on from its last checkpoint with the same examples, since every step draws from its own seed.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from encoders.preprocess import Preprocessing
from encoders.vision import INTRACRANIAL, SequenceNetwork
from training.phantoms.facts import FINDINGS
from training.precision import autocast
from training.vision_examples import INTENSITY_LEVELS, NETWORKS, Example, ExampleTexts, filling
from training.vision_losses import augment, contrastive_loss, findings_loss, masks_loss, text_loss
from training.vision_settings import VisionTraining, VisionTrainingError, settings_that_differ
from training.worker_processes import process_pool

EncodeTexts = Callable[[Sequence[str]], NDArray[np.float32]]
OpenTexts = Callable[[], EncodeTexts]  # goes to other processes
TRUNK = "trunk"
PATIENCE_SECONDS = 120.0
LOG_STEPS = 20
STRIP_SHARE = 0.2

log = logging.getLogger(__name__)


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
    run = _Run(config, out, TRUNK, len(steps), config.learning_rate)
    if start is not None:
        run.start_from(start)
    for step in range(run.step, len(steps)):
        pairs = [(examples.get(seed, patience=PATIENCE_SECONDS), kind) for seed, kind in steps[step]]
        run.update(step, pairs, None)
    run.finish()


def tune_network(config: VisionTraining, out: Path, kind: int, vectors: TextVectors | None, start: Path) -> None:
    """One kind's network, from the trunk or from its own file in a folder: masks, findings and, with vectors, text."""
    name, _ = NETWORKS[kind]
    weights = start / f"{name}.safetensors" if start.is_dir() else start
    learn_kind(config, out, kind, vectors, name, start=weights)


def learn_kind(
    config: VisionTraining,
    out: Path,
    kind: int,
    vectors: TextVectors | None,
    name: str,
    *,
    start: Path | None = None,
    seeds: Sequence[int] | None = None,
) -> Path:
    """A network for one kind, from the weights of `start` or from scratch; its file in `out`.

    It learns from the examples `seeds`, those of the training where none are given.
    """
    examples = config.examples(out)
    count = config.tune_volumes // config.tune_batch
    run = _Run(config, out, name, count, config.tune_learning_rate)
    if start is not None:
        run.start_from(start)
    for step in range(run.step, count):
        rng = np.random.default_rng((config.seed, kind, step))
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


class TextVectors:
    """NeuroBERT's vectors of texts, each text encoded once."""

    def __init__(self, encode_texts: EncodeTexts) -> None:
        self._encode = encode_texts
        self._known: dict[str, NDArray[np.float32]] = {}

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known.update(zip(new, self._encode(new), strict=True))
        return np.stack([self._known[text] for text in texts])


def batch_tensors(
    pairs: Sequence[tuple[Example, int]], clip: float, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Voxels (B, 1, D, H, W), labels (B, d, h, w) and findings (B, F) of examples in one kind each."""
    voxels = torch.from_numpy(np.stack([example.voxels[kind] for example, kind in pairs]))[:, None].to(device)
    labels = torch.from_numpy(np.stack([example.labels[kind] for example, kind in pairs])).to(device)
    present = [[float(name in example.texts.findings) for name in FINDINGS] for example, _ in pairs]
    return voxels.float() * (clip / INTENSITY_LEVELS), labels, torch.tensor(present, device=device)


def load_state(path: Path) -> dict[str, Tensor]:
    """A network's state as float32."""
    from safetensors.torch import load_file

    return {name: tensor.float() for name, tensor in load_file(path).items()}


def save_state(path: Path, state: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write tensors whole or not at all."""
    from safetensors.torch import save_file

    temporary = path.with_suffix(".tmp")
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}, temporary, metadata)
    temporary.replace(path)


class _Run:
    """One network in training, with its optimiser, its checkpoints and its progress."""

    def __init__(self, config: VisionTraining, out: Path, name: str, steps: int, rate: float) -> None:
        self.config, self.out, self.name, self.steps, self.rate = config, out, name, steps, rate
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(config.seed)
        self.network = SequenceNetwork(config.network).to(self.device).train()
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=rate, weight_decay=config.weight_decay)
        self.step = 0
        self._recent: list[tuple[float, ...]] = []
        self._texts = cache(config.examples(out).texts)  # a thousandth of the examples' size
        if (out / f"{name}.safetensors").exists():
            self.step = steps
        elif self._checkpoint.exists():
            self._resume()
        self._started = self._saved = time.monotonic()
        self._first = self.step

    @property
    def _checkpoint(self) -> Path:
        return self.out / f"{self.name}.checkpoint.safetensors"

    def start_from(self, weights: Path) -> None:
        """Take what of a file's weights fits, unless steps were made already."""
        if self.step:
            return
        own, given = self.network.state_dict(), load_state(weights)
        fitting = {name: given[name] for name in own if name in given and given[name].shape == own[name].shape}
        log.info("%s: %d of %d tensors come from %s", self.name, len(fitting), len(own), weights.name)
        self.network.load_state_dict(own | fitting)

    def update(self, step: int, pairs: Sequence[tuple[Example, int]], vectors: TextVectors | None) -> None:
        """One step of gradient descent on examples in one kind each."""
        config = self.config
        sequence = np.random.SeedSequence((config.seed, step, pairs[0][1]))
        generator = torch.Generator().manual_seed(int(sequence.generate_state(1)[0]))
        voxels, labels, present = batch_tensors(pairs, Preprocessing().clip, self.device)
        strip_share = STRIP_SHARE if INTRACRANIAL in config.mask_classes else 0.0
        voxels, labels = augment(voxels, labels, generator, strip_share)
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate * _one_cycle(step / self.steps)
        with autocast(self.device):
            output = self.network(voxels)
        findings = findings_loss(output.findings, present)
        masks = masks_loss(output.masks, labels, config.mask_classes) if config.mask_weight else torch.zeros(())
        loss = config.mask_weight * masks + config.findings_weight * findings
        text = torch.zeros(())
        if vectors is not None:
            batch = [example.texts for example, _ in pairs]
            reports, sentences = self._targets(step, batch, vectors)
            text = text_loss(output.embedding, reports, sentences, config.sentence_share)
            loss = loss + config.text_weight * text
            if config.contrastive_weight:
                contrast = contrastive_loss(output.embedding, reports, *self._others(step, batch, vectors))
                loss = loss + config.contrastive_weight * contrast
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        length = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        if torch.isfinite(length):
            self.optimiser.step()
        else:  # oneDNN's bf16 now and then gives one that is not (torch 2.13, AVX512); one such step would end it all
            log.warning("%s: step %d left out, its gradient is not finite", self.name, step)
        self._recent.append((float(masks.detach()), float(findings.detach()), float(text.detach())))
        self.step = step + 1
        self._report(len(pairs))

    def finish(self) -> Path:
        """Write the finished state; the checkpoint is no longer needed."""
        target = self.out / f"{self.name}.safetensors"
        if not target.exists():
            save_state(target, {name: tensor.half() for name, tensor in self.network.state_dict().items()})
        self._checkpoint.unlink(missing_ok=True)
        return target

    def _targets(self, step: int, batch: Sequence[ExampleTexts], vectors: TextVectors) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((self.config.seed, step, 0x7E57))
        reports = vectors([texts.report for texts in batch])
        chosen = vectors([texts.sentences[int(rng.integers(len(texts.sentences)))] for texts in batch])
        return torch.from_numpy(reports).to(self.device), torch.from_numpy(chosen).to(self.device)

    def _others(self, step: int, batch: Sequence[ExampleTexts], vectors: TextVectors) -> tuple[Tensor, Tensor]:
        """Vectors of other phantoms' reports, and which of them state what a scan of the batch shows."""
        rng = np.random.default_rng((self.config.seed, step, 0x07E5))
        count = min(self.config.contrasted, self.config.phantoms)
        others = [self._texts(int(seed)) for seed in rng.choice(self.config.train_seeds, count, replace=False)]
        alike = [[set(one.findings) == set(texts.findings) for one in others] for texts in batch]
        found = vectors([texts.report for texts in others])
        return torch.from_numpy(found).to(self.device), torch.tensor(alike, device=self.device)

    def _report(self, volumes: int) -> None:
        now = time.monotonic()
        if self.step % LOG_STEPS == 0 or self.step == self.steps:
            masks, findings, text = np.mean(self._recent[-LOG_STEPS:], axis=0)
            rate = (self.step - self._first) / (now - self._started)
            left = (self.steps - self.step) / rate
            log.info(
                "%s %d/%d masks %.3f findings %.3f text %.3f, %.1f volumes/s, %.0f s left",
                *(self.name, self.step, self.steps, masks, findings, text, rate * volumes, left),
            )
        if now - self._saved > self.config.checkpoint_seconds:
            self._save()
            self._saved = now

    def _save(self) -> None:
        state = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        for index, moments in self.optimiser.state_dict()["state"].items():
            state |= {f"optimiser.{index}.{name}": tensor for name, tensor in moments.items()}
        save_state(self._checkpoint, state, {"step": str(self.step)})

    def _resume(self) -> None:
        from safetensors import safe_open

        moments: dict[int, dict[str, Tensor]] = {}
        network: dict[str, Tensor] = {}
        with safe_open(self._checkpoint, "pt") as stored:
            self.step = int(stored.metadata()["step"])
            for key in stored.keys():  # noqa: SIM118 - safe_open is no mapping
                kind, rest = key.split(".", 1)
                if kind == "network":
                    network[rest] = stored.get_tensor(key)
                else:
                    index, name = rest.split(".", 1)
                    moments.setdefault(int(index), {})[name] = stored.get_tensor(key)
        self.network.load_state_dict(network)
        state: dict[str, Any] = self.optimiser.state_dict()
        self.optimiser.load_state_dict(state | {"state": moments})
        log.info("%s goes on from step %d", self.name, self.step)


def _one_cycle(done: float) -> float:
    """Warm-up over the first twentieth, then a half cosine to a hundredth."""
    if done < 0.05:
        return 0.1 + 0.9 * done / 0.05
    return 0.01 + 0.99 * 0.5 * (1 + float(np.cos(np.pi * (done - 0.05) / 0.95)))
