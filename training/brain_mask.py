"""The brain alone out of a network input, so that whole heads and skull-stripped scans can be compared.

The preprocessing frames every brain alike, so that an ellipsoid holds it and leaves most of the face out. Inside of
that, skull and scalp are parted from the brain by the dark bone between: what an erosion leaves of the signal, in one
piece, grown back. For evaluation; nothing that serves users depends on it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from encoders.preprocess import Preprocessing, brain_ellipsoid

_SIGNAL = 0.35  # of the brain's median
_ERODED, _GROWN, _CLOSED = 3, 4, 4  # grid points of 2 mm
_RADII_MM = (76.0, 96.0, 75.0)


def brain_only(voxels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Network input (X, Y, Z) with zeros outside of the brain."""
    return np.where(brain_mask(voxels), voxels, np.float32(0))


def brain_mask(voxels: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where the brain is in a network input (X, Y, Z), its ventricles and sulci included."""
    from scipy import ndimage

    signal = (ndimage.uniform_filter(voxels, 3) > _SIGNAL) & brain_ellipsoid(Preprocessing(), _RADII_MM)
    ball = ndimage.generate_binary_structure(3, 1)
    core = ndimage.binary_erosion(signal, ball, _ERODED)
    labels, count = ndimage.label(core)
    if count == 0:
        return np.asarray(signal)
    core = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    grown = ndimage.binary_dilation(core, ball, _GROWN)
    padded = np.pad(grown, _CLOSED + 1)
    closed = ndimage.binary_closing(padded, ball, _CLOSED)[(slice(_CLOSED + 1, -_CLOSED - 1),) * 3]
    return np.asarray(ndimage.binary_fill_holes(closed))
