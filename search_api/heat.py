"""Heat maps of stored series for looking at: as overlay pictures beside the slices, and as a volume for the viewer.

Where heat comes from is left to encoders.explain, how slices are laid out to slices.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from encoders.bundle import Bundle, Encoder
from encoders.explain import HeatMap, explain_finding, explain_sentences
from encoders.text import TextError
from encoders.volume import Volume
from search_api.deface import packed_nifti
from search_api.query import QueryError
from search_api.slices import Plane, laid_out, slice_index, slice_size

HEAT_CACHE_BYTES = 64 * 1024**2  # some twenty-five heat maps
FAINT = 0.15  # heat below this is not shown
_OPAQUE = 190  # of 255, for the hottest


@dataclass(frozen=True, slots=True)
class ShownHeat:
    """Heat (X, Y, Z) 0-1 with what it takes to lay it over slices of its series."""

    heat: HeatMap
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    to_heat: NDArray[np.float64]  # (4, 4) voxels of the series to grid points of the heat

    @property
    def size_bytes(self) -> int:
        return int(self.heat.heat.nbytes)


def heat_of(encoder: Encoder, volume: Volume, finding: str | None, text: str | None) -> ShownHeat:
    """Heat of one series for a finding of the catalogue or for any sentence.

    Raises
    ------
    QueryError
        `one_of_two` unless exactly one is given, `no_words` for a sentence without one, `no_heat_map` where the
        encoder explains nothing
    ExplainError, EncodingError
        as encoders.explain
    """
    asked = (text or "").strip()
    if bool(finding) == bool(asked):
        raise QueryError("one_of_two", "Expected either a finding or a sentence", "Give finding or q, not both.")
    if not isinstance(encoder, Bundle):
        raise QueryError("no_heat_map", "This encoder does not say where a score comes from", "Load a bundle.")
    try:
        heat = explain_finding(encoder, volume, finding) if finding else explain_sentences(encoder, volume, (asked,))
    except TextError as error:
        raise QueryError("no_words", "Expected a sentence with at least one word", "Write a finding.") from error
    return shown_by(heat, volume)


def shown_by(heat: HeatMap, volume: Volume) -> ShownHeat:
    """Heat on a series that it was made of."""
    x, y, z = volume.voxels.shape
    return ShownHeat(heat, (x, y, z), volume.spacing, np.linalg.inv(heat.affine) @ volume.affine)


def draw_heat(shown: ShownHeat, plane: Plane, number: int | None, width: int | None = None) -> bytes:
    """A transparent PNG that fits the slice of the same number; `number` None is the hottest slice.

    Raises
    ------
    SliceMissing
        for a number below 0 or above the last
    """
    from scipy.ndimage import map_coordinates

    axis = plane.axis
    index = slice_index(shown.shape[axis], hottest(shown)[axis] if number is None else number)
    axes = [np.arange(length) if other != axis else np.array([index]) for other, length in enumerate(shown.shape)]
    places = np.stack([grid.ravel() for grid in np.meshgrid(*axes, indexing="ij")])
    grid = shown.to_heat[:3, :3] @ places + shown.to_heat[:3, 3:]
    kept = [length for other, length in enumerate(shown.shape) if other != axis]
    values = map_coordinates(shown.heat.heat, grid, order=1, mode="constant").reshape(kept)
    heat = np.clip((laid_out(values) - FAINT) / (1 - FAINT), 0, 1)
    colours = np.stack([np.full_like(heat, 255), 255 * heat, 70 * heat, _OPAQUE * np.sqrt(heat)], axis=-1)
    image = Image.fromarray(colours.astype(np.uint8), "RGBA")
    size = slice_size(shown.shape, shown.spacing, plane, width)
    if size != image.size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=3)
    return stream.getvalue()


def hottest(shown: ShownHeat) -> tuple[int, int, int]:
    """The voxel of the series where the heat is greatest, inside of the series."""
    place = np.array(np.unravel_index(int(shown.heat.heat.argmax()), shown.heat.heat.shape))
    inverse = np.linalg.inv(shown.to_heat)
    voxel = np.rint(inverse[:3, :3] @ place + inverse[:3, 3]).astype(int)
    x, y, z = np.clip(voxel, 0, np.array(shown.shape) - 1).tolist()
    return x, y, z


def heat_volume(shown: ShownHeat) -> bytes:
    """The heat as a compressed NIfTI-1 volume on its own grid, 0 to 255."""
    return packed_nifti(np.rint(shown.heat.heat * 255).astype(np.uint8), shown.heat.affine)
