"""The files of series: what ingest looks at in each, and how a stored series is read again later.

Ingest reads the header and hashes the bytes; the voxels are checked when rebuild reads them. Checking itself is left
to `encoders`.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from encoders.nifti import HEADER_BYTES, NiftiHeader, parse_header
from encoders.sequences import MRSequence
from encoders.volume import Volume, VolumeError, VolumeLimits, read_volume
from indexer.case_store import CaseStore
from indexer.cases import DraftSeries

SUFFIXES = (".nii.gz", ".nii", ".hdr")
HEAD_BYTES = 65_536  # enough of a gzip stream to inflate a header from
USUAL_B_VALUE = 1000.0  # s/mm2; the diffusion weighting that brain reports speak of


@dataclass(frozen=True, slots=True)
class KnownFile:
    """What an earlier ingest found; good as long as size and modification time are the same."""

    size: int
    modified: int
    digest: str
    shape: tuple[int, ...]
    spacing: tuple[float, ...]


def is_volume_file(path: Path) -> bool:
    return path.name.lower().endswith(SUFFIXES) and not path.name.startswith(".")


def stem_of(path: Path) -> str:
    """File name without `.nii.gz`.

    >>> stem_of(Path("sub-01_T1w.nii.gz"))
    'sub-01_T1w'
    """
    lowered = path.name.lower()
    ending = next((suffix for suffix in SUFFIXES if lowered.endswith(suffix)), path.suffix)
    return path.name[: len(path.name) - len(ending)] if ending else path.name


def inspect(
    path: Path, name: str, sequence: MRSequence | None, known: Mapping[str, KnownFile] | None = None
) -> DraftSeries:
    """What ingest keeps of a file; an unreadable one gets a `problem`, never an exception."""
    notes = () if sequence else ("Its MR sequence is not known; it is kept and not searched by.",)
    try:
        size, modified = stamp(path)
        earlier = (known or {}).get(str(path))
        if earlier and (earlier.size, earlier.modified) == (size, modified):
            digest, shape, spacing = earlier.digest, earlier.shape, earlier.spacing
        else:
            shape, spacing = _geometry(path)
            digest = _digest(path)
    except VolumeError as error:
        return DraftSeries(path, name, sequence, problem=(error.code, f"{error} {error.hint}"))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        return DraftSeries(path, name, sequence, problem=("unreadable", f"The file cannot be read: {reason}."))
    return DraftSeries(path, name, sequence, shape, spacing, notes, size, modified, digest)


def read_series(path: Path, sequence: MRSequence | None, name: str = "") -> Volume:
    """A stored series as a volume. Of a 4-D file one frame is taken, which its notes say.

    Raises
    ------
    VolumeError
        as `read_volume`; a file that is gone has the code `missing`
    """
    try:
        return read_volume(path, name=name, sequence=sequence)
    except VolumeError as error:
        if error.code != "four_d":
            raise
    except FileNotFoundError as error:
        raise VolumeError("missing", f"{name or 'The file'} is gone.", "Ingest its source again.") from error
    except OSError as error:
        raise VolumeError("unreadable", f"{name or 'The file'} cannot be read.", "Look at its permissions.") from error
    return read_volume(path, name=name, sequence=sequence, frame=_frame(path, sequence))


def read_stored_series(store: CaseStore, key: str, number: int) -> Volume:
    """One series of a case. Raises CaseMissing, or VolumeError where its file is gone or broken."""
    identity = store.id_of(key)
    path = store.series_file(key, number)
    series = next(one for one in store.examinations([identity])[identity].series if one.number == number)
    return read_series(path, series.sequence, series.name)


def _frame(path: Path, sequence: MRSequence | None) -> int | Literal["mean"]:
    if sequence is not MRSequence.DWI:
        return 0
    values = path.with_name(f"{stem_of(path)}.bval")
    try:
        weights = [float(word) for word in values.read_text("utf-8").split()]
    except (OSError, ValueError):
        return "mean"
    if not weights:
        return "mean"
    return int(np.argmin([abs(weight - USUAL_B_VALUE) for weight in weights]))


def stamp(path: Path) -> tuple[int, int]:
    """Size in bytes and modification time in ns: as long as both stay, so does the content."""
    found = [one.stat() for one in _parts(path)]
    return sum(one.st_size for one in found), max(one.st_mtime_ns for one in found)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    for part in _parts(path):
        with part.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _parts(path: Path) -> tuple[Path, ...]:
    """The file, and with a header of a pair also its voxels."""
    image = path.with_suffix(".img")
    return (path, image) if path.suffix.lower() == ".hdr" and image.is_file() else (path,)


def _geometry(path: Path) -> tuple[tuple[int, ...], tuple[float, ...]]:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise VolumeError("empty_file", "The file is empty (0 bytes).", "Export or copy it again.")
    if head[:2] == b"\x1f\x8b":
        try:
            head = zlib.decompressobj(31).decompress(head, HEADER_BYTES)
        except zlib.error as error:
            raise VolumeError("checksum", "The gzip stream is damaged.", "Copy the file again.") from error
    header = parse_header(head[:HEADER_BYTES], VolumeLimits())
    return header.shape, _spacing(head, header)


def _spacing(head: bytes, header: NiftiHeader) -> tuple[float, ...]:
    layout, offset = ("8f", 76) if header.size == 348 else ("8d", 104)
    values = struct.unpack_from(header.endianness + layout, head, offset)
    return tuple(round(abs(float(value)), 4) for value in values[1:4])
