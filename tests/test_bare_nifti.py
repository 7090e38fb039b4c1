"""NIfTI files without their texts: nothing of them is left, and nothing else has changed."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest

from encoders.bare_nifti import bare_nifti
from encoders.nifti import VolumeError

SECRET = b"DOE^JANE"
KINDS = {"1": nibabel.Nifti1Image, "2": nibabel.Nifti2Image}


def planted(kind: str, *, packed: bool, order: str = "<") -> bytes:
    """A scan that has the name in every text, in three extensions and in the gzip header."""
    voxels = np.arange(10 * 11 * 12, dtype=np.int16).reshape(10, 11, 12)
    image = KINDS[kind](voxels, np.diag([1.0, 2.0, 3.0, 1.0]))
    image.header.set_slope_inter(2.0, 5.0)
    image = KINDS[kind](voxels, image.affine, image.header.as_byteswapped(order))
    for name in ("descrip", "aux_file", "intent_name", "db_name", "data_type"):
        if name in image.header:
            image.header[name] = SECRET
    for code in (2, 4, 6):
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension(6, SECRET + str(code).encode()))
    content = bytearray(image.to_bytes())
    if kind == "1":
        content[4:12], content[14:22] = SECRET, SECRET
    if not packed:
        return bytes(content)
    import io

    stream = io.BytesIO()
    with gzip.GzipFile(filename="DOE^JANE.nii", fileobj=stream, mode="wb") as file:
        file.write(content)
    return stream.getvalue()


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_the_texts_is_left_and_nothing_else_changes(
    kind: str, packed: bool, order: str, tmp_path: Path
) -> None:
    content = planted(kind, packed=packed, order=order)
    bare = bare_nifti(content)
    inside = gzip.decompress(bare) if packed else bare
    assert SECRET in (gzip.decompress(content) if packed else content)
    assert SECRET not in inside + bare
    assert (bare[:2] == b"\x1f\x8b") == packed
    before, after = (KINDS[kind].from_bytes(gzip.decompress(one) if packed else one) for one in (content, bare))
    assert np.array_equal(before.dataobj.get_unscaled(), after.dataobj.get_unscaled())
    assert np.array_equal(before.get_fdata(), after.get_fdata())
    assert np.array_equal(before.affine, after.affine)
    assert not after.header.extensions
    changed = {
        name
        for name in before.header
        if name not in ("vox_offset", "scl_slope", "scl_inter")
        and before.header[name].tobytes() != after.header[name].tobytes()
    }
    assert changed <= {"descrip", "aux_file", "intent_name", "db_name", "data_type"}
    assert bare_nifti(content) == bare


def test_the_header_of_a_pair_is_refused() -> None:
    content = planted("1", packed=False).replace(b"n+1\0", b"ni1\0")
    with pytest.raises(VolumeError) as caught:
        bare_nifti(content)
    assert caught.value.code == "pair_incomplete"
