"""One small picture of each series, made while its volume is in memory: an axial slice above the orbits.

Faces identify people, so the level is measured down from the top of the head. Slices on demand are left to the search
floor.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from encoders.volume import Volume

SIDE = 256  # pixels
BELOW_TOP_MM = 56.0  # of the head: through the lateral ventricles, some 20 mm above the roofs of the orbits
WHOLE_HEAD_MM = 100.0  # a series that covers less is a slab, whose middle is shown
WINDOW = (1.0, 99.0)  # percentiles of what is not background
FOREGROUND = 0.15  # of the 99th percentile; scalp is above it in every sequence


def thumbnail(volume: Volume) -> bytes:
    """PNG, at most 256 x 256 greys, anterior up, the patient's right on the left.

    Parameters
    ----------
    volume : RAS+, as `read_volume` gives it
    """
    slice_xy = volume.voxels[:, :, _level(volume)]
    grey = _windowed(slice_xy)
    # Rows from anterior to posterior; columns from the patient's right to left: both are the reverse of RAS+.
    image = Image.fromarray(np.ascontiguousarray(grey.T[::-1, ::-1]))
    x_mm, y_mm, _ = volume.spacing
    width, height = grey.shape[0] * x_mm, grey.shape[1] * y_mm
    scale = SIDE / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    buffer = io.BytesIO()
    image.resize(size, Image.Resampling.BILINEAR).save(buffer, "PNG")
    return buffer.getvalue()


def _level(volume: Volume) -> int:
    step = max(1, min(volume.voxels.shape) // 64)
    coarse = volume.voxels[::step, ::step, :]
    threshold = FOREGROUND * float(np.percentile(coarse, 99))
    share = (coarse > threshold).mean(axis=(0, 1))
    inside = np.flatnonzero(share > 0.02)
    if not len(inside):
        return int(volume.voxels.shape[2]) // 2
    bottom, top = int(inside[0]), int(inside[-1])
    spacing = volume.spacing[2]
    if (top - bottom) * spacing < WHOLE_HEAD_MM:
        return (bottom + top) // 2
    return max(bottom, top - round(BELOW_TOP_MM / spacing))


def _windowed(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    shown = values[values != values.min()]
    low, high = np.percentile(shown, WINDOW) if shown.size else (0.0, 1.0)
    scaled = (values - low) / max(float(high - low), 1e-6)
    return np.asarray(np.clip(scaled, 0.0, 1.0) * 255.0, dtype=np.uint8)
