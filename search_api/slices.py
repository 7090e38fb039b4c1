"""Slices of stored series as PNG pictures, in any plane, windowed, with pixels of equal width and height.

Radiological convention: the patient's left is on the viewer's right; superior and anterior are up; in the sagittal
plane anterior is on the viewer's left. Slices are counted along the axes of the RAS+ volume: from inferior, posterior
and left. Decoded series are kept in memory up to a number of bytes. Who may see them is left to the routes.
"""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from encoders.volume import Volume, VolumeError
from indexer.case_store import CaseStore
from indexer.series_files import read_stored_series

LEVELS = 65_535
LARGEST_SIDE = 1_024  # pixels
SMALLEST_SIDE = 32
_SAMPLED = 2_000_000  # voxels that percentiles are taken of


class Plane(StrEnum):
    """The plane of a slice; the axis of the volume that it is counted along is `axis`."""

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"

    @property
    def axis(self) -> int:
        return {Plane.SAGITTAL: 0, Plane.CORONAL: 1, Plane.AXIAL: 2}[self]


class Window(StrEnum):
    """Which part of the grey values is spread over black to white; percentiles of the tissue."""

    FULL = "full"
    SOFT = "soft"
    NARROW = "narrow"

    @property
    def percentiles(self) -> tuple[float, float]:
        return {Window.FULL: (0.0, 99.8), Window.SOFT: (5.0, 98.0), Window.NARROW: (25.0, 93.0)}[self]


class SourceMissing(ValueError):
    """The file of a stored series is no longer where it was."""


class SliceMissing(ValueError):
    """A slice number that the series does not have."""


class _Sized(Protocol):
    @property
    def size_bytes(self) -> int: ...


Kept = TypeVar("Kept", bound=_Sized)
Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Picture:
    """A volume for looking at: 16 bits a voxel (X, Y, Z), spacing in mm, the limits of each window, the key slices."""

    voxels: NDArray[np.uint16]
    spacing: tuple[float, float, float]
    windows: dict[Window, tuple[int, int]]
    key_slices: tuple[int, int, int]

    @property
    def size_bytes(self) -> int:
        return int(self.voxels.nbytes)


class BoundedCache(Generic[Kept]):
    """Keeps what was used last, up to a number of bytes; what several threads ask for at once is made once."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Kept] = OrderedDict()
        self._coming: dict[Hashable, Future[Kept]] = {}
        self._bytes = 0

    @property
    def size_bytes(self) -> int:
        return self._bytes

    def get(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """What is kept under a key, made now where it is not there; an exception of `make` goes to all who wait."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            waiting = self._coming.get(key)
            mine = waiting or Future[Kept]()
            if waiting is None:
                self._coming[key] = mine
        if waiting is not None:
            return waiting.result()
        try:
            made = make()
        except BaseException as error:
            with self._lock:
                del self._coming[key]
            mine.set_exception(error)
            raise
        with self._lock:
            del self._coming[key]
            self._keep(key, made)
        mine.set_result(made)
        return made

    def _keep(self, key: Hashable, made: Kept) -> None:
        if made.size_bytes > self._most:
            return
        self._kept[key] = made
        self._bytes += made.size_bytes
        while self._bytes > self._most:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= dropped.size_bytes


def read_stored(store: CaseStore, key: str, number: int) -> Volume:
    """The volume of a stored series. Raises CaseMissing, SourceMissing, VolumeError."""
    try:
        return read_stored_series(store, key, number)
    except VolumeError as error:
        if error.code in ("missing", "unreadable"):
            raise _source_missing() from error
        raise


def state_of(path: Path) -> tuple[str, int, int]:
    """What tells a file from a later one at the same place. Raises SourceMissing."""
    try:
        found = path.stat()
    except OSError as error:
        raise _source_missing() from error
    return str(path), found.st_mtime_ns, found.st_size


def _source_missing() -> SourceMissing:
    return SourceMissing("The file of this series is no longer there.")


def make_picture(volume: Volume) -> Picture:
    """Grey values as 16 bits, with the windows measured on the tissue."""
    voxels = volume.voxels
    step = max(1, int((voxels.size / _SAMPLED) ** (1 / 3)))
    sample = voxels[::step, ::step, ::step]
    low, high = (float(value) for value in np.percentile(sample, (0.1, 99.95)))
    if not high > low:
        low, high = float(voxels.min()), float(voxels.max())
    scale = LEVELS / (high - low) if high > low else 0.0
    grey = np.empty(voxels.shape, np.uint16)
    for x in range(len(voxels)):
        grey[x] = np.clip((voxels[x] - low) * scale, 0, LEVELS)
    levels = grey[::step, ::step, ::step]
    tissue = levels[levels > levels.mean() / 2]
    tissue = tissue if tissue.size else levels.ravel()
    windows = {window: _limits(tissue, window) for window in Window}
    return Picture(grey, volume.spacing, windows, _key_slices(levels, step, grey.shape))


def draw(picture: Picture, plane: Plane, number: int | None, window: Window, width: int | None = None) -> bytes:
    """One slice as PNG; `number` None is the key slice, `width` in pixels.

    Raises
    ------
    SliceMissing
        for a number below 0 or above the last
    """
    key_slice = picture.key_slices[plane.axis]
    index = slice_index(picture.voxels.shape[plane.axis], key_slice if number is None else number)
    grey = laid_out(np.take(picture.voxels, index, axis=plane.axis))
    low, high = picture.windows[window]
    eight = np.clip((grey.astype(np.float32) - low) * (255.0 / max(high - low, 1)), 0, 255).astype(np.uint8)
    image = Image.fromarray(eight)
    size = slice_size(picture.voxels.shape, picture.spacing, plane, width)
    if size != image.size:
        image = image.resize(size, Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=3)
    return stream.getvalue()


def slice_index(count: int, number: int) -> int:
    """A slice's number where there are `count`. Raises SliceMissing."""
    if not 0 <= number < count:
        raise SliceMissing(f"Expected a slice from 0 to {count - 1}, got {number}.")
    return number


def slice_size(
    shape: tuple[int, ...], spacing: tuple[float, float, float], plane: Plane, width: int | None
) -> tuple[int, int]:
    """Width and height in pixels of the pictures of a plane."""
    across, down = [spacing[axis] for axis in range(3) if axis != plane.axis]
    columns, rows = [shape[axis] for axis in range(3) if axis != plane.axis]
    return _size(columns * across, rows * down, min(across, down), width)


def _limits(tissue: NDArray[np.uint16], window: Window) -> tuple[int, int]:
    low, high = np.percentile(tissue, window.percentiles)
    return (0 if window is Window.FULL else int(low)), int(high)


def _key_slices(levels: NDArray[np.uint16], step: int, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """The middle of what is bright, along each axis."""
    bright = levels > levels.mean()
    middles = []
    for axis in range(3):
        profile = bright.sum(axis=tuple(other for other in range(3) if other != axis)).astype(np.float64)
        total = float(profile.sum())
        middle = float((profile * np.arange(len(profile))).sum()) / total if total else (len(profile) - 1) / 2
        middles.append(min(round(middle * step), shape[axis] - 1))
    return middles[0], middles[1], middles[2]


def laid_out(plane_values: NDArray[Number]) -> NDArray[Number]:
    """Rows from the top, columns from the viewer's left; both remaining axes end up reversed.

    Rising X is towards the patient's right, which is the viewer's left; rising Y towards anterior, rising Z upwards.
    """
    return plane_values[::-1, ::-1].T


def _size(across: float, down: float, pixel: float, width: int | None) -> tuple[int, int]:
    """Width and height in pixels of a field of view in mm."""
    columns = min(max(width or round(across / pixel), SMALLEST_SIDE), LARGEST_SIDE)
    rows = round(columns * down / across)
    if rows > LARGEST_SIDE:
        columns, rows = round(columns * LARGEST_SIDE / rows), LARGEST_SIDE
    return max(columns, 1), max(rows, 1)
