"""Writes the corpus of the fuzz target: one small file a way of storing a volume, the same bytes at every run.

`python tests/fuzz/make_corpus.py`; files that a crash left there (`crash-*`) are not touched.
"""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CORPUS = Path(__file__).parent / "corpus"
SHAPE = (8, 9, 10)
# Offsets of the fields of NIfTI-1 (nifti1.h).
DIM, DATATYPE, PIXDIM, VOX_OFFSET, FORMS, QUATERNION, SROW, MAGIC = 40, 70, 76, 108, 252, 256, 280, 344
CODES = {"u1": 2, "i2": 4, "f4": 16, "f8": 64}


def voxels(dtype: str) -> NDArray[np.generic]:
    """A ramp with a step: smooth enough to be no noise, and different from its mirror images."""
    x, y, z = np.indices(SHAPE)
    return (10 * x + 7 * y + 5 * z + 20 * (x > 4)).astype(dtype)


def nifti1(dtype: str = "u1", order: str = "<", *, offset: int = 352, form: str = "sform") -> bytes:
    """A whole NIfTI-1 file with room for extensions between header and voxels."""
    stored = voxels(dtype).astype(np.dtype(dtype).newbyteorder(order))
    header = bytearray(offset)
    struct.pack_into(order + "i", header, 0, 348)
    struct.pack_into(order + "8h", header, DIM, 3, *SHAPE, 1, 1, 1, 1)
    struct.pack_into(order + "2h", header, DATATYPE, CODES[dtype], stored.itemsize * 8)
    struct.pack_into(order + "8f", header, PIXDIM, 1.0, 2.0, 2.5, 3.0, 0, 0, 0, 0)
    struct.pack_into(order + "3f", header, VOX_OFFSET, offset, 1.0, 0.0)
    struct.pack_into(order + "2h", header, FORMS, int(form == "qform"), int(form == "sform"))
    struct.pack_into(order + "6f", header, QUATERNION, 0.0, 0.0, 1.0, -8.0, -9.0, -15.0)
    struct.pack_into(order + "12f", header, SROW, 2, 0, 0, -8, 0, 2.5, 0, -9, 0, 0, 3, -15)
    header[MAGIC : MAGIC + 4] = b"n+1\0"
    return bytes(header) + stored.tobytes(order="F")


def nifti2(order: str = "<") -> bytes:
    stored = voxels("i2").astype(np.dtype("i2").newbyteorder(order))
    header = bytearray(544)
    struct.pack_into(order + "i8s2h", header, 0, 540, b"n+2\0\r\n\x1a\n", CODES["i2"], 16)
    struct.pack_into(order + "8q", header, 16, 3, *SHAPE, 1, 1, 1, 1)
    struct.pack_into(order + "8d", header, 104, 1.0, 2.0, 2.5, 3.0, 0, 0, 0, 0)
    struct.pack_into(order + "q2d", header, 168, 544, 0.5, -3.0)
    struct.pack_into(order + "2i", header, 344, 0, 1)
    struct.pack_into(order + "12d", header, 400, 2, 0, 0, -8, 0, 2.5, 0, -9, 0, 0, 3, -15)
    return bytes(header) + stored.tobytes(order="F")


def with_extension() -> bytes:
    content = bytearray(nifti1(offset=384))
    content[348:352] = b"\1\0\0\0"
    struct.pack_into("<2i", content, 352, 32, 2)
    return bytes(content)


def frames() -> bytes:
    content = bytearray(nifti1())
    struct.pack_into("<5h", content, DIM, 4, *SHAPE, 2)
    return bytes(content) + content[352:]


def packed(content: bytes) -> bytes:
    return gzip.compress(content, 9, mtime=0)


def corpus() -> dict[str, bytes]:
    """Every file by its name."""
    plain = nifti1()
    pair = bytearray(plain[:348])
    pair[MAGIC : MAGIC + 4] = b"ni1\0"
    return {
        "nifti1-u1.nii": plain,
        "nifti1-i2-qform.nii": nifti1("i2", form="qform"),
        "nifti1-f4-unplaced.nii": nifti1("f4", form="none"),
        "nifti1-big-endian.nii": nifti1("i2", ">"),
        "nifti1-f8-big-endian.nii.gz": packed(nifti1("f8", ">")),
        "nifti1-extension.nii": with_extension(),
        "nifti1-extension.nii.gz": packed(with_extension()),
        "nifti1-frames.nii.gz": packed(frames()),
        "nifti1-members.nii.gz": packed(plain[:400]) + packed(plain[400:]) + bytes(16),
        "nifti2.nii": nifti2(),
        "nifti2-big-endian.nii.gz": packed(nifti2(">")),
        "pair.hdr": bytes(pair),
        "header-only.nii": plain[:352],
        "dicom": bytes(128) + b"DICM",
        "twice.nii.gz": packed(packed(plain[:352])),
    }


def main() -> None:
    CORPUS.mkdir(exist_ok=True)
    for name, content in corpus().items():
        (CORPUS / name).write_bytes(content)


if __name__ == "__main__":
    main()
