"""The settings of a training of the sequence networks: one TOML file, and the phantoms that follow from it."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from encoders.preprocess import Preprocessing
from encoders.vision import INTRACRANIAL, LESION, SequenceNetwork, VisionConfig
from training.phantoms.canvas import MASK_CLASSES
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
    mask_volumes: int
    mask_learning_rate: float
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


# What may differ when a run goes on: it changes neither examples nor weights.
FREE = ("workers", "checkpoint_seconds", "ridge")
_AT_LEAST_ONE = (
    "phantoms",
    "window",
    "batch",
    "tune_volumes",
    "tune_batch",
    "mask_volumes",
    "fit_phantoms",
    "test_phantoms",
)
_SHARES = ("sentence_share", "share_normal")
_PARTS = {"ridge": float, "mask_classes": str, "channels": int, "blocks": int}


def load_config(path: Path) -> VisionTraining:
    """Read the TOML file; an unknown or a missing key, and a value that cannot be, are errors."""
    table = tomllib.loads(path.read_text("utf-8"))
    expected = {field.name for field in fields(VisionTraining)}
    if set(table) != expected:
        wrong = sorted(set(table) ^ expected)
        raise VisionTrainingError(f"Expected the keys of VisionTraining in {path.name}; unknown or missing: {wrong}")
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    for field in fields(VisionTraining):
        _check_type(field.name, str(field.type), values[field.name])
    config = VisionTraining(**values)
    _check_values(config)
    return config


def settings_that_differ(config: VisionTraining, earlier: Mapping[str, Any]) -> list[str]:
    """Names of the settings that are other than those a run was begun with, as `training.json` has them."""
    own = json.loads(json.dumps(asdict(config)))
    return sorted(name for name in own if name not in FREE and own[name] != earlier.get(name))


def _check_type(name: str, kind: str, value: object) -> None:
    def fits(one: object, wanted: type) -> bool:
        allowed = (int, float) if wanted is float else wanted
        return isinstance(one, allowed) and not isinstance(one, bool)

    if name in _PARTS:
        wanted = _PARTS[name]
        if not isinstance(value, tuple) or not value or not all(fits(one, wanted) for one in value):
            raise VisionTrainingError(f"Expected a list of {wanted.__name__} as {name}, got {value!r}")
    elif not fits(value, {"int": int, "float": float}[kind]):
        raise VisionTrainingError(f"Expected {kind} as {name}, got {value!r}")


def _check_values(config: VisionTraining) -> None:
    """Raise for what would end in a run that learns nothing, or measures on what it learned from."""
    values = {field.name: getattr(config, field.name) for field in fields(config)}
    wrong = [name for name in _AT_LEAST_ONE if values[name] < 1]
    wrong += [name for name in _SHARES if not 0 <= values[name] <= 1]
    wrong += [name for name, value in values.items() if isinstance(value, int | float) and not 0 <= value < math.inf]
    wrong += [name for name in ("ridge", "channels", "blocks") if min(values[name]) <= 0]
    if wrong:
        told = ", ".join(f"{name} = {values[name]}" for name in dict.fromkeys(wrong))
        raise VisionTrainingError(f"These settings are too low or too high: {told}")
    if config.tune_batch > min(config.tune_volumes, config.phantoms):
        raise VisionTrainingError(f"Expected tune_volumes and phantoms of at least tune_batch = {config.tune_batch}")
    known = {*MASK_CLASSES, INTRACRANIAL, LESION}
    if not set(config.mask_classes) <= known:
        raise VisionTrainingError(f"Expected mask classes out of {sorted(known)}, got {list(config.mask_classes)}")
    if set(config.fit_seeds) & set(config.test_seeds) or len(set(config.fit_seeds)) < len(config.fit_seeds):
        raise VisionTrainingError("Expected seeds of training, fit and test that do not overlap")
    SequenceNetwork(config.network)  # raises for channels and blocks that make no network
