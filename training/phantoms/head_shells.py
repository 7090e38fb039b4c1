"""Skull, scalp, orbits, sinuses, face and neck around a brain: a label volume, made from distances and solids.

Used by `build_anatomy` alone. Nothing here is measured from a person; it is there so that a whole-head phantom has what
a whole-head scan has around the brain: bright fat, dark bone, marrow, muscle, eyes and air.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

HEAD_LABELS = ("air", "inside", "csf", "bone", "marrow", "fat", "muscle", "skin", "vitreous", "lens", "mucosa", "dura")
DURA_MM = 1.6
SKULL_MM = 6.5
SCALP_MM = 13.0
AIR, INSIDE, CSF, BONE, MARROW, FAT, MUSCLE, SKIN, VITREOUS, LENS, MUCOSA, DURA = range(12)


@dataclass(frozen=True, slots=True)
class Grid:
    """A regular grid in MNI space: shape, and voxel to mm."""

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]

    @classmethod
    def covering(cls, low: tuple[float, ...], high: tuple[float, ...], spacing: float) -> Grid:
        affine = np.diag([spacing, spacing, spacing, 1.0])
        affine[:3, 3] = low
        x, y, z = (round((b - a) / spacing) + 1 for a, b in zip(low, high, strict=True))
        return cls((x, y, z), affine)

    def coordinates(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """MNI x, y, z of every voxel in mm."""
        axes = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in self.shape), indexing="ij")
        x, y, z = ((axis * self.affine[i, i] + self.affine[i, 3]).astype(np.float32) for i, axis in enumerate(axes))
        return x, y, z

    def sample(self, voxels: NDArray[np.float32], affine: NDArray[np.float64]) -> NDArray[np.float32]:
        """Resample a volume onto this grid, linearly, after a blur to this grid's spacing."""
        to_voxel = np.linalg.inv(affine) @ self.affine
        ratio = float(self.affine[0, 0]) / abs(float(affine[0, 0]))
        smooth = ndimage.gaussian_filter(voxels, 0.35 * ratio)
        return np.asarray(
            ndimage.affine_transform(smooth, to_voxel[:3, :3], to_voxel[:3, 3], output_shape=self.shape, order=1),
            np.float32,
        )


def head_labels(grid: Grid, brain: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Label every voxel of the grid with an index into HEAD_LABELS."""
    x, y, z = grid.coordinates()
    spacing = float(grid.affine[0, 0])
    inside = _smooth(ndimage.binary_closing(np.pad(brain, 12), iterations=7)[12:-12, 12:-12, 12:-12], 1.5)
    inside |= brain
    distance = ndimage.distance_transform_edt(~inside, sampling=spacing)
    head = _outline(grid, distance)
    skin_depth = ndimage.distance_transform_edt(np.pad(head, ((0, 0), (0, 0), (1, 0)), mode="edge"), sampling=spacing)
    skin_depth = skin_depth[:, :, 1:]
    texture = _texture(grid.shape, 5.0, 1)

    labels = np.where(head, MUSCLE, AIR).astype(np.uint8)
    labels[head & (texture > 0.35) & (z < -20)] = FAT
    labels[head & (skin_depth < 5.5)] = FAT
    vault = (distance > DURA_MM) & (distance <= SKULL_MM) & head
    thick = SKULL_MM + 1.5 * _texture(grid.shape, 14.0, 2)
    labels[head & (distance <= thick) & (distance > DURA_MM)] = BONE
    diploe = (distance > DURA_MM + 1.6) & (distance <= thick - 1.7) & (texture > -0.9)
    labels[vault & diploe] = MARROW
    temporal = (np.abs(x) > 55) & (z < 15) & (y > -20) & (y < 45) & (distance > thick) & (skin_depth > 5)
    labels[temporal & head] = MUSCLE
    _face(labels, (x, y, z), head, inside)
    _spine(labels, (x, y, z), head)
    labels[head & (skin_depth < 2.0)] = SKIN
    labels[(distance <= DURA_MM) & ~inside] = DURA
    labels[inside] = INSIDE
    return labels


def _smooth(mask: NDArray[np.bool_], sigma: float) -> NDArray[np.bool_]:
    return np.asarray(ndimage.gaussian_filter(mask.astype(np.float32), sigma) > 0.5)


def _texture(shape: tuple[int, int, int], sigma: float, seed: int) -> NDArray[np.float32]:
    """Smooth noise of unit variance; sigma in voxels."""
    rng = np.random.default_rng(seed)
    coarse = tuple(int(np.ceil(n / sigma)) + 4 for n in shape)
    noise = ndimage.gaussian_filter(rng.standard_normal(coarse), 0.8)
    fine = ndimage.zoom(noise, sigma, order=1)[tuple(slice(0, n) for n in shape)]
    return np.asarray(fine / fine.std(), np.float32)


def _outline(grid: Grid, distance: NDArray[np.float64]) -> NDArray[np.bool_]:
    x, y, z = grid.coordinates()

    def solid(centre: tuple[float, float, float], radii: tuple[float, float, float]) -> NDArray[np.bool_]:
        parts = [((c - m) / r) ** 2 for c, m, r in zip((x, y, z), centre, radii, strict=True)]
        return np.asarray(sum(parts) < 1)

    head = distance < SCALP_MM
    head |= solid((0, 25, -50), (67, 60, 75))
    head |= solid((0, 40, -85), (50, 48, 50))
    head |= (np.hypot(x / 60, (y + 28) / 58) < 1) & (z < -45)
    nose = solid((0, 84, -62), (15, 18, 16)) | solid((0, 82, -48), (9, 11, 20))
    ears = solid((76, -22, -32), (7, 14, 26)) | solid((-76, -22, -32), (7, 14, 26))
    return _smooth(_smooth(head, 4.0) | nose | ears, 1.2)


def _face(
    labels: NDArray[np.uint8],
    axes: tuple[NDArray[np.float32], ...],
    head: NDArray[np.bool_],
    inside: NDArray[np.bool_],
) -> None:
    x, y, z = axes
    side = np.abs(x)

    def ball(centre: tuple[float, float, float], radii: tuple[float, float, float]) -> NDArray[np.bool_]:
        level = (
            ((side - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2 + ((z - centre[2]) / radii[2]) ** 2
        )
        return np.asarray((level < 1) & head & ~inside)

    base = head & ~inside & (z < -22) & (z > -48) & (side < 58) & (y > -50) & (y < 40)
    labels[base & (labels != MUSCLE)] = BONE
    labels[ball((38, 50, -60), (18, 12, 22))] = BONE
    labels[ball((30, 40, -38), (20, 32, 19))] = FAT
    for radius, label in ((12.6, BONE), (12.0, VITREOUS)):
        labels[ball((32, 60, -38), (radius, radius, radius))] = label if label == VITREOUS else MUSCLE
    labels[ball((32, 69, -38), (4, 2.4, 4))] = LENS
    labels[(np.hypot(side - 32 + (60 - y) * 0.32, z + 38 + (60 - y) * -0.05) < 2.2) & (y < 49) & (y > 12) & ~inside] = (
        MUSCLE
    )
    for angle in range(4):
        dx, dz = 11 * np.cos(angle * np.pi / 2), 11 * np.sin(angle * np.pi / 2)
        muscle = np.hypot(side - 31 - dx * (y - 10) / 45 + (55 - y) * 0.25, z + 38 - dz * (y - 10) / 45) < 2.0
        labels[muscle & (y < 56) & (y > 14) & ~inside] = MUSCLE
    _air(labels, axes, head & ~inside)


def _air(labels: NDArray[np.uint8], axes: tuple[NDArray[np.float32], ...], where: NDArray[np.bool_]) -> None:
    x, y, z = axes
    side = np.abs(x)
    solids = (
        ((28.0, 46.0, -64.0), (13.0, 15.0, 15.0)),  # maxillary sinus
        ((9.0, 74.0, -14.0), (11.0, 5.0, 11.0)),  # frontal sinus
        ((8.0, 20.0, -36.0), (8.0, 12.0, 9.0)),  # sphenoid sinus
        ((10.0, 46.0, -42.0), (6.0, 16.0, 12.0)),  # ethmoid cells
        ((55.0, -32.0, -46.0), (7.0, 9.0, 12.0)),  # mastoid cells
        ((5.0, 48.0, -66.0), (4.0, 34.0, 11.0)),  # nasal cavity
        ((0.0, 2.0, -80.0), (11.0, 8.0, 30.0)),  # pharynx
    )
    cells = _texture(labels.shape, 2.6, 3)
    for index, (centre, radii) in enumerate(solids):
        level = np.sqrt(
            ((side - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2 + ((z - centre[2]) / radii[2]) ** 2
        )
        labels[(level < 1.12) & where & (labels != VITREOUS)] = MUCOSA if index in (0, 2, 5, 6) else BONE
        hollow = (level < 1.0) & where & (labels != VITREOUS)
        labels[hollow & (cells > -0.4) if index in (3, 4) else hollow] = AIR
    labels[(side < 1.2) & (y > 20) & (y < 80) & (z > -78) & (z < -54) & where] = MUCOSA
    turbinate = (np.hypot(side - 6, (z + 64) / 1.6) < 2.4) & (y > 25) & (y < 72) & where
    labels[turbinate] = MUCOSA
    tongue = (np.hypot(np.hypot(side / 24, (y - 42) / 34), (z + 98) / 18) < 1) & where
    labels[tongue] = MUSCLE


def _spine(labels: NDArray[np.uint8], axes: tuple[NDArray[np.float32], ...], head: NDArray[np.bool_]) -> None:
    x, y, z = axes
    cord = y + 46 + 0.1 * (z + 66)
    low = (z < -62) & head
    labels[low & (np.hypot(x / 17, (cord - 21) / 10) < 1)] = MARROW
    ring = np.hypot(x / 17, cord / 15)
    labels[low & (ring < 1) & (z < -72)] = BONE
    labels[low & (np.hypot(x, cord * 1.1) < 10)] = CSF
