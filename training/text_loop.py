"""The loop that both of NeuroBERT's training stages run in: optimiser, schedule, progress, checkpoints.

A checkpoint is one safetensors file with the weights, the optimiser and torch's generator, and its numbers as
metadata; a run that was killed goes on from it to the same result. What one step computes is left to the stage.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

LOG = logging.getLogger(__name__)
_PROGRESS_SECONDS = 20.0


class CheckpointError(ValueError):
    """A checkpoint that belongs to another run."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Linear warm-up to `learning_rate`, then a half cosine to a tenth of it.

    Parameters whose names start with one of `head` are new, and learn `head_factor` times as fast as the network.
    """

    steps: int
    learning_rate: float
    warm_up: int
    weight_decay: float
    checkpoint_every: int
    seed: int
    head: tuple[str, ...] = ()
    head_factor: float = 1.0


@dataclass(frozen=True, slots=True)
class StageResult:
    name: str
    losses: tuple[float, ...]
    seconds: float


def run_stage(
    name: str,
    model: torch.nn.Module,
    loss_of_step: Callable[[int], torch.Tensor],
    schedule: Schedule,
    checkpoint: Path,
    run_id: str,
) -> StageResult:
    """Train `model` in place. `loss_of_step` must depend on nothing but the step's number and the model."""
    optimizer = torch.optim.AdamW(_groups(model, schedule), lr=schedule.learning_rate, betas=(0.9, 0.98), fused=True)
    torch.manual_seed(schedule.seed)
    losses, seconds = _resume(checkpoint, model, optimizer, f"{run_id}/{name}")
    began = told = time.monotonic()
    first = len(losses)
    model.train()
    for step in range(first, schedule.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, schedule) * group["factor"]
        loss = loss_of_step(step)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(float(loss.detach()))
        now = time.monotonic()
        if now - told > _PROGRESS_SECONDS or step + 1 == schedule.steps:
            told = now
            _tell(name, losses, schedule.steps, (now - began) / (step + 1 - first))
        if (step + 1) % schedule.checkpoint_every == 0 or step + 1 == schedule.steps:
            _save(checkpoint, model, optimizer, losses, (f"{run_id}/{name}", seconds + now - began))
    model.eval()
    return StageResult(name, tuple(losses), seconds + time.monotonic() - began)


def learning_rate(step: int, schedule: Schedule) -> float:
    """The rate of one step.

    >>> learning_rate(0, Schedule(steps=10, learning_rate=1.0, warm_up=2, weight_decay=0, checkpoint_every=1, seed=0))
    0.5
    """
    if step < schedule.warm_up:
        return schedule.learning_rate * (step + 1) / schedule.warm_up
    done = (step - schedule.warm_up) / max(1, schedule.steps - schedule.warm_up)
    return schedule.learning_rate * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * done)))


def _groups(model: torch.nn.Module, schedule: Schedule) -> list[dict[str, Any]]:
    """Parameters by speed and by whether they decay (matrices do, biases and norms do not)."""
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        factor = schedule.head_factor if schedule.head and name.startswith(schedule.head) else 1.0
        decay = schedule.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((factor, decay), []).append(parameter)
    return [{"params": found, "factor": key[0], "weight_decay": key[1]} for key, found in groups.items()]


def _tell(name: str, losses: list[float], steps: int, seconds_a_step: float) -> None:
    recent = losses[-20:]
    left = (steps - len(losses)) * seconds_a_step / 60
    LOG.info(
        "%s: step %d of %d, %.2f s a step, loss %.3f, %.1f minutes left",
        name, len(losses), steps, seconds_a_step, sum(recent) / len(recent), left,
    )  # fmt: skip


def _save(
    path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, losses: list[float], run: tuple[str, float]
) -> None:
    tensors = {f"model/{key}": value.contiguous().clone() for key, value in model.state_dict().items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{number}/{key}": torch.as_tensor(value).clone() for key, value in state.items()}
    tensors["generator"] = torch.get_rng_state()
    aside = path.with_suffix(".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, aside, {"run": run[0], "losses": json.dumps(losses), "seconds": str(run[1])})
    aside.replace(path)


def _resume(
    path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, run: str
) -> tuple[list[float], float]:
    if not path.is_file():
        return [], 0.0
    device = next(model.parameters()).device
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        if metadata["run"] != run:
            raise CheckpointError(
                f"Expected a checkpoint of run {run} in {path.name}, got {metadata['run']}: the settings or the data"
                " differ; give another folder for the new run"
            )
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    model.load_state_dict({k.removeprefix("model/"): v for k, v in tensors.items() if k.startswith("model/")})
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer/"):
            _, number, slot = key.split("/")
            state.setdefault(int(number), {})[slot] = value if slot == "step" else value.to(device)
    whole = optimizer.state_dict()
    optimizer.load_state_dict({"state": state, "param_groups": whole["param_groups"]})
    torch.set_rng_state(tensors["generator"])
    return list(json.loads(metadata["losses"])), float(metadata["seconds"])
