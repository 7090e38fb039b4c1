"""The table "NIfTI": each row as a file that is uploaded for scoring. The files are those of `test_volume` and more."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable
from functools import cache, partial

import nibabel
import numpy as np
from http_cases import PLANTED
from running_service import MULTIPART, multipart, request
from test_volume import BAD, affine, flipped_bit, nifti, patched, smooth_voxels, with_extension

from bad_inputs.checking import MEBIBYTE, Row, other_than, same_as, uploaded

MRN = "MRN-0042-ZQ"  # planted in headers; part of no answer
GIBIBYTE = 1024**3


def refused(
    row: str, make: Callable[[], bytes] | str, status: int, code: str, variant: str = "", **more: object
) -> Row:
    """A row whose file is refused; the name of a file of `test_volume` stands for its maker."""
    made = BAD[make][0] if isinstance(make, str) else make
    return Row(row, uploaded(made), (status,), code, variant, **more)  # type: ignore[arg-type]


def accepted(row: str, make: Callable[[], bytes], variant: str = "", **more: object) -> Row:
    name = str(more.pop("name", f"{PLANTED}_FLAIR.nii.gz"))
    return Row(row, uploaded(make, name), (200,), "", variant, **more)  # type: ignore[arg-type]


def packed() -> bytes:
    return gzip.compress(nifti())


def one_frame() -> bytes:
    return nifti(smooth_voxels()[..., None])


def frames() -> bytes:
    return nifti(np.stack([smooth_voxels()] * 3, axis=-1))


def big_endian() -> bytes:
    header = nibabel.Nifti1Image.header_class(endianness=">")
    header.set_data_dtype(">i2")
    return bytes(nibabel.Nifti1Image(smooth_voxels().astype(">i2"), affine(), header).to_bytes())


def nifti2() -> bytes:
    return nifti(kind=nibabel.Nifti2Image)


def few_slices(count: int) -> bytes:
    return nifti(smooth_voxels()[:, :, :count])


def mirrored() -> bytes:
    return nifti(np.ascontiguousarray(smooth_voxels()[::-1]))


def skull_stripped() -> bytes:
    voxels = smooth_voxels()
    voxels[voxels < 300] = 0
    return nifti(voxels)


def seven_dimensions() -> bytes:
    return nifti(np.stack([smooth_voxels()[..., None, None, None]] * 2, axis=-1))


def long_extension() -> bytes:
    """20 MB between header and voxels, declared as they are."""
    room = 20_000_000
    content = patched(108, "<f", 352.0 + room)
    return content[:348] + b"\1\0\0\0" + struct.pack("<2i", room, 6) + bytes(room - 8) + content[352:]


def extension_with_name() -> bytes:
    content = with_extension(96, room=96)
    return content[:360] + f"{MRN} DOE^JANE".encode().ljust(88, b"\0") + content[448:]


def description() -> bytes:
    return patched(148, "80s", f"\x1b[2J\x07<script>alert('{MRN}')</script>".encode())  # type: ignore[arg-type]


@cache
def bomb() -> bytes:
    """A volume and 3 GiB of zeros, in 3 MB; a block that repeats is packed once."""
    packer = zlib.compressobj(9, wbits=31)
    start = packer.compress(nifti()) + packer.flush(zlib.Z_FULL_FLUSH)
    zeros = bytes(16 * MEBIBYTE)
    block = packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH)
    count, checksum = 3 * GIBIBYTE // len(zeros), zlib.crc32(nifti())
    for _ in range(count):
        checksum = zlib.crc32(zeros, checksum)
    length = (len(nifti()) + count * len(zeros)) % 2**32
    return start + block * count + b"\x03\x00" + struct.pack("<2I", checksum, length)


@cache
def wide_zeros() -> bytes:
    return gzip.compress(patched(42, "<3h", 2048, 2048, 40)[:352] + bytes(2048 * 2048 * 40 * 2), 9)


def analyze() -> bytes:
    return patched(344, "4s", b"\0\0\0\0")  # type: ignore[arg-type]


def pair() -> list[tuple[str, bytes]]:
    header = patched(344, "4s", b"ni1\0", content=patched(108, "<f", 0.0))[:348]  # type: ignore[arg-type]
    return [("a_FLAIR.hdr", header), ("a_FLAIR.img", nifti()[352:])]


def zipped_pair() -> bytes:
    import io
    import zipfile

    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as archive:
        for name, content in pair():
            archive.writestr(name, content)
    return into.getvalue()


BY_KIND = {
    "PNG": (b"\x89PNG\r\n\x1a\n" + bytes(400), "a PNG picture"),
    "PDF": (b"%PDF-1.7\n" + bytes(400), "a PDF document"),
    "DICOM": (bytes(128) + b"DICM" + bytes(400), "a DICOM file"),
    "text": (b"T1w of the head\n" * 40, "text"),
    "MATLAB": (b"MATLAB 5.0 MAT-file, Platform: GLNXA64" + bytes(400), "a MATLAB file"),
    "HTML": (b"<!DOCTYPE html><html>" + b" " * 400, "a web page"),
}
_SHORT = nifti()[:-100]

ROWS: tuple[Row, ...] = (
    refused("`.nii.gz` cut in half", "cut in half", 422, "truncated"),
    refused("last 8 bytes missing", "last 8 bytes missing", 422, "truncated"),
    refused("CRC wrong", "checksum wrong", 422, "checksum"),
    refused("one bit flipped in payload", "bit flipped in payload", 422, "checksum"),
    refused(
        "`.nii` shorter than header says",
        lambda: _SHORT,
        422,
        "truncated",
        says=(f"{len(nifti()) - 352}", f"{len(_SHORT) - 352}"),
    ),
    refused("0 bytes (`.nii`, `.nii.gz`)", "nothing", 400, "empty_file", "plain"),
    refused("0 bytes (`.nii`, `.nii.gz`)", "nothing, gzipped", 400, "empty_file", "gzipped"),
    refused("header only, no data", "header only", 422, "no_voxels", "plain"),
    refused("header only, no data", "header only, gzipped", 422, "no_voxels", "gzipped"),
    refused("magic `xyz`", "magic", 415, "not_nifti"),
    refused("negative dim", "negative axis", 422, "bad_dimensions"),
    refused("7 dims × 32767 (product overflows 64-bit)", "seven long axes", 422, "not_3d", memory=128 * MEBIBYTE),
    refused("dim[0]=0 → shape (0,)", "no dimensions", 422, "bad_dimensions"),
    refused("dim[0]=9", "nine dimensions", 422, "bad_dimensions"),
    refused("an axis of length 0", "axis of length 0", 422, "bad_dimensions"),
    refused("vox_offset −100 / 40 (inside header)", "offset below 0", 422, "bad_offset", "−100"),
    refused("vox_offset −100 / 40 (inside header)", "offset in the header", 422, "bad_offset", "40"),
    refused("scl_slope Inf", "slope infinite", 422, "bad_scaling"),
    refused("slope 3e38 → float32 overflow", "slope overflows", 422, "non_finite"),
    refused("half voxels ±Inf", "half the voxels infinite", 422, "non_finite"),
    refused("4-D fMRI/DWI (t > 1)", "three frames", 422, "four_d", "which is not said", says=("frame",)),
    Row(
        "4-D fMRI/DWI (t > 1)",
        uploaded(frames, frame="mean"),
        (200,),
        variant="the mean is asked for",
        says=("The mean of 3 volumes was used",),
        then=same_as(nifti),
    ),
    Row(
        "4-D fMRI/DWI (t > 1)",
        uploaded(frames, frame="1"),
        (200,),
        variant="the second is asked for",
        says=("Volume 1 of 3 was used",),
    ),
    accepted("4-D with t = 1", one_frame, then=same_as(nifti)),
    refused("2-D, single slice, 1-D, 7-D", "two-dimensional", 422, "not_3d", "2-D"),
    refused("2-D, single slice, 1-D, 7-D", "single slice", 422, "not_3d", "single slice"),
    refused("2-D, single slice, 1-D, 7-D", "one-dimensional", 422, "not_3d", "1-D"),
    refused("2-D, single slice, 1-D, 7-D", seven_dimensions, 422, "not_3d", "7-D"),
    accepted("< 16 slices on an axis", partial(few_slices, 12), "12", says=("Only 12 slices on one axis",)),
    refused("< 16 slices on an axis", "few slices", 422, "too_few_slices", "5"),
    refused("singular affine", "axes in one plane", 422, "singular_affine"),
    refused("affine 1e30", "affine 1e30", 422, "implausible_spacing"),
    refused("pixdim 1e-10", "pixdim 1e-10", 422, "implausible_spacing"),
    accepted("big-endian", big_endian, then=same_as(nifti)),
    refused("header LE, data bytes swapped", "bytes swapped under the header", 422, "not_brain_mri"),
    accepted("NIfTI-2", nifti2, then=same_as(nifti)),
    refused("`.hdr` alone", "header of a pair", 422, "pair_incomplete"),
    refused("`.hdr`+`.img` pair, Analyze 7.5", zipped_pair, 415, "not_nifti", "zipped", says=("zip",)),
    refused("`.hdr`+`.img` pair, Analyze 7.5", analyze, 415, "not_nifti", "Analyze", says=("Analyze",)),
    Row(
        "`.hdr`+`.img` pair, Analyze 7.5",
        lambda _: [request("/api/score", "POST", MULTIPART, multipart(pair()))],
        (422,),
        "pair_incomplete",
        "two files",
        says=("one .nii",),
    ),
    refused("float64 1e303 → inf in float32", "float64 beyond float32", 422, "non_finite"),
    refused("complex64", "complex", 422, "complex"),
    refused("RGB24", "colours", 422, "rgb"),
    refused("datatype code unknown / binary", "unknown datatype", 422, "bad_datatype", "unknown"),
    refused("datatype code unknown / binary", "binary datatype", 422, "bad_datatype", "binary"),
    accepted(
        "bitpix disagrees with datatype", lambda: patched(72, "<h", 32), says=("bits per voxel",), then=same_as(nifti)
    ),
    refused("header extension 20 MB", long_extension, 413, "too_large"),
    refused("extension esize 2 GiB", "extension of 2 GiB", 422, "bad_extension"),
    refused("extension esize 0 / −16", "extension of 0 bytes", 422, "bad_extension", "0"),
    refused("extension esize 0 / −16", "extension of -16 bytes", 422, "bad_extension", "−16"),
    refused("gz bomb, header small, 3 GiB trailing zeros (3 MB)", bomb, 413, "too_large", seconds=20.0),
    refused("double gzip", "gzip twice", 415, "not_nifti", says=("gzip",)),
    accepted(
        "multi-member gzip / trailing garbage",
        lambda: gzip.compress(nifti()[:1000]) + gzip.compress(nifti()[1000:]),
        "members",
        then=same_as(nifti),
    ),
    refused("multi-member gzip / trailing garbage", "trailing garbage", 422, "trailing_bytes", "garbage"),
    accepted("plain NIfTI named `.gz`; gz named `.nii`", nifti, "plain", name="a_FLAIR.nii.gz", then=same_as(nifti)),
    accepted("plain NIfTI named `.gz`; gz named `.nii`", packed, "packed", name="a_FLAIR.nii", then=same_as(nifti)),
    *(
        refused(
            "PNG, PDF, DICOM, text, `.mat`, HTML named `.nii.gz`",
            partial(bytes, content),
            415,
            "not_nifti",
            kind,
            says=(f"this looks like {words}",),
        )
        for kind, (content, words) in BY_KIND.items()
    ),
    refused("2048×2048×40 zeros (1.46 MB)", wide_zeros, 413, "too_large", says=("2048",), memory=128 * MEBIBYTE),
    accepted(
        "control bytes, `<script>`, ESC in `descrip`",
        description,
        hides=(MRN, "<script>", "\x1b"),
        then=same_as(nifti),
    ),
    accepted("mirrored left–right copy", mirrored, then=other_than(nifti)),
    accepted("skull-stripped vs whole head", skull_stripped),
    accepted(
        "PHI in header extension (DICOM ecode 2)", extension_with_name, hides=(MRN, "DOE^JANE"), then=same_as(nifti)
    ),
)
ELSEWHERE = {
    "body part other than brain; phantom; CT": (
        "test_in_range.py::test_a_search_with_something_else_is_refused_unless_insisted"
    ),
}


def flipped_payloads(count: int) -> list[bytes]:
    """The same volume with one bit flipped in each, at places spread over what is inside the gzip file."""
    content = packed()
    return [flipped_bit(content, 10 + (len(content) - 10) * number // count) for number in range(count)]
