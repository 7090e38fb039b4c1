"""The settings of a training of the sequence networks: one TOML file, and the phantoms that follow from it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from encoders.preprocess import Preprocessing
from encoders.vision import LESION, VisionConfig
from training.phantoms.facts import FINDINGS
from training.vision_examples import ExampleFolder

LESION_MAPS = "lesion_maps.npz"  # in the run's folder, where a folder of maps was given


class VisionTrainingError(ValueError):
    """A configuration or a checkpoint of the training that cannot be used."""


@dataclass(frozen=True, slots=True)
class VisionTraining:
    """Settings of one training; counts are phantoms, each rendered once in every kind of MR sequence.

    `share_normal` is that of the training's phantoms (those of the tests have a department's own); `sentence_share` is
    the part of the text loss that goes to one sentence; `contrasted` reports are the negatives of the contrastive term.
    """

    seed: int
    phantoms: int
    repeats: int
    window: int
    batch: int
    learning_rate: float
    tune_volumes: int
    tune_batch: int
    tune_learning_rate: float
    weight_decay: float
    mask_weight: float
    findings_weight: float
    text_weight: float
    sentence_share: float
    contrastive_weight: float
    contrasted: int
    share_normal: float
    fit_seed: int
    fit_phantoms: int
    ridge: tuple[float, ...]
    test_seed: int
    test_phantoms: int
    workers: int
    checkpoint_seconds: float
    mask_classes: tuple[str, ...]
    channels: tuple[int, ...]
    blocks: tuple[int, ...]

    @property
    def network(self) -> VisionConfig:
        return VisionConfig(FINDINGS, self.mask_classes, self.channels, self.blocks, refined=True)

    @property
    def train_seeds(self) -> range:
        return range(self.seed, self.seed + self.phantoms)

    @property
    def fit_seeds(self) -> tuple[int, ...]:
        """The phantoms that the last layer is fitted to: those of the training and fresh ones."""
        return (*self.train_seeds, *range(self.fit_seed, self.fit_seed + self.fit_phantoms))

    @property
    def test_seeds(self) -> range:
        return range(self.test_seed, self.test_seed + self.test_phantoms)

    def examples(self, out: Path) -> ExampleFolder:
        maps = out / LESION_MAPS
        return ExampleFolder(
            out / "examples",
            tuple(name for name in self.mask_classes if name != LESION),
            Preprocessing(),
            self.train_seeds,
            self.share_normal,
            maps if maps.exists() else None,
        )


def load_config(path: Path) -> VisionTraining:
    """Read the TOML file; an unknown or a missing key is an error."""
    table = tomllib.loads(path.read_text("utf-8"))
    expected = {field.name for field in fields(VisionTraining)}
    if set(table) != expected:
        wrong = sorted(set(table) ^ expected)
        raise VisionTrainingError(f"Expected the keys of VisionTraining in {path.name}; unknown or missing: {wrong}")
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    return VisionTraining(**values)
