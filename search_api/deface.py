"""The volume of a series for the viewer, with the face taken away: voxels in front of and below a plane are zero.

The plane stands in the frame of the encoders' preprocessing, which knows the top and the middle of the brain: from
under the temporal lobes it rises forward to below the frontal pole, through the orbits. Tissue that belongs to the
brain (connected with its middle once thin bridges are eroded) is kept on the near side of a second, lower plane. This
lowers the risk that a person is recognised; it is no proof of anonymity. Ears and the shape of the skull remain.
"""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.preprocess import NetworkInput, Preprocessing, preprocess
from encoders.volume import Volume

# In mm of the standard frame: forward of the brain's middle, and below its top. Of the MNI152 brain the lowest front
# (gyrus rectus) lies at (75, 105), the temporal pole at (40, 125); the eyeballs' centres at (78, 118).
PLANE_START = (45.0, 137.0)
PLANE_END = (82.0, 112.0)
SURE_BELOW_MM = 14.0  # further down along the plane's normal nothing is brain in any head that was looked at
ERODED_MM = 6.0
GROWN_MM = 8.0
TISSUE = 0.35  # of the reference signal of the preprocessing
_WHOLE = Preprocessing(shape=(112, 136, 112))  # roomier than the network's, so that a face is inside
LEVELS = 32_767


@dataclass(frozen=True, slots=True)
class DefacedVolume:
    """A compressed NIfTI-1 file; `removed` is the share of voxels that were set to zero."""

    content: bytes
    removed: float

    @property
    def size_bytes(self) -> int:
        return len(self.content)


def deface_series(volume: Volume) -> DefacedVolume:
    """A volume as a new file without the face, and without anything that its header said but the affine."""
    mask = face_mask(volume)
    voxels = np.where(mask, np.float32(min(0.0, float(volume.voxels.min()))), volume.voxels)
    return DefacedVolume(_nifti(voxels, volume.affine), float(mask.mean()))


def face_mask(volume: Volume) -> NDArray[np.bool_]:
    """True (X, Y, Z) where voxels of a volume are face."""
    prepared = preprocess(volume, _WHOLE)
    to_grid = np.linalg.inv(prepared.affine) @ volume.affine
    forward, down = _frame_places(volume.voxels.shape, to_grid)
    beyond = _beyond_plane(forward, down)
    face = np.broadcast_to(beyond > 0.0, volume.voxels.shape).copy()
    near = face & np.broadcast_to(beyond <= SURE_BELOW_MM, volume.voxels.shape)
    places = np.argwhere(near)
    if len(places):
        face[tuple(places.T)] = ~_at(_brain(prepared), places, to_grid)
    return face


def _frame_places(
    shape: tuple[int, ...], to_grid: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """How far each voxel lies forward of the brain's middle and below its top, in mm; broadcastable to X Y Z."""
    axes = [np.arange(count, dtype=np.float32) for count in shape]

    def grid_place(axis: int) -> NDArray[np.float32]:
        row = to_grid[axis].astype(np.float32)
        terms = [
            (row[0] * axes[0])[:, None, None] if abs(row[0]) > 1e-6 else np.zeros((1, 1, 1), np.float32),
            (row[1] * axes[1])[None, :, None] if abs(row[1]) > 1e-6 else np.zeros((1, 1, 1), np.float32),
            (row[2] * axes[2])[None, None, :] if abs(row[2]) > 1e-6 else np.zeros((1, 1, 1), np.float32),
        ]
        return np.asarray(terms[0] + terms[1] + terms[2] + row[3], np.float32)

    _, depth, height = _WHOLE.shape
    forward = (grid_place(1) - (depth - 1) / 2) * _WHOLE.spacing_mm
    top = height - 0.5 - _WHOLE.top_margin_mm / _WHOLE.spacing_mm
    down = (top - grid_place(2)) * _WHOLE.spacing_mm
    return np.asarray(forward, np.float32), np.asarray(down, np.float32)


def _beyond_plane(forward: NDArray[np.float32], down: NDArray[np.float32]) -> NDArray[np.float32]:
    """Distance in mm beyond the plane, towards the face; negative on the brain's side and behind the plane's start."""
    along, rise = PLANE_END[0] - PLANE_START[0], PLANE_END[1] - PLANE_START[1]
    length = float(np.hypot(along, rise))
    distance = (along * (down - PLANE_START[1]) - rise * (forward - PLANE_START[0])) / length
    behind = PLANE_START[0] - forward
    return np.asarray(np.where(behind > 0.0, -behind, distance), np.float32)


def _brain(prepared: NetworkInput) -> NDArray[np.bool_]:
    """The brain on the grid, generously: what hangs together with its middle once thin bridges are eroded."""
    from scipy import ndimage

    tissue = prepared.voxels > TISSUE
    steps = round(ERODED_MM / _WHOLE.spacing_mm)
    ball = ndimage.generate_binary_structure(3, 1)
    core = ndimage.binary_erosion(tissue, ball, iterations=steps)
    labels, count = ndimage.label(core)
    if not count:
        return np.asarray(tissue)
    largest = 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    return np.asarray(
        ndimage.binary_dilation(labels == largest, ball, iterations=round(GROWN_MM / _WHOLE.spacing_mm)), np.bool_
    )


def _at(grid: NDArray[np.bool_], places: NDArray[np.int64], to_grid: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The grid's values at voxels (N, 3); False outside of it."""
    found = np.rint(places @ to_grid[:3, :3].T + to_grid[:3, 3]).astype(np.int64)
    inside = ((found >= 0) & (found < np.array(grid.shape))).all(axis=1)
    values = np.zeros(len(places), np.bool_)
    values[inside] = grid[tuple(found[inside].T)]
    return values


def _nifti(voxels: NDArray[np.float32], affine: NDArray[np.float64]) -> bytes:
    """NIfTI-1 with 16-bit voxels, compressed quickly; the header holds geometry only."""
    low, high = float(voxels.min()), float(voxels.max())
    slope = max(abs(low), abs(high)) / LEVELS or 1.0
    return packed_nifti(np.rint(voxels / slope).astype(np.int16), affine, slope)


def packed_nifti(voxels: NDArray[np.integer[Any]], affine: NDArray[np.float64], slope: float | None = None) -> bytes:
    """A compressed NIfTI-1 file whose header says nothing but geometry, and the slope where one is given."""
    nibabel: Any = import_module("nibabel")

    image = nibabel.Nifti1Image(voxels, affine)
    if slope is not None:
        image.header.set_slope_inter(slope, 0.0)
    image.header.set_xyzt_units("mm")
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=1, mtime=0) as packed:
        image.to_stream(packed)
    return stream.getvalue()
