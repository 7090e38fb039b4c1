"""The loop that trains one sequence network: steps, rates, checkpoints, progress; and what it reads and writes.

Which networks are trained on what is left to `training.vision`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import cache
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
from training.vision_examples import INTENSITY_LEVELS, Example, ExampleTexts
from training.vision_losses import (
    JOINT_LESION_WEIGHT,
    LESION_WEIGHT,
    augment,
    contrastive_loss,
    findings_loss,
    masks_loss,
    text_loss,
)
from training.vision_settings import VisionTraining

EncodeTexts = Callable[[Sequence[str]], NDArray[np.float32]]
LOG_STEPS = 20
STRIP_SHARE = 0.2
MASK_PARTS = ("laterals", "refine", "mask_")  # what of a network draws the masks from the levels

log = logging.getLogger(__name__)


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


class TrainingRun:
    """One network in training, with its optimiser, its checkpoints and its progress."""

    def __init__(
        self, config: VisionTraining, out: Path, name: str, steps: int, rate: float, *, masks_only: bool = False
    ) -> None:
        """With `masks_only` nothing is learned but how masks are drawn from levels that stay as they are."""
        self.config, self.out, self.name, self.steps, self.rate = config, out, name, steps, rate
        self.masks_only = masks_only
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(config.seed)
        self.network = SequenceNetwork(config.network).to(self.device).train()
        for name_of, parameter in self.network.named_parameters():
            parameter.requires_grad_(not masks_only or name_of.startswith(MASK_PARTS))
        self._learned = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        self.optimiser = torch.optim.AdamW(self._learned, lr=rate, weight_decay=config.weight_decay)
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

    def start_from(self, weights: Path | None) -> None:
        """Take what of a file's weights fits, unless there is none or steps were made already."""
        if weights is None or self.step:
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
        masks = findings = torch.zeros(())
        if config.mask_weight:
            weight = LESION_WEIGHT if vectors is None else JOINT_LESION_WEIGHT
            masks = masks_loss(output.masks, labels, config.mask_classes, weight)
        loss = config.mask_weight * masks
        if not self.masks_only:
            findings = findings_loss(output.findings, present)
            loss = loss + config.findings_weight * findings
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
        length = torch.nn.utils.clip_grad_norm_(self._learned, 1.0)
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
