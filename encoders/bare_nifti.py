"""A NIfTI file without what may tell of a person: its free texts blank, its extensions gone, its gzip header nameless.

Voxels, scaling, affine and every number of the header stay byte for byte. Checking the file is left to `nifti`.
"""

from __future__ import annotations

import gzip

from encoders.file_kinds import GZIP_MAGIC
from encoders.nifti import VolumeError, VolumeLimits, read_stored

# Offset and length of the fields that hold free text (nifti1.h, nifti2.h).
_TEXTS_1 = {
    "data_type": (4, 10),
    "db_name": (14, 18),
    "descrip": (148, 80),
    "aux_file": (228, 24),
    "intent_name": (328, 16),
}
_TEXTS_2 = {"descrip": (240, 80), "aux_file": (320, 24), "intent_name": (508, 16), "unused_str": (525, 15)}
_OFFSET_1, _OFFSET_2 = (108, "f4"), (168, "i8")  # vox_offset


def bare_nifti(content: bytes, limits: VolumeLimits | None = None) -> bytes:
    """The same volume in the same packing, one file.

    Raises
    ------
    VolumeError
        as `read_stored`, or `pair_incomplete` for the header of a pair, whose voxels lie elsewhere
    """
    import numpy as np

    header, stored = read_stored(content, limits or VolumeLimits())
    if header.paired:
        raise VolumeError("pair_incomplete", "This is the header of a pair.", "Convert it to one .nii or .nii.gz file.")
    start = bytearray(stored[: header.size].tobytes())
    for place, length in (_TEXTS_1 if header.size == 348 else _TEXTS_2).values():
        start[place : place + length] = bytes(length)
    place, code = _OFFSET_1 if header.size == 348 else _OFFSET_2
    first = header.size + 4
    offset = np.array(first, header.endianness + code).tobytes()
    start[place : place + len(offset)] = offset
    voxels = stored[header.offset : header.offset + header.data_bytes].tobytes()
    bare = bytes(start) + bytes(4) + voxels
    # Without a time or a name the same volume gives the same file.
    return gzip.compress(bare, compresslevel=6, mtime=0) if content[:2] == GZIP_MAGIC else bare
