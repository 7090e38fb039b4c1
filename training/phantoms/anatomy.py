"""A healthy individual out of the shipped maps: pose, shape, folding and age; tissue fractions at every brain point.

Only points inside the skull are computed (a fifth of the grid), as flat vectors of N points: that makes it quick.
Coordinates are template millimetres (RAS+, left is negative x). Lesions are left to `pathology`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

TISSUE_MAPS = (
    "grey",
    "white",
    "brain",
    "ventricles",
    "cerebellum",
    "stem",
    "thalamus",
    "striatum",
    "pallidum",
    "hippocampus",
)
DISTANCE_STEP_MM = 0.5
VENTRICLE_ZERO_MM = 32.0  # stored ventricle distances are raised by this so that they stay positive
CENTRE_MM = (0.0, -14.0, -4.0)  # template point at the middle of a phantom's grid
EXTENT_MM = (200.0, 240.0, 224.0)
FOLD_WAVELENGTH_MM = 13.0
HEAD_INSIDE = 1  # label of the head map where the brain maps apply
SELLA_MM = ((0.0, 4.0, -27.0), (7.0, 5.0, 6.0))  # middle and radii of the pituitary fossa: no brain in the maps


@dataclass(frozen=True, slots=True)
class AnatomyMaps:
    """The shipped maps as tensors on one device, with the affine that turns voxels into template mm."""

    tissue: Tensor  # (C, X, Y, Z) of TISSUE_MAPS, 0-1
    fields: Tensor  # (8, X/2, Y/2, Z/2): depth, ventricle distance (mm), and the gradient of each
    head: Tensor  # (1, X, Y, Z) label, float for sampling
    low: Tensor  # (3,) template mm of the first voxel
    high: Tensor  # (3,) template mm of the last voxel


@lru_cache(maxsize=4)
def load_maps(device: str = "cpu") -> AnatomyMaps:
    """Read data/anatomy.npz once for each device."""
    with resources.files("training.phantoms").joinpath("data/anatomy.npz").open("rb") as file:
        stored = dict(np.load(file, allow_pickle=False))
    tissue = np.stack([stored[name] for name in TISSUE_MAPS]).astype(np.float32) / 255
    depth = stored["depth"].astype(np.float32) * DISTANCE_STEP_MM
    ventricle = stored["ventricle_distance"].astype(np.float32) * DISTANCE_STEP_MM - VENTRICLE_ZERO_MM
    affine = stored["affine"]
    low = affine[:3, 3]
    high = low + (np.array(tissue.shape[1:]) - 1) * np.diag(affine)[:3]
    return AnatomyMaps(
        torch.from_numpy(tissue).to(device),
        _fields(torch.from_numpy(np.stack([depth, ventricle]))).to(device),
        torch.from_numpy(stored["head"][None].astype(np.float32)).to(device),
        torch.from_numpy(low.astype(np.float32)).to(device),
        torch.from_numpy(high.astype(np.float32)).to(device),
    )


def _fields(distances: Tensor) -> Tensor:
    """Distances and their unit gradients, smoothed, at half resolution: (2, X, Y, Z) -> (8, X/2, Y/2, Z/2)."""
    shape = [(n + 1) // 2 for n in distances.shape[1:]]
    coarse = F.interpolate(distances[None], size=shape, mode="trilinear", align_corners=True)
    smooth = F.avg_pool3d(F.pad(coarse, (1,) * 6, mode="replicate"), 3, stride=1)[0]
    gradients = []
    for one in smooth:
        direction = torch.stack(torch.gradient(one))
        gradients.append(direction / direction.norm(dim=0, keepdim=True).clamp_min(1e-3))
    return torch.cat([coarse[0], *gradients])


@dataclass(frozen=True, slots=True)
class Individual:
    """One person's head before any lesion: the grid, what lies around the brain, and the points inside the skull."""

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    head: Tensor  # (X, Y, Z) uint8 labels of head_shells.HEAD_LABELS
    inside: Tensor  # (N,) flat positions of the points inside the skull
    points: Tensor  # (N, 3) template mm, fixed to the skull
    scale: float  # world mm per template mm


def draw_individual(rng: np.random.Generator, spacing_mm: float, device: str, sella: float = 1.0) -> Individual:
    """Draw head size, pose and shape, and find which grid points lie in the skull; `sella` widens the fossa."""
    maps = load_maps(device)
    shape = tuple(round(extent / spacing_mm) for extent in EXTENT_MM)
    scale = rng.uniform(0.84, 1.04)
    linear = _rotation(np.deg2rad(rng.normal(0, 5, 3))) @ np.diag(scale * rng.normal(1, 0.025, 3).clip(0.93, 1.07))
    inverse = torch.from_numpy(np.linalg.inv(linear).astype(np.float32)).to(device)
    offset = torch.from_numpy((np.array(CENTRE_MM) + rng.normal(0, 3, 3)).astype(np.float32)).to(device)
    points = _warp(rng, shape, device)
    points += offset[:, None, None, None]
    for axis, count in enumerate(shape):
        along = (torch.arange(count, device=device) - (count - 1) / 2) * spacing_mm
        spread = [3] + [count if other == axis else 1 for other in range(3)]
        points += (inverse[:, axis, None] * along).reshape(spread)
    flat = points.reshape(3, -1).T
    labels = sample(maps.head, flat, maps, mode="nearest")[0].to(torch.uint8)
    middle, radii = flat.new_tensor(SELLA_MM[0]), flat.new_tensor(SELLA_MM[1]) * sella
    fossa = (((flat - middle) / radii) ** 2).sum(1) < 1
    labels[fossa & (flat[:, 2] < SELLA_MM[0][2] + 8)] = HEAD_INSIDE
    inside = torch.nonzero(labels == HEAD_INSIDE).squeeze(1)
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = [-(n - 1) / 2 * spacing_mm for n in shape]
    return Individual(shape, affine, labels.reshape(shape), inside, flat[inside], float(scale))  # type: ignore[arg-type]


def _rotation(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    cx, cy, cz = np.cos(angles)
    sx, sy, sz = np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x)


def _warp(rng: np.random.Generator, shape: tuple[int, ...], device: str) -> Tensor:
    """Smooth displacement in mm, (3, X, Y, Z): large slow waves and smaller quick ones."""
    total = torch.zeros((1, 3, 20, 24, 22), device=device)
    for knots, amplitude in (((5, 6, 5), 3.0), ((9, 11, 10), 1.6)):
        coarse = torch.from_numpy(rng.normal(0, amplitude, (1, 3, *knots)).astype(np.float32)).to(device)
        finer = F.interpolate(coarse, size=total.shape[2:], mode="trilinear", align_corners=True)
        total += F.avg_pool3d(F.pad(finer, (1,) * 6, mode="replicate"), 3, stride=1)
    return F.interpolate(total, size=shape, mode="trilinear", align_corners=True)[0]


def sample(volume: Tensor, points: Tensor, maps: AnatomyMaps, mode: str = "bilinear") -> Tensor:
    """Sample (C, X, Y, Z) that spans the maps' box at template points (N, 3) -> (C, N)."""
    unit = (points - maps.low) / (maps.high - maps.low) * 2 - 1
    grid = unit.flip(-1)[None, :, None, None]
    found = F.grid_sample(volume[None], grid, mode=mode, padding_mode="border", align_corners=True)
    return found[0, :, :, 0, 0]


def noise_at(points: Tensor, wavelength_mm: float, rng: np.random.Generator) -> Tensor:
    """Smooth random field of about unit variance at points (N, 3) mm -> (N,)."""
    step = wavelength_mm / 2
    low = points.amin(0)
    size = ((points.amax(0) - low) / step).ceil().int().tolist()
    knots = rng.standard_normal([n + 2 for n in size]).astype(np.float32)
    volume = torch.from_numpy(knots).to(points.device)[None, None]
    reach = torch.tensor([(n + 1) * step for n in size], device=points.device)
    grid = ((points - low) / reach * 2 - 1).flip(-1)[None, :, None, None]
    # Linear interpolation between independent knots halves the variance per axis on average; 1.84 = (2/3) ** -1.5.
    return F.grid_sample(volume, grid, mode="bilinear", align_corners=True)[0, 0, :, 0, 0] * 1.84


@dataclass(frozen=True, slots=True)
class Shape:
    """What age and disease make of a healthy brain: sulcal widening (logit), fold of the hippocampi left, right."""

    sulci: float
    hippocampus: tuple[float, float] = (1.0, 1.0)


def age_sulci(age: int) -> float:
    """Sulcal widening with age, as a change in log-odds of CSF: tight at 20, open at 90."""
    return -0.7 + 1.1 * max(age - 25, 0) / 60


def brain_tissue(points: Tensor, shape: Shape, rng: np.random.Generator) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Tissue fractions and regions at (displaced) template points.

    An individual is drawn from the template's uncertainty: log-probabilities of grey, white and CSF are shifted by a
    field whose zero sheets, carried inwards from the surface, play the part of sulci.

    Returns
    -------
    fractions : csf, grey, white, thalamus, striatum, pallidum, stem: (N,) each, summing to one
    regions : every map of TISSUE_MAPS, depth and ventricle distance in mm: (N,) each
    """
    maps = load_maps(str(points.device))
    regions = dict(zip(TISSUE_MAPS, sample(maps.tissue, points, maps), strict=True))
    distances = sample(maps.fields[:2], points, maps)
    regions |= {"depth": distances[0], "ventricle_distance": distances[1]}
    cerebrum = (1 - regions["cerebellum"] - regions["stem"]).clamp(0, 1)
    deep = (regions["thalamus"] + regions["striatum"] + regions["pallidum"] + 2 * regions["ventricles"]).clamp(0, 1)
    cortex = ((21 - regions["depth"]) / 8).clamp(0, 1) * cerebrum * (1 - deep)
    sulcus = noise_at(_carried(points), FOLD_WAVELENGTH_MM, rng).abs() * (FOLD_WAVELENGTH_MM / 6.0)
    csf = (regions["brain"] - regions["grey"] - regions["white"]).clamp(0, 1) + (1 - regions["brain"])
    floor = 0.012
    logits = torch.stack(
        [
            (csf + floor).log() + cortex * (2.3 * (-((sulcus / 0.9) ** 2)).exp() - 0.6 + shape.sulci),
            (regions["grey"] + floor).log() + cortex * (0.7 * (-(((sulcus - 2.2) / 1.8) ** 2)).exp()),
            (regions["white"] + floor).log() + cortex * (0.5 - 1.6 * (-((sulcus / 2.2) ** 2)).exp()),
        ]
    )
    rest_csf, grey, white = torch.softmax(1.7 * logits, 0)
    ventricles = (regions["ventricles"] * 1.1).clamp(0, 1)
    fractions = {"csf": rest_csf, "grey": grey, "white": white}
    give(fractions, "csf", ventricles)
    for name in ("thalamus", "striatum", "pallidum"):
        give(fractions, name, regions[name] * (1 - ventricles))
    give(fractions, "stem", regions["stem"] * 0.8 * (1 - fractions["csf"]))
    for side, left_over in zip((-1, 1), shape.hippocampus, strict=True):
        here = regions["hippocampus"] * (points[:, 0] * side > 0)
        give(fractions, "csf", here * (1 - left_over))
        give(fractions, "grey", here * left_over * 0.85)
    return fractions, regions


def _carried(points: Tensor) -> Tensor:
    """Points drawn towards the surface of an ellipsoid about the brain's middle, so that folds run inwards."""
    centre = torch.tensor((0.0, -18.0, 12.0), device=points.device)
    radii = torch.tensor((66.0, 84.0, 62.0), device=points.device)
    offset = (points - centre) / radii
    surface = offset / offset.norm(dim=1, keepdim=True).clamp_min(0.15)
    carried: Tensor = centre + radii * (0.3 * offset + 0.7 * surface)
    return carried


def give(fractions: dict[str, Tensor], name: str, amount: Tensor) -> None:
    """Let a tissue take `amount` (0-1) of every point, in proportion from the others."""
    for other in fractions:
        fractions[other] = fractions[other] * (1 - amount)
    fractions[name] = fractions.get(name, torch.zeros_like(amount)) + amount
