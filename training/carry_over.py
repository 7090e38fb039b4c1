"""Carries the sequence networks of a bundle over to another NeuroBERT without a scan.

A network's last layer answers with the vector that the report would have, by the NeuroBERT that it was fitted to. The
vectors of the same phantom reports by both text encoders give a linear map from the one space to the other, which is
put behind that layer. A fit to scans (training.vision_fit) is better where there is time for it.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoders import calibration_set
from encoders.text import NeuroBERT
from training.text_space import phantom_targets, whitening
from training.vision_loop import TextVectors

HELD_OUT = 5  # every fifth report measures the map
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class CarriedOver:
    """How well the map says the new vectors of held-out reports from the old ones: share of the variance explained."""

    reports: int
    explained: float


def carry_over(bundle: Path, text: Path, out: Path, reports: int = 1500) -> CarriedOver:
    """Write to `out` the bundle with the text encoder of the folder `text` and its networks carried over to it.

    The calibration is left out: the scores are others now. Its model card is left to be written.
    """
    loaded = (NeuroBERT.load(folder) for folder in (bundle / "text", text))
    targets = [phantom_targets(TextVectors(encoder.encode), reports) for encoder in loaded]
    centred = [target - target.mean(axis=0) for target in targets]
    old, new = (target @ whitening(target) for target in centred)
    weight, explained = _map_between(old, new)
    out.mkdir(parents=True, exist_ok=True)
    for name in ("bundle.json", "findings.toml"):
        shutil.copyfile(bundle / name, out / name)
    shutil.copytree(text, out / "text", dirs_exist_ok=True)
    (out / calibration_set.FILE).unlink(missing_ok=True)
    for entry in json.loads((bundle / "bundle.json").read_text("utf-8"))["networks"]:
        _carry(bundle / entry["file"], out / entry["file"], weight)
    return CarriedOver(reports, explained)


def _map_between(old: Array, new: Array) -> tuple[Array, float]:
    """Linear map (D, D') from rows to rows, by ridge regression with the penalty that held-out rows prefer."""
    held = np.arange(len(old)) % HELD_OUT == 0
    found = [(_explained(_ridge(old[~held], new[~held], one), old[held], new[held]), one) for one in PENALTIES]
    explained, penalty = max(found)
    return _ridge(old, new, penalty), explained


def _ridge(old: Array, new: Array, penalty: float) -> Array:
    gram = old.T.astype(np.float64) @ old + penalty * len(old) / old.shape[1] * np.eye(old.shape[1])
    return np.asarray(np.linalg.solve(gram, old.T @ new), dtype=np.float32)


def _explained(weight: Array, old: Array, new: Array) -> float:
    return 1 - float(((old @ weight - new) ** 2).sum() / ((new - new.mean(axis=0)) ** 2).sum())


def _carry(source: Path, target: Path, weight: Array) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    target.parent.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.float() for name, tensor in load_file(source).items()}
    behind = torch.from_numpy(weight)
    state["embedding_head.weight"] = behind.T @ state["embedding_head.weight"]
    state["embedding_head.bias"] = state["embedding_head.bias"] @ behind
    save_file({name: tensor.half().contiguous() for name, tensor in state.items()}, target)
