"""What an encoder makes of one series, and whether findings may be scored by it.

The one rule of which series are scored stands here: uploads, stored examinations and a site's calibration all keep it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

LEAST_COVERAGE = 0.3  # of a brain: what shows less is like nothing that a threshold was measured on
NO_BRAIN = "it does not look like a brain MRI"


class EncodingError(ValueError):
    """A volume that no network of the bundle takes; `code` is `unknown_sequence` or `no_network`."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


@dataclass(frozen=True, slots=True)
class SeriesEncoding:
    """The embedding (D,) of one series, unit length, and what was noticed; `in_range`: looks like a brain MRI.

    `lesions` is the probability of each mask class at its surest place in the left and in the right half.
    """

    embedding: NDArray[np.float32]
    partial: bool
    coverage: float
    notes: tuple[str, ...]
    in_range: bool = True
    lesions: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def unscorable(self) -> str:
        """Why no finding may be scored by this series; empty where it may be."""
        if not self.in_range:
            return NO_BRAIN
        return "" if self.coverage >= LEAST_COVERAGE else f"it covers only {self.coverage:.0%} of the brain"
