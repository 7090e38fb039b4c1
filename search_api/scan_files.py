"""Files named at the command line, read into volumes and texts; what cannot be used is said file by file.

Uploads over HTTP come another way and have their own limits: see uploads.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

from encoders.sequences import MRSequence, parse_sequence, recognise_sequence
from encoders.volume import Frame, Volume, VolumeError, parse_frame, read_volume
from indexer.report_text import LONGEST_REPORT, ReportError, text_of

_MOST_BYTES = 4 * LONGEST_REPORT + 4  # of a report, and its mark; a longer one is refused by what is read of it


@dataclass(frozen=True, slots=True)
class RefusedFile:
    """A file that was refused."""

    item: str
    code: str
    message: str
    hint: str = ""

    def to_dict(self) -> dict[str, str]:
        return {"item": self.item, "code": self.code, "message": self.message, "hint": self.hint}


class FileRefused(ValueError):
    """No file could be used; stands for the first."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


def read_scans(
    files: Sequence[Path], sequences: Sequence[MRSequence], called: Sequence[str] = (), frame: Frame = None
) -> tuple[list[Volume], list[RefusedFile]]:
    """The volumes of the files whose MR sequence is one of these, and the files that were refused.

    `called` names the MR sequences of the files in order; `frame` is which volume of a 4-D file is meant.

    Raises
    ------
    FileRefused
        no file could be used, or more names than files
    """
    if len(called) > len(files):
        raise FileRefused("bad_sequence", f"Expected at most {len(files)} sequences, got {len(called)}", "One a file.")
    volumes: list[Volume] = []
    refused: list[RefusedFile] = []
    for path, name in zip_longest(files, called):
        try:
            volume = read_scan(path, frame)
        except VolumeError as error:
            refused.append(RefusedFile(path.name, error.code, str(error), error.hint))
            continue
        if name is not None:
            volume = replace(volume, sequence=parse_sequence(name))
        if volume.sequence in sequences:
            volumes.append(volume)
        else:
            refused.append(_unscorable(path.name, volume, sequences))
    if not volumes:
        first = refused[0] if refused else RefusedFile("", "no_scans", "No scan was given", "Give a NIfTI file.")
        raise FileRefused(first.code, first.message, first.hint)
    return volumes, refused


def read_all_scans(
    files: Sequence[Path], sequences: Sequence[MRSequence], called: Sequence[str], frame: str
) -> list[Volume]:
    """`read_scans` of files that belong together: where one cannot be used, none is. None for no files."""
    if not files:
        return []
    volumes, refused = read_scans(files, sequences, called, parse_frame(frame))
    if refused:
        raise FileRefused(refused[0].code, refused[0].message, refused[0].hint)
    return volumes


def read_scan(path: Path, frame: Frame = None) -> Volume:
    """Read one series; its MR sequence from its name, else from the JSON sidecar beside it. Raises VolumeError."""
    volume = read_volume(path, frame=frame)
    sidecar = path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".json")
    if volume.sequence is not None or not sidecar.is_file():
        return volume
    try:
        fields = json.loads(sidecar.read_text("utf-8"))
    except ValueError:
        return volume
    return replace(volume, sequence=recognise_sequence(path.name, fields if isinstance(fields, dict) else None))


def read_text(path: Path) -> str:
    """Read a report from a text file in UTF-8, or UTF-16 with its mark; raises FileRefused."""
    try:
        with path.open("rb") as file:
            return text_of(file.read(_MOST_BYTES))
    except OSError as error:
        raise FileRefused("no_file", f"{path.name} cannot be read", "Give a text file.") from error
    except ReportError as error:
        raise FileRefused("bad_report", f"{path.name}: {error}", "Save the report as plain text in UTF-8.") from error


def _unscorable(name: str, volume: Volume, sequences: Sequence[MRSequence]) -> RefusedFile:
    hint = f"Name the file after its MR sequence, one of: {', '.join(str(sequence) for sequence in sequences)}."
    if volume.sequence is None:
        return RefusedFile(name, "unknown_sequence", f"{name}: its MR sequence is not known", hint)
    return RefusedFile(name, "no_network", f"{name}: no network was trained for {volume.sequence}", hint)
