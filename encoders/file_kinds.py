"""What a file that is no NIfTI looks like, so that a refusal can name it. Nothing of it is read but its first bytes."""

from __future__ import annotations

import struct

GZIP_MAGIC = b"\x1f\x8b"
_LOOKS_LIKE = (
    (0, b"\x89PNG", "a PNG picture"),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"%PDF", "a PDF document"),
    (128, b"DICM", "a DICOM file"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, GZIP_MAGIC, "a gzip file inside a gzip file"),
    (0, b"MATLAB 5.0", "a MATLAB file"),
    (0, b"\x89HDF", "an HDF5 or MINC-2 file"),
    (0, b"NRRD", "an NRRD file"),
    (0, b"Rar!\x1a\x07", "a rar archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"BZh", "a bzip2 file"),
    (0, b"\xfd7zXZ\0", "an xz file"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (0, b"PK\x05\x06", "an empty zip archive"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a program"),
    (0, b"GIF8", "a GIF picture"),
)


def looks_like(start: bytes) -> str:
    """Told by the first bytes of a file, as it goes into a sentence.

    >>> looks_like(b"%PDF-1.7"), looks_like(b"Findings: none"), looks_like(bytes(200))
    ('a PDF document', 'text', 'something else')
    """
    for offset, magic, kind in _LOOKS_LIKE:
        if start[offset : offset + len(magic)] == magic:
            return kind
    if len(start) >= 4 and 348 in struct.unpack("<i", start[:4]) + struct.unpack(">i", start[:4]):
        return "an Analyze 7.5 header, or NIfTI with a damaged magic"
    if start[:200].lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml", b"<svg")):
        return "a web page"
    if start and all(byte in b"\t\n\r\x0c" or 32 <= byte < 127 for byte in start[:200]):
        return "text"
    return "something else"
