"""What lesions are painted on: tissue fractions of every point inside the skull, and the masks that result.

Knows shapes, not diseases: `focal` and `diffuse` say what is painted where.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from training.phantoms.anatomy import give, noise_at
from training.phantoms.lesion_maps import LesionMaps

MASK_CLASSES = ("tumour", "oedema", "white_matter_lesion", "infarct", "blood", "ventricles", "other")
MASK_LEVEL = 0.4  # a point belongs to a lesion when this much of it was painted
# Lesions that leave a part of the healthy tissue between them, from half of it to none: so they are faint or bright.
INFILTRATING = frozenset(
    (
        "plaque",
        "active_plaque",
        "white_matter_hyperintensity",
        "transependymal",
        "oedema",
        "gliosis",
        "acute_infarct",
        "enhancing_tumour",
        "low_grade_tumour",
    )
)
LEAST_REPLACED = 0.55


@dataclass(slots=True)
class Canvas:
    """Points, their tissue and their lesions, while a phantom is being made.

    points are skull-fixed template mm (N, 3); origin is where each point's tissue came from; scale is world mm per
    template mm and voxel_ml the volume of one point.
    """

    points: Tensor
    origin: Tensor
    fractions: dict[str, Tensor]
    regions: dict[str, Tensor]
    rng: np.random.Generator
    scale: float
    voxel_ml: float
    masks: dict[str, Tensor] = field(default_factory=dict)
    lesion_maps: LesionMaps | None = None

    def paint(self, tissue: str, amount: Tensor, mask: str | None = None) -> Tensor:
        """Turn `amount` (0-1) of every point into a tissue; returns what belongs to the lesion.

        Of INFILTRATING tissues only a part is given, drawn anew each time.
        """
        part = float(self.rng.uniform(LEAST_REPLACED, 1)) if tissue in INFILTRATING else 1.0
        give(self.fractions, tissue, amount * part)
        marked = amount > MASK_LEVEL
        if mask:
            self.masks[mask] = self.masks.get(mask, torch.zeros_like(marked)) | marked
        return marked

    def blob(self, centre: tuple[float, float, float], radius: float, rough: float, stretch: float = 0.12) -> Tensor:
        """Distance to an irregular ball's middle in units of its radius: below one is inside. Radius in template mm."""
        offset = self.points - self.points.new_tensor(centre)
        axes = self.points.new_tensor(np.exp(self.rng.normal(0, stretch, 3)).astype(np.float32))
        distance: Tensor = (offset / axes).norm(dim=1) / radius
        if rough <= 0:
            return distance
        near = distance < 2.5
        ripple = torch.zeros_like(distance)
        here = self.points[near]
        if len(here):
            waves = noise_at(here, max(radius * 1.1, 5), self.rng) + 0.5 * noise_at(
                here, max(radius * 0.5, 4), self.rng
            )
            ripple[near] = rough * waves
        return distance * torch.exp(ripple.clamp(-0.6, 0.6))

    def edge(self, distance: Tensor, radius: float, softness_mm: float = 1.2) -> Tensor:
        """Fraction inside a surface where distance is one, blurred over softness_mm."""
        return torch.sigmoid((1 - distance) * radius / softness_mm * 2)

    def brain(self) -> Tensor:
        """Share of every point that is not CSF."""
        return 1 - self.fractions["csf"]

    def volume_ml(self, mask: Tensor) -> float:
        volume: float = int(mask.sum()) * self.voxel_ml
        return round(volume, 2)

    def extent_mm(self, mask: Tensor) -> float:
        """Greatest extent of a mask along its own longest axis, in world mm."""
        found = self.points[mask]
        if len(found) < 8:
            return round(math.cbrt(len(found)) * 2, 1)
        centred = (found - found.mean(0)).double()
        _, _, axes = torch.linalg.svd(centred[:: max(1, len(centred) // 2000)], full_matrices=False)
        along = centred @ axes[0]
        ends = torch.quantile(along[:: max(1, len(along) // 4000)], along.new_tensor((0.01, 0.99)))
        length: float = float(ends[1] - ends[0]) * self.scale + 1
        return round(length, 1)
