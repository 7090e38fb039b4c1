"""The table "DICOM and archives": this release takes neither, so that each is 415 with what it looks like.

Nothing of an archive is extracted and no data set is read. Rows that ask for more than that refusal have no case yet
and stand in `NOT_YET`.
"""

from __future__ import annotations

import io
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable

from http_cases import PLANTED
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, generate_uid
from running_service import MULTIPART, multipart
from test_volume import nifti

from bad_inputs.checking import Row, asked, uploaded

ZIP, DICOM = "a zip archive", "a DICOM file"


def refused(row: str, make: Callable[[], bytes], looks_like: str, variant: str = "") -> Row:
    return Row(
        row,
        uploaded(make, f"{PLANTED}.zip", sequences="FLAIR"),
        (415,),
        "not_nifti",
        variant,
        says=(f"this looks like {looks_like}",),
        hides=("evil", "win.dcm"),
    )


def zipped(*names: str, content: bytes = b"\0" * 200) -> bytes:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, content)
    return into.getvalue()


def encrypted() -> bytes:
    return patched_zip(6, struct.pack("<H", 1))


def patched_zip(offset: int, value: bytes) -> bytes:
    content = bytearray(zipped("a.dcm"))
    content[offset : offset + len(value)] = value
    return bytes(content)


def tarred() -> bytes:
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w") as archive:
        entry = tarfile.TarInfo("../../evil.dcm")
        entry.size = 3
        archive.addfile(entry, io.BytesIO(b"abc"))
    return into.getvalue()


def dicom(preamble: bytes = b"", syntax: str = ExplicitVRLittleEndian, **elements: object) -> bytes:
    """A small MR instance with some elements changed."""
    data_set = Dataset()
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = syntax
    data_set.file_meta.MediaStorageSOPClassUID = data_set.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    data_set.file_meta.MediaStorageSOPInstanceUID = data_set.SOPInstanceUID = generate_uid(entropy_srcs=["a"])
    data_set.Modality, data_set.PatientName = "MR", PLANTED.replace("_", "^")
    data_set.preamble = preamble.ljust(128, b"\0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # wrong values are what is wanted
        for name, value in elements.items():
            setattr(data_set, name, value)
        into = io.BytesIO()
        data_set.save_as(into, enforce_file_format=True)
    return into.getvalue()


def nested(depth: int) -> bytes:
    """Sequences within sequences, written by hand: pydicom itself cannot go that deep."""
    start = struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    return dicom() + start * depth


def private_tags() -> bytes:
    content = dicom()
    element = struct.pack("<HH2sHI", 0x0043, 0x1029, b"OB", 0, 1 << 20) + bytes(1 << 20)
    return content + element * 50


def media_directory() -> bytes:
    item = Dataset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        item.ReferencedFileID = ["..", "..", "etc", "passwd"]
    return dicom(DirectoryRecordSequence=Sequence([item]))


ROWS: tuple[Row, ...] = (
    refused("zip entry `../../evil.dcm`", lambda: zipped("../../evil.dcm"), ZIP),
    refused("`..\\win.dcm`", lambda: zipped("..\\win.dcm"), ZIP),
    refused("encrypted zip, unknown method, zip64 lie", encrypted, ZIP, "encrypted"),
    refused(
        "encrypted zip, unknown method, zip64 lie", lambda: patched_zip(8, struct.pack("<H", 77)), ZIP, "unknown method"
    ),
    refused("encrypted zip, unknown method, zip64 lie", lambda: patched_zip(18, b"\xff" * 8), ZIP, "zip64 lie"),
    refused("nested zip / tar / rar / 7z", lambda: zipped("a.zip", content=zipped("b.dcm")), ZIP, "zip"),
    refused("nested zip / tar / rar / 7z", tarred, "a tar archive", "tar"),
    refused("nested zip / tar / rar / 7z", lambda: b"Rar!\x1a\x07\x01\0" + bytes(400), "a rar archive", "rar"),
    refused("nested zip / tar / rar / 7z", lambda: b"7z\xbc\xaf\x27\x1c" + bytes(400), "a 7z archive", "7z"),
    refused("empty zip; zip of non-DICOM", lambda: zipped(), "an empty zip archive", "empty"),
    refused("empty zip; zip of non-DICOM", lambda: zipped("a.txt", content=b"text"), ZIP, "no DICOM"),
    refused("truncated zip / bad central directory", lambda: zipped("a.dcm")[:-30], ZIP),
    refused("forged size (says 100 bytes)", lambda: patched_zip(22, struct.pack("<I", 100)), ZIP),
    Row(
        "HTTP `Content-Encoding: gzip` body",
        asked("/api/score", "POST", MULTIPART | {"Content-Encoding": "gzip"}, multipart([("a_FLAIR.nii", nifti())])),
        (415,),
        "encoded_body",
    ),
    refused("SQ nested 300 (undefined length)", lambda: nested(300), DICOM),
    refused("PE/ELF header in preamble", lambda: dicom(b"MZ" + bytes(58) + b"\x80\0\0\0"), DICOM),
    refused("truncated in header", lambda: dicom()[:170], DICOM),
    refused("truncated pixel data", lambda: dicom(Rows=64, Columns=64, BitsAllocated=16)[:-2], DICOM),
    refused(
        "Rows×Columns 65535², or 1 000 000 frames, tiny data",
        lambda: dicom(Rows=65535, Columns=65535, NumberOfFrames="1000000"),
        DICOM,
    ),
    refused(
        "JPEG 2000 / JPEG-LS / HTJ2K / RLE / JPEG-XL / MPEG", lambda: dicom(syntax=JPEG2000Lossless), DICOM, "JPEG 2000"
    ),
    refused("DICOMDIR with `..` ReferencedFileID", media_directory, DICOM),
    refused(
        "PatientName `<script>` ; Description 64 KB", lambda: dicom(PatientName="<script>alert(1)</script>"), DICOM
    ),
    refused(
        "UID `../../../../etc/cron.d/x`, 300 digits, empty",
        lambda: dicom(StudyInstanceUID="../../../../etc/cron.d/x"),
        DICOM,
    ),
    refused("private tags 50 MB; 100 000 elements", private_tags, DICOM),
)
_SERIES = "asks about the instances of a series; DICOM is not taken yet, so that none is ever put together"
NOT_YET = {
    "mixed: two patients": _SERIES,
    "two studies / several series": _SERIES,
    "missing slices (gap 2.4 in 1.2 mm)": _SERIES,
    "duplicate instance, identical bytes": _SERIES,
    "same SOPInstanceUID, different bytes": _SERIES,
    "same position, different instances (4-D)": _SERIES,
    "enhanced multi-frame MR, Philips/GE/Siemens mosaic": _SERIES,
    "missing IOP/IPP/PixelSpacing": _SERIES,
    "RescaleSlope NaN, BitsStored > BitsAllocated, signedness wrong": _SERIES,
    "burned-in annotation (0028,0301 YES), screenshots": _SERIES,
    "study upload aborted at 60 %; same study again; concurrently twice": _SERIES,
}
