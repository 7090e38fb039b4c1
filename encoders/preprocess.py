"""The one way from a volume to network input; training, indexing and upload all come through here.

The brain is found on a coarse copy (threshold, erosion, largest piece: the dark skull parts scalp and brain, so whole
heads and skull-stripped brains are framed alike), the frame is resampled to 2 mm, intensity is put over the median of a
central ellipsoid. What the network sees of it is left to `vision`.

Resampling goes along the volume's own axes, even where these are tilted against the scanner's: technicians tilt slices
to follow the head, so the own axes stand straighter in the anatomy than the scanner's do. Only left-right, front-back
and up-down are taken from the affine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from encoders.volume import Volume

ALGORITHM = 1  # raise with every change of what comes out, so that vectors of different preprocessing never mix
COARSE_MM = 4.0
EROSION_MM = 6.0  # more than the scalp, less than what would part the brain
FOREGROUND = 0.4  # of the median signal above the mean
TOP_AREA = 0.06  # of the largest cross-section: where the brain's top is taken to be
CRANIUM_MM = 90.0  # below the top: cranium only, neither face nor neck
BRAIN_RADIUS_Z_MM = 70.0
LARGEST = 1e20  # values above this are scaled down first: float32 ends at 3e38
FULL_EXTENT_MM = (105.0, 130.0, 110.0)  # the least that a whole brain of a child measures along X, Y, Z


class PreprocessingError(ValueError):
    """Settings of the preprocessing, or a volume, that cannot be used."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Settings that travel with the encoder; lengths in mm, `shape` in grid points along X, Y, Z."""

    spacing_mm: float = 2.0
    shape: tuple[int, int, int] = (80, 96, 80)
    top_margin_mm: float = 8.0  # from the grid's upper face to the top of the brain
    ellipsoid_mm: tuple[float, float, float] = (42.0, 58.0, 36.0)
    centre_below_top_mm: float = 66.0
    clip: float = 3.0
    partial_below: float = 0.7

    def digest(self) -> str:
        """Hash of every setting and of the algorithm's number."""
        text = json.dumps([ALGORITHM, self.to_dict()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        unknown = set(data) - set(cls.__dataclass_fields__)
        if unknown:
            raise PreprocessingError(f"Unknown preprocessing settings {sorted(unknown)}")
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in data.items()
        }
        return cls(**values)


@dataclass(frozen=True, slots=True)
class NetworkInput:
    """Voxels (D, H, W) = X, Y, Z of the grid, 0 to `clip`; `affine` (4, 4) takes grid points to mm of the scanner.

    `coverage` is the smallest share of a brain's extent that the volume shows along an axis; `partial` says that this
    is too little.
    """

    voxels: NDArray[np.float32]
    affine: NDArray[np.float64]
    coverage: float
    partial: bool


def preprocess(volume: Volume, settings: Preprocessing) -> NetworkInput:
    """Frame, resample and normalise one volume; deterministic, about 0.1 s for 256³ voxels on one thread."""
    volume = _within_range(volume)
    frame = _frame(volume)
    origin = _grid_origin(frame, settings)
    grid = _resample(volume, origin, settings)
    voxels = _normalise(grid, settings)
    spacing = np.array(volume.spacing)
    scale = np.diag((*(settings.spacing_mm / spacing), 1.0))
    scale[:3, 3] = origin / spacing
    coverage = float(min(1.0, *(frame.extent / np.array(FULL_EXTENT_MM))))
    return NetworkInput(voxels, volume.affine @ scale, coverage, coverage < settings.partial_below)


def _within_range(volume: Volume) -> Volume:
    """The volume, or a copy scaled down where sums of its values would overflow."""
    peak = max(float(volume.voxels.max()), -float(volume.voxels.min()))
    return volume if peak < LARGEST else replace(volume, voxels=volume.voxels / np.float32(peak))


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where the brain is, in mm along the volume's axes from its first voxel: middle of X and Y, top of Z, extent."""

    middle: tuple[float, float]
    top: float
    extent: NDArray[np.float64]


def _frame(volume: Volume) -> _Frame:
    coarse, spacing, offset = _coarse(volume)
    core = _core(coarse, spacing)
    radius = np.maximum(1, np.round(EROSION_MM / spacing)) * spacing
    areas = core.sum(axis=(0, 1))
    largest = float(areas.max())
    if not largest:
        raise PreprocessingError("Expected a volume with something in it, found nothing that stands out")
    levels = np.flatnonzero(areas >= TOP_AREA * largest)
    highest = int(levels.max())
    # A cap cut off by the field of view: of a ball of the brain's height, the slice's area tells how much is missing.
    cut = float(areas[highest]) / largest if highest + 2 >= len(areas) else 0.0
    missing = BRAIN_RADIUS_Z_MM * (1.0 - np.sqrt(max(0.0, 1.0 - cut))) if cut > 2 * TOP_AREA else 0.0
    lowest = max(0, highest - round(CRANIUM_MM / spacing[2]))
    cranium = core[:, :, lowest : highest + 1]
    along_x, along_y = _extent(cranium.sum(axis=(1, 2))), _extent(cranium.sum(axis=(0, 2)))
    sides = (along_x, along_y)
    middle = tuple(float((low + high) / 2 * spacing[axis] + offset[axis]) for axis, (low, high) in enumerate(sides))
    extent = np.array(
        [
            (high - low + 1) * spacing[axis] + 2 * radius[axis]
            for axis, (low, high) in enumerate((*sides, _extent(areas)))
        ]
    )
    # What lies outside the field of view was not seen: the erosion's margin counts only inside.
    extent = np.minimum(extent, np.array(coarse.shape) * spacing)
    top = float(highest * spacing[2] + offset[2] + min(radius[2], (len(areas) - 1 - highest) * spacing[2]) + missing)
    return _Frame((middle[0], middle[1]), top, extent)


def _coarse(volume: Volume) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
    """A copy of about 4 mm: every n-th voxel along X and Y, means along Z; its spacing and its first point in mm."""
    spacing = np.array(volume.spacing)
    step = np.maximum(1, np.round(COARSE_MM / spacing)).astype(int)
    count = volume.voxels.shape[2] // step[2]
    thinned = volume.voxels[step[0] // 2 :: step[0], step[1] // 2 :: step[1], : count * step[2]]
    coarse = thinned.reshape(*thinned.shape[:2], count, step[2]).mean(axis=3, dtype=np.float32)
    first = np.array([step[0] // 2, step[1] // 2, (step[2] - 1) / 2]) * spacing
    return coarse, spacing * step, first


def _core(coarse: NDArray[np.float32], spacing: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The brain without its rim: what is left of the foreground after erosion, largest connected piece."""
    from scipy import ndimage

    smooth = ndimage.uniform_filter(
        coarse, size=tuple(3 if s < 3.5 else 2 for s in spacing) if min(coarse.shape) > 16 else 1
    )
    foreground = smooth > _threshold(smooth)
    size = tuple(int(2 * max(1, round(EROSION_MM / s)) + 1) for s in spacing)
    thin = tuple(min(width, 1 if count < 16 else width) for width, count in zip(size, coarse.shape, strict=True))
    core = ndimage.minimum_filter(foreground, size=thin, mode="nearest")
    if not core.any():
        core = foreground
    labels, count = ndimage.label(core)
    if count > 1:
        core = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    return np.asarray(core, dtype=np.bool_)


def _threshold(smooth: NDArray[np.float32]) -> float:
    low = float(np.percentile(smooth, 1))
    above = smooth[smooth > smooth.mean()]
    return low + FOREGROUND * (float(np.median(above)) - low) if above.size else low


def _extent(profile: NDArray[np.int64]) -> tuple[float, float]:
    """First and last position where a profile reaches a twentieth of its maximum."""
    positions = np.flatnonzero(profile >= 0.05 * profile.max())
    return float(positions.min()), float(positions.max())


def _grid_origin(frame: _Frame, settings: Preprocessing) -> NDArray[np.float64]:
    """The first grid point in mm along the volume's axes."""
    span = (np.array(settings.shape) - 1) * settings.spacing_mm
    return np.array(
        [
            frame.middle[0] - span[0] / 2,
            frame.middle[1] - span[1] / 2,
            frame.top + settings.top_margin_mm - span[2] - settings.spacing_mm / 2,
        ]
    )


def _resample(volume: Volume, origin: NDArray[np.float64], settings: Preprocessing) -> NDArray[np.float32]:
    """Separable resampling as one small matrix product an axis, on the part of the volume that the grid touches."""
    shape, spacing = volume.voxels.shape, volume.spacing
    lines = [_weights(shape[axis], spacing[axis], float(origin[axis]), axis, settings) for axis in range(3)]
    grid = volume.voxels[tuple(slice(first, last) for _, first, last in lines)]
    # The axis that shrinks most goes first: fewer products, less memory.
    for axis in sorted(range(3), key=lambda axis: lines[axis][0].shape[0] / lines[axis][0].shape[1]):
        weights = lines[axis][0]
        if axis == 2:
            grid = grid @ weights.T
        elif axis == 1:
            grid = np.matmul(weights, grid)
        else:
            grid = (weights @ grid.reshape(grid.shape[0], -1)).reshape(len(weights), *grid.shape[1:])
    return np.ascontiguousarray(grid, dtype=np.float32)


def _weights(
    count: int, spacing: float, origin: float, axis: int, settings: Preprocessing
) -> tuple[NDArray[np.float32], int, int]:
    """Triangle weights (grid points, voxels) along one axis, for the voxels first to last that have any.

    The triangle is as wide as the voxels where these are larger than the grid's (linear interpolation), else three
    quarters of the grid's spacing to each side, which averages and so keeps fine detail from aliasing.
    """
    half = max(spacing, 0.75 * settings.spacing_mm)
    points = origin + settings.spacing_mm * np.arange(settings.shape[axis])
    places = spacing * np.arange(count)
    weights = np.maximum(0.0, 1.0 - np.abs(points[:, None] - places[None, :]) / half)
    inside = (points >= -spacing / 2) & (points <= places[-1] + spacing / 2)
    total = weights.sum(axis=1, keepdims=True)
    weights = np.where(inside[:, None] & (total > 0), weights / np.maximum(total, 1e-12), 0.0)
    used = np.flatnonzero(weights.any(axis=0))
    if not used.size:
        return np.zeros((len(points), 1), np.float32), 0, 1
    first, last = int(used[0]), int(used[-1]) + 1
    return weights[:, first:last].astype(np.float32), first, last


def brain_ellipsoid(settings: Preprocessing, radii_mm: tuple[float, float, float]) -> NDArray[np.bool_]:
    """The points (X, Y, Z) of the grid within an ellipsoid about the middle of where a brain is put."""
    centre = (np.array(settings.shape) - 1) / 2
    centre[2] = settings.shape[2] - (settings.top_margin_mm + settings.centre_below_top_mm) / settings.spacing_mm
    radii = np.array(radii_mm) / settings.spacing_mm
    x, y, z = (
        ((np.arange(n, dtype=np.float32) - c) / r) ** 2 for n, c, r in zip(settings.shape, centre, radii, strict=True)
    )
    return np.asarray(x[:, None, None] + y[None, :, None] + z[None, None, :] < 1.0)


def _normalise(grid: NDArray[np.float32], settings: Preprocessing) -> NDArray[np.float32]:
    low = float(np.percentile(grid[::2, ::2, ::2], 0.5))
    if low < -0.05 * float(grid.max()):
        grid = grid - np.float32(low)
    inside = grid[brain_ellipsoid(settings, settings.ellipsoid_mm)]
    signal = inside[inside > 0.05 * float(grid.max())]
    if signal.size < inside.size / 50:
        signal = grid[grid > 0.05 * float(grid.max())]
    reference = float(np.median(signal)) if signal.size else 1.0
    voxels: NDArray[np.float32] = np.clip(grid / np.float32(reference), 0.0, np.float32(settings.clip))
    return voxels
