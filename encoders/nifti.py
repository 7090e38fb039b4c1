"""NIfTI-1 and NIfTI-2 at the level of bytes: gzip inflated with a cap and verified, the header's claims checked.

Nothing is allocated before the declared size is known to be sane. What the voxels and the affine mean is left to
`volume`; the affine's formula to nibabel.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from encoders.file_kinds import GZIP_MAGIC, looks_like

INPUT_CHUNK = 256 * 1024
OUTPUT_CHUNK = 4 * 1024 * 1024
HEADER_BYTES = 544  # NIfTI-2's 540 and the four bytes that announce extensions
MAX_EXTENSION_BYTES = 1024 * 1024

_DTYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
_COMPLEX = {32, 1792, 2048}
_COLOUR = {128, 2304}


class VolumeError(ValueError):
    """A file that gives no volume: `code` for programs, the message and `hint` for people; never a path."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


@dataclass(frozen=True, slots=True)
class VolumeLimits:
    """What a file may claim before anything is allocated for it."""

    max_file_bytes: int = 300 * 1024**2
    max_inflated_bytes: int = 1024**3
    max_voxels: int = 512**3
    min_axis: int = 8
    max_axis: int = 1024


@dataclass(frozen=True, slots=True)
class NiftiHeader:
    """The checked claims of a header: shape (X, Y, Z), frames, how and where the voxels are stored."""

    shape: tuple[int, int, int]
    frames: int
    dtype: np.dtype[np.generic]
    offset: int
    slope: float
    intercept: float
    size: Literal[348, 540]
    endianness: Literal["<", ">"]
    paired: bool
    bitpix_agrees: bool

    @property
    def data_bytes(self) -> int:
        return math.prod(self.shape) * self.frames * self.dtype.itemsize


def read_stored(content: bytes, limits: VolumeLimits) -> tuple[NiftiHeader, NDArray[np.uint8]]:
    """Check a whole file and give its header and its bytes up to the last voxel, inflated.

    Raises
    ------
    VolumeError
        with the code of the first fault found
    """
    if not content:
        raise VolumeError("empty_file", "The file is empty (0 bytes).", "Export or copy it again.")
    if len(content) > limits.max_file_bytes:
        raise _too_large(f"{len(content)} bytes", f"{limits.max_file_bytes} bytes")
    if content[:2] != GZIP_MAGIC:
        header = parse_header(content[:HEADER_BYTES], limits)
        _check_extensions(content, header)
        return header, _stored_bytes(content, header)
    stream = _GzipStream(content, limits.max_inflated_bytes)
    start = stream.take(HEADER_BYTES)
    if not start:
        stream.drain()
        raise VolumeError("empty_file", "The file is empty after inflating.", "Export or copy it again.")
    header = parse_header(start, limits)
    stored = np.empty(len(start) if header.paired else max(header.offset + header.data_bytes, len(start)), np.uint8)
    stored[: len(start)] = np.frombuffer(start, np.uint8)
    filled = stream.fill(stored, len(start))
    stream.drain()
    _check_extensions(stored[: min(filled, header.offset)].tobytes(), header)
    return header, _stored_bytes(stored[:filled].data, header)


def parse_header(start: bytes, limits: VolumeLimits) -> NiftiHeader:
    """Check the header at the start of an inflated file (at most 544 bytes are looked at)."""
    size, endianness = _recognise(start)
    if len(start) < size:
        raise VolumeError("truncated", f"The header ends after {len(start)} of {size} bytes.", "Copy the file again.")
    dims, datatype, bitpix, offset, slope, intercept, magic = _fields(start, size, endianness)
    paired = magic[1:2] == b"i"
    shape, frames = _check_shape(dims, limits)
    dtype = _check_dtype(datatype).newbyteorder(endianness)
    first = size + 4
    if (
        not math.isfinite(offset)
        or offset != int(offset)
        or (offset != 0 and not paired and offset < first)
        or offset < 0
    ):
        raise VolumeError(
            "bad_offset", f"The voxels cannot begin at byte {offset:g}; expected {first} or more.", _DAMAGED
        )
    start_of_data = int(offset) if paired or offset else first
    if start_of_data > first + MAX_EXTENSION_BYTES:
        raise _too_large(f"{start_of_data - first} bytes of header extensions", f"{MAX_EXTENSION_BYTES} bytes")
    header = NiftiHeader(
        shape=shape,
        frames=frames,
        dtype=dtype,
        offset=start_of_data,
        slope=_check_slope(slope, intercept),
        intercept=0.0 if _unscaled(slope) else float(intercept),
        size=size,
        endianness=endianness,
        paired=paired,
        bitpix_agrees=bitpix == dtype.itemsize * 8,
    )
    if header.offset + header.data_bytes > limits.max_inflated_bytes:
        raise _too_large(f"{header.data_bytes} bytes of voxels", f"{limits.max_inflated_bytes} bytes")
    return header


_DAMAGED = "The header is damaged; convert the series again."


def _recognise(start: bytes) -> tuple[Literal[348, 540], Literal["<", ">"]]:
    """Header size and byte order; sizeof_hdr is the first field of both NIfTI versions."""
    for code, order in (("<i", "<"), (">i", ">")):
        value = struct.unpack(code, start[:4])[0] if len(start) >= 4 else 0
        if value == 348 and start[344:348] in (b"n+1\0", b"ni1\0"):
            return 348, "<" if order == "<" else ">"
        if value == 540 and start[4:8] in (b"n+2\0", b"ni2\0"):
            return 540, "<" if order == "<" else ">"
        if value in (348, 540) and len(start) < value:
            raise VolumeError(
                "truncated", f"The header ends after {len(start)} of {value} bytes.", "Copy the file again."
            )
    raise VolumeError(
        "not_nifti",
        f"Expected a NIfTI file, this looks like {looks_like(start)}.",
        "Send .nii or .nii.gz (NIfTI-1 or NIfTI-2).",
    )


def _fields(start: bytes, size: int, order: str) -> tuple[tuple[int, ...], int, int, float, float, float, bytes]:
    """dim, datatype, bitpix, vox_offset, scl_slope, scl_inter, magic (nifti1.h and nifti2.h)."""
    if size == 348:
        dims = struct.unpack_from(order + "8h", start, 40)
        datatype, bitpix = struct.unpack_from(order + "2h", start, 70)
        offset, slope, intercept = struct.unpack_from(order + "3f", start, 108)
        return dims, datatype, bitpix, offset, slope, intercept, start[344:348]
    datatype, bitpix = struct.unpack_from(order + "2h", start, 12)
    dims = struct.unpack_from(order + "8q", start, 16)
    (offset,) = struct.unpack_from(order + "q", start, 168)
    slope, intercept = struct.unpack_from(order + "2d", start, 176)
    return dims, datatype, bitpix, float(offset), slope, intercept, start[4:8]


def _check_shape(dims: tuple[int, ...], limits: VolumeLimits) -> tuple[tuple[int, int, int], int]:
    count, axes = dims[0], list(dims[1:])
    if not 1 <= count <= 7:
        raise VolumeError("bad_dimensions", f"The header claims {count} dimensions; expected 3 or 4.", _DAMAGED)
    axes = axes[:count]
    if min(axes) < 1:
        raise VolumeError("bad_dimensions", f"The header claims axes of {_times(axes)}; none may be below 1.", _DAMAGED)
    while len(axes) > 3 and axes[-1] == 1:
        axes.pop()
    if len(axes) < 3 or len(axes) > 4 or min(axes[:3]) == 1:
        raise VolumeError("not_3d", f"Expected a volume X × Y × Z, found {_times(axes)}.", "Send one whole 3-D series.")
    shape = (axes[0], axes[1], axes[2])
    if max(shape) > limits.max_axis or math.prod(shape) > limits.max_voxels:
        raise _too_large(f"{_times(shape)} voxels", f"{limits.max_voxels} voxels, {limits.max_axis} along an axis")
    if min(shape) < limits.min_axis:
        raise VolumeError(
            "too_few_slices",
            f"Found {_times(shape)} voxels; expected {limits.min_axis} or more on each axis.",
            "Send a whole series.",
        )
    return shape, axes[3] if len(axes) == 4 else 1


def _check_dtype(datatype: int) -> np.dtype[np.generic]:
    if datatype in _COMPLEX:
        raise VolumeError("complex", "The voxels are complex numbers.", "Export the magnitude.")
    if datatype in _COLOUR:
        raise VolumeError("rgb", "The voxels are colours, not signal.", "Export the series in grey values.")
    if datatype not in _DTYPES:
        raise VolumeError("bad_datatype", f"Datatype code {datatype} is not supported.", "Convert to int16 or float32.")
    return np.dtype(_DTYPES[datatype])


def _check_slope(slope: float, intercept: float) -> float:
    if _unscaled(slope):
        return 1.0
    if not math.isfinite(slope) or not math.isfinite(intercept):
        raise VolumeError(
            "bad_scaling", f"The scaling is {slope} × value + {intercept}; expected finite numbers.", _DAMAGED
        )
    return float(slope)


def _unscaled(slope: float) -> bool:
    """Slope 0 and NaN both say "no scaling" (nifti1.h; NaN is what nibabel writes)."""
    return slope == 0 or math.isnan(slope)


def _check_extensions(content: bytes, header: NiftiHeader) -> None:
    """Walk the extensions between header and voxels; they are never read, only measured."""
    position = header.size + 4
    if header.paired or len(content) < position or content[header.size] == 0:
        return
    while position + 8 <= min(header.offset, len(content)):
        (size,) = struct.unpack_from(header.endianness + "i", content, position)
        if size < 8 or position + size > header.offset:
            raise VolumeError(
                "bad_extension",
                f"A header extension claims {size} bytes where {header.offset - position} are left.",
                _DAMAGED,
            )
        position += size


def _stored_bytes(content: bytes | memoryview, header: NiftiHeader) -> NDArray[np.uint8]:
    if header.paired:
        return np.frombuffer(content, np.uint8)
    expected, found = header.data_bytes, max(len(content) - header.offset, 0)
    if found == 0:
        raise VolumeError(
            "no_voxels",
            f"The file is a header without voxels; expected {expected} bytes of them.",
            "Copy the file again.",
        )
    if found < expected:
        raise VolumeError("truncated", f"Expected {expected} bytes of voxels, found {found}.", "Copy the file again.")
    return np.frombuffer(content, np.uint8, header.offset + expected)


class _GzipStream:
    """Inflates gzip members in small steps; checksum and length are verified by zlib at each member's end."""

    def __init__(self, content: bytes, max_inflated: int) -> None:
        self._content = memoryview(content)
        self._position = 0
        self._max_inflated = max_inflated
        self._inflated = 0
        self._rest: bytes = b""
        self._member = zlib.decompressobj(wbits=31)

    def take(self, count: int) -> bytes:
        parts = bytearray()
        while len(parts) < count and (part := self._next(count - len(parts))):
            parts += part
        return bytes(parts)

    def fill(self, target: NDArray[np.uint8], filled: int) -> int:
        """Inflate into `target` from `filled` on; returns how far it got."""
        while filled < len(target) and (part := self._next(min(OUTPUT_CHUNK, len(target) - filled))):
            target[filled : filled + len(part)] = np.frombuffer(part, np.uint8)
            filled += len(part)
        return filled

    def drain(self) -> None:
        """Inflate the rest unseen: the checksum stands at the end."""
        while self._next(OUTPUT_CHUNK):
            pass

    def _next(self, most: int) -> bytes:
        while True:
            if self._member.eof and not self._next_member():
                return b""
            if not self._rest:
                self._rest = bytes(self._content[self._position : self._position + INPUT_CHUNK])
                self._position += len(self._rest)
            at_end = not self._rest
            try:
                part = self._member.decompress(self._rest, most)
            except zlib.error as error:
                raise VolumeError(
                    "checksum", "The gzip content is damaged: its checksum does not fit.", "Copy the file again."
                ) from error
            self._rest = self._member.unconsumed_tail or self._member.unused_data
            if part:
                self._inflated += len(part)
                if self._inflated > self._max_inflated:
                    raise _too_large("more than that after inflating", f"{self._max_inflated} bytes")
                return part
            if at_end and not self._member.eof:
                raise VolumeError("truncated", "The gzip stream ends before its end mark.", "Copy the file again.")

    def _next_member(self) -> bool:
        """Begin the member that follows, if one does; zero padding is accepted, other bytes are not."""
        start = self._rest + bytes(self._content[self._position : self._position + 2 - min(len(self._rest), 2)])
        if start[:2] == GZIP_MAGIC:
            self._member = zlib.decompressobj(wbits=31)
            return True
        trailing = self._rest + bytes(self._content[self._position :])
        if trailing.strip(b"\0"):
            raise VolumeError(
                "trailing_bytes", f"{len(trailing)} bytes that are no gzip follow the volume.", "Copy the file again."
            )
        self._rest, self._position = b"", len(self._content)
        return False


def _too_large(found: str, allowed: str) -> VolumeError:
    return VolumeError("too_large", f"Found {found}; allowed are {allowed}.", "Send one series of usual size.")


def _times(axes: Sequence[int]) -> str:
    return " × ".join(str(axis) for axis in axes)
