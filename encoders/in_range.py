"""Whether a series looks like the brain MRI that its network was made for; what does not is not scored with confidence.

One linear rule a network over the features that it pools anyway. How it is learned is left to training.out_of_range; a
bundle without rules takes everything to be in range.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FILE = "range.safetensors"
_FURTHEST = 6.0  # deviations: one odd feature alone decides nothing


@dataclass(frozen=True, slots=True)
class RangeRule:
    """Features (P,) are in range where weight . (features - mean) / deviation + bias reaches `threshold`."""

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]
    weight: NDArray[np.float32]
    bias: float
    threshold: float

    def likeness(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """How much features (N, P) are those of a brain: log-odds (N,)."""
        return np.asarray(self.standard(features) @ self.weight + self.bias, np.float32)

    def standard(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features (N, P) in deviations from the mean, none of them beyond a bound."""
        deviations = (features - self.mean) / self.deviation
        return np.asarray(np.clip(deviations, -_FURTHEST, _FURTHEST), np.float32)

    def holds(self, features: NDArray[np.float32]) -> bool:
        """Whether features (P,) are in range."""
        return bool(self.likeness(features[None])[0] >= self.threshold)


def save_rules(rules: Mapping[str, RangeRule], path: Path) -> None:
    """Write the rules by their networks' names."""
    from safetensors.numpy import save_file

    tensors: dict[str, NDArray[np.float32]] = {}
    numbers = {}
    for name, rule in rules.items():
        tensors |= {f"{name}.{part}": getattr(rule, part) for part in ("mean", "deviation", "weight")}
        numbers[name] = [rule.bias, rule.threshold]
    save_file(tensors, path, {"numbers": json.dumps(numbers)})


def load_rules(path: Path) -> dict[str, RangeRule]:
    """The rules by their networks' names; none where there is no file."""
    if not path.is_file():
        return {}
    from safetensors import safe_open

    with safe_open(path, "np") as stored:
        numbers = json.loads(stored.metadata()["numbers"])
        return {
            name: RangeRule(
                *(stored.get_tensor(f"{name}.{part}") for part in ("mean", "deviation", "weight")), *numbers[name]
            )
            for name in numbers
        }
