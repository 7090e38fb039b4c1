"""How brains move: masses push, the midline shifts, ventricles swell or shrink, a subdural collection presses in.

Everything is a map from skull-fixed points back to where that tissue came from, so tissue is sampled once, undistorted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.phantoms.anatomy import load_maps, sample

VENTRICLE_REACH_MM = 24.0


@dataclass(frozen=True, slots=True)
class Mass:
    """A ball that pushes: centre (template mm), radius in mm, and the share of its volume that displaces tissue."""

    centre: tuple[float, float, float]
    radius: float
    push: float


@dataclass(frozen=True, slots=True)
class Collection:
    """Something between brain and skull: its side, greatest depth in template mm, and whether it bulges as a lens."""

    side: str
    depth: float
    lens: bool = False


@dataclass(frozen=True, slots=True)
class Movement:
    """All that moves in one brain, in template mm."""

    masses: tuple[Mass, ...] = ()
    shift: float = 0.0  # of the midline, positive to the right
    swelling: tuple[float, float] = (0.0, 0.0)  # of the left and right ventricles' walls, negative when squeezed
    fourth: float = 0.0  # the same of the fourth ventricle
    collection: Collection | None = None


def trace_back(points: Tensor, movement: Movement) -> Tensor:
    """Where the tissue that is now at skull-fixed points (N, 3) lay in the undisturbed brain."""
    for mass in movement.masses:
        points = _push(points, mass)
    if movement.shift:
        distance = (points - points.new_tensor((0.0, -5.0, 18.0))) / points.new_tensor((34.0, 62.0, 40.0))
        points = points.clone()
        points[:, 0] -= movement.shift * (-(distance**2).sum(1)).exp()
    if movement.collection:
        points = _press_inwards(points, movement.collection)
    if any(movement.swelling) or movement.fourth:
        points = _swell(points, movement)
    return points


def collection_depth(points: Tensor, collection: Collection) -> Tensor:
    """Thickness in mm of a crescent over the convexity, or of a lens below the temple, at each point's direction."""
    sign = -1.0 if collection.side == "left" else 1.0
    middle, radii = (62.0, -12.0, 34.0), (58.0, 80.0, 52.0)
    if collection.lens:
        middle, radii = (66.0, -14.0, 18.0), (34.0, 36.0, 34.0)
    centre = points.new_tensor((sign * middle[0], *middle[1:]))
    away = (points - centre) / points.new_tensor(radii)
    over = ((points[:, 0] * sign - 7) / 10).clamp(0, 1)
    return collection.depth * (1 - (away**2).sum(1)).clamp_min(0).sqrt() * over


def _push(points: Tensor, mass: Mass) -> Tensor:
    """Volume-preserving outward push, r**3 = r0**3 + V, that dies away with distance."""
    centre = points.new_tensor(mass.centre)
    offset = points - centre
    radius = offset.norm(dim=1).clamp_min(1e-3)
    origin = (radius**3 - mass.push * mass.radius**3).clamp_min(0) ** (1 / 3)
    fade = (-((radius / (2.2 * mass.radius + 18)) ** 2)).exp()
    pushed: Tensor = centre + offset * (1 - fade * (1 - origin / radius))[:, None]
    return pushed


def _press_inwards(points: Tensor, collection: Collection) -> Tensor:
    maps = load_maps(str(points.device))
    fields = sample(maps.fields[:5], points, maps)
    below = fields[0]
    thickness = collection_depth(points, collection)
    # The surface layer comes from outside; deep tissue stays. Slope below one keeps the map one-to-one.
    amount = thickness * (-((below / (22 + 1.2 * collection.depth)) ** 2)).exp()
    return points - fields[2:5].T * amount[:, None]


def _swell(points: Tensor, movement: Movement) -> Tensor:
    maps = load_maps(str(points.device))
    fields = sample(maps.fields, points, maps)
    distance, direction = fields[1], fields[5:8].T
    left = ((4 - points[:, 0]) / 8).clamp(0, 1)
    above = ((points[:, 2] + 22) / 6).clamp(0, 1)
    lateral = movement.swelling[0] * left + movement.swelling[1] * (1 - left)
    amount = lateral * above + movement.fourth * (1 - above)
    amount = amount * (-((distance.clamp_min(0) / VENTRICLE_REACH_MM) ** 2)).exp()
    # Never past the ventricle's middle, beyond which lies the opposite wall.
    amount = torch.minimum(amount, (distance + 1.6).clamp_min(0))
    # The third ventricle is a slit: its walls part less than those of the lateral ventricles.
    slit = torch.sigmoid((10 - points[:, 0].abs()) / 1.5) * torch.sigmoid((10 - points[:, 2]) / 2)
    amount = amount * (1 - 0.5 * slit)
    return points - direction * amount[:, None]


def draw_push(rng: np.random.Generator, low: float, high: float) -> float:
    """Share of a lesion's volume that pushes rather than replaces."""
    return float(rng.uniform(low, high))
