"""What must hold of `read_volume` for any bytes whatever: a sound volume, or a refusal with a code that is known.

The property tests, the replay of the corpus and the fuzz target all ask this one function.
"""

from __future__ import annotations

import numpy as np
from nibabel.orientations import aff2axcodes

from encoders.volume import SPACING_MM, Frame, VolumeError, VolumeLimits, read_volume

# Small, so that a run of millions of inputs is spent on the header and not on copying voxels.
LIMITS = VolumeLimits(max_file_bytes=1 << 20, max_inflated_bytes=1 << 20, max_voxels=1 << 16)
CODES = frozenset(
    {"empty_file", "truncated", "checksum", "trailing_bytes", "not_nifti", "too_large", "no_voxels", "pair_incomplete"}
    | {"bad_dimensions", "not_3d", "too_few_slices", "four_d", "complex", "rgb", "bad_datatype", "bad_offset"}
    | {"bad_scaling", "bad_extension", "non_finite", "singular_affine", "implausible_spacing", "not_brain_mri"}
)


def check_any(content: bytes, frame: Frame = None, limits: VolumeLimits = LIMITS) -> str:
    """The refusal's code, or `volume`; raises AssertionError where neither is sound, and whatever else is raised."""
    try:
        volume = read_volume(content, frame=frame, limits=limits)
    except VolumeError as error:
        assert error.code in CODES, error.code
        assert str(error), error.code
        assert error.hint, error.code
        assert (str(error) + error.hint).isprintable(), error.code
        return error.code
    assert volume.voxels.dtype == np.float32
    assert volume.voxels.ndim == 3
    assert volume.voxels.flags.c_contiguous
    assert np.isfinite(volume.voxels).all()
    assert volume.voxels.min() < volume.voxels.max()
    assert volume.voxels.size <= limits.max_voxels
    assert all(limits.min_axis <= length <= limits.max_axis for length in volume.voxels.shape)
    assert volume.affine.shape == (4, 4)
    assert np.isfinite(volume.affine).all()
    assert (volume.affine[3] == (0, 0, 0, 1)).all()
    assert all(SPACING_MM[0] * 0.999 <= length <= SPACING_MM[1] * 1.001 for length in volume.spacing)
    assert aff2axcodes(volume.affine) == ("R", "A", "S")
    return "volume"
