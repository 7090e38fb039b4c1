"""Uploaded files to volumes: a multipart body within limits, each file parsed in a process of its own.

Files are spooled to nameless temporary files, so that nothing is left of them however a request ends. A file's name
serves only to recognise the MR sequence and goes no further. What the volumes are asked for is left to the routes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any

import anyio
import anyio.to_thread
import numpy as np
from fastapi import Request
from numpy.typing import NDArray
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from encoders.sequences import MRSequence, SequenceError, parse_sequence, recognise_sequence
from encoders.volume import Frame, Volume, VolumeError, parse_frame
from indexer.report_text import ReportError, text_of
from search_api.audit_acts import act_of
from search_api.errors import Problem, busy
from search_api.memory import give_back
from search_api.metrics import Metrics
from search_api.settings import Settings
from search_api.volume_worker import LONGEST_HEADER, OPTIONS

_ROOT = Path(__file__).parent.parent
_MOST_FIELDS = 64
_FIELD_BYTES = 128 * 1024
_CHARACTER_BYTES = 4  # the most that UTF-8 takes for one
_WAIT_STEP = 0.05  # seconds


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """One file as it came: an open file without a name on disk, and the sequence that its name tells."""

    content: IO[bytes]
    sequence: MRSequence | None


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart body: its files, and its text fields, each given once."""

    files: tuple[UploadedFile, ...]
    fields: Mapping[str, str]
    frame: Frame


class UploadReader:
    """Reads `settings.uploads` at a time, receives or lets wait some more, refuses the rest; made once an application.

    An upload is received before it takes one of the slots, so that a slow sender keeps nobody from being read.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._places = threading.BoundedSemaphore(settings.uploads + settings.uploads_waiting)
        self._slots = threading.BoundedSemaphore(settings.uploads)

    @asynccontextmanager
    async def received(
        self, request: Request, fields: frozenset[str], *, files_needed: bool = True
    ) -> AsyncIterator[Upload]:
        """The upload of a request, whose files are gone when the context ends.

        A slot is held until then, so that encoding is bounded as well. `fields` are the names that the call knows
        beside `files`, `sequences`, `sequence_hint` and `frame`.

        Raises
        ------
        Problem
            503 when too many are waiting or no slot comes free, 415 for another kind of body, 400 for a malformed one
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "multipart/form-data":
            raise Problem(
                415, "not_multipart", "Expected the files as multipart/form-data.", "Send them in the part `files`."
            )
        if not self._places.acquire(blocking=False):
            raise busy("Too many uploads are waiting.")
        self._metrics.uploads.inc()
        try:
            form = await self._form(request, fields)
            try:
                upload = _upload_of(form, fields, self._settings, files_needed=files_needed)
                act_of(request.scope).asks(**_asked(upload))
                async with self._slot():
                    yield upload
            finally:
                await form.close()
        finally:
            self._metrics.uploads.dec()
            self._places.release()
            await anyio.to_thread.run_sync(give_back)

    async def volumes(self, upload: Upload) -> tuple[Volume, ...]:
        """The volumes of an upload, in its order. Raises VolumeError, or Problem `unknown_sequence`."""
        volumes: list[Volume] = []
        left = self._settings.voxels
        for number, file in enumerate(upload.files, start=1):
            if file.sequence is None:
                raise Problem(
                    422,
                    "unknown_sequence",
                    f"The MR sequence of file {number} is not known.",
                    "Pass it in `sequences`, one a file in their order: "
                    + ", ".join(str(sequence) for sequence in MRSequence)
                    + ".",
                )
            called = f"file {number}" if len(upload.files) > 1 else "The file"
            parsed = await anyio.to_thread.run_sync(self._parse, file, called, upload.frame, left)
            left -= parsed.voxels.size
            volumes.append(parsed)
        return tuple(volumes)

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        until = time.monotonic() + self._settings.upload_wait_seconds
        with self._metrics.uploads_waiting.track_inprogress():
            while not self._slots.acquire(blocking=False):
                if time.monotonic() >= until:
                    raise busy("Other uploads are being read.")
                await anyio.sleep(_WAIT_STEP)
        try:
            yield
        finally:
            self._slots.release()

    async def _form(self, request: Request, known: frozenset[str]) -> FormData:
        most = max(_FIELD_BYTES, self._settings.report_characters * _CHARACTER_BYTES if "report" in known else 0)
        try:
            return await request.form(
                max_files=self._settings.files + ("report" in known), max_fields=_MOST_FIELDS, max_part_size=most
            )
        except HTTPException as error:
            if str(error.detail).startswith("Part exceeded"):
                name, length = ("report", self._settings.report_characters) if "report" in known else ("a text part", 0)
                raise _too_large(name, length or self._settings.text_characters) from error
            raise Problem(
                400,
                "bad_multipart",
                f"The upload cannot be read: {str(error.detail).rstrip('.')}.",
                f"Send 1 to {self._settings.files} files in the part `files`.",
            ) from error

    def _parse(self, file: UploadedFile, called: str, frame: int | str | None, voxels: int) -> Volume:
        options = {
            "name": called,
            "frame": frame,
            "voxels": max(voxels, 1),
            "file_bytes": self._settings.body_bytes,
            "inflated_bytes": self._settings.inflated_bytes,
            "memory_bytes": self._settings.parse_memory_bytes,
            "seconds": max(1, round(self._settings.parse_seconds)),
        }
        file.content.seek(0)
        with tempfile.TemporaryFile() as outcome:
            run_worker(options, file.content, outcome, self._settings.parse_seconds)
            outcome.seek(0)
            header, voxel_values = _read_outcome(outcome, called)
        return Volume(voxel_values, np.array(header["affine"], np.float64), file.sequence, tuple(header["notes"]))


def run_worker(options: Mapping[str, object], content: IO[bytes], outcome: IO[bytes], seconds: float) -> None:
    """Parse in a process that knows nothing but the one file. Raises VolumeError `too_slow`."""
    environment = {
        OPTIONS: json.dumps(options),
        "PYTHONPATH": str(_ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "PATH": os.defpath,
    }
    try:
        subprocess.run(
            [sys.executable, "-P", "-s", "-m", "search_api.volume_worker"],
            stdin=content,
            stdout=outcome,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=environment,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise VolumeError(
            "too_slow", f"{options['name']}: reading it took longer than {seconds:g} s.", "Send one series."
        ) from error


def _read_outcome(outcome: IO[bytes], called: str) -> tuple[dict[str, Any], NDArray[np.float32]]:
    """The worker's line of JSON and its voxels. Raises VolumeError with what it refused."""
    line = outcome.readline(LONGEST_HEADER)
    try:
        header: dict[str, Any] = json.loads(line)
    except ValueError as error:
        # Ended by a limit before it could say so.
        raise VolumeError("unreadable", f"{called}: it could not be read.", "Convert or export it again.") from error
    if "code" in header:
        raise VolumeError(header["code"], header["message"], header["hint"])
    shape = tuple(int(length) for length in header["shape"])
    voxels = np.frombuffer(outcome.read(), np.float32)
    if voxels.size != np.prod(shape):
        raise VolumeError("unreadable", f"{called}: it could not be read to its end.", "Convert or export it again.")
    return header, voxels.reshape(shape)


def _upload_of(form: FormData, known: frozenset[str], settings: Settings, *, files_needed: bool) -> Upload:
    parts = [part for part in form.getlist("files") if isinstance(part, UploadFile)]
    parts = [part for part in parts if part.filename or part.size]
    if not parts and files_needed:
        raise Problem(400, "no_files", "No file was sent.", "Send 1 or more NIfTI files in the part `files`.")
    if len(parts) > settings.files:
        raise Problem(400, "bad_multipart", "The upload has too many files.", f"Send at most {settings.files}.")
    fields = _fields(form, known, settings)
    sequences = _sequences(fields.pop("sequences", ""), fields.pop("sequence_hint", ""), len(parts))
    files = tuple(
        UploadedFile(_on_disk(part), sequence or recognise_sequence(_clean_name(part.filename or "")))
        for part, sequence in zip(parts, sequences, strict=True)
    )
    return Upload(files, fields, _frame(fields.pop("frame", "")))


_JOINED = {"sequences": ",", "ask": "\n"}  # what may be given several times, and how that is read
_LONG = ("report", "ask")  # each of the sentences of `ask` has a limit of its own


def _fields(form: FormData, known: frozenset[str], settings: Settings) -> dict[str, str]:
    allowed = known | {"sequences", "sequence_hint", "frame"}
    found: dict[str, list[str]] = {}
    for name, value in form.multi_items():
        if name == "files":
            if not isinstance(value, UploadFile):
                raise Problem(400, "bad_files", "The part `files` held text.", "Send it as a file, with a file name.")
            continue
        if name == "report" and name in allowed and isinstance(value, UploadFile):
            value = _report_of(value, settings)
        if name not in allowed or isinstance(value, UploadFile):
            raise Problem(
                400, "unknown_parameter", "The upload has a part that is not known.", f"Known are: {_names(allowed)}."
            )
        found.setdefault(name, []).append(value)
    repeated = [name for name, values in found.items() if len(values) > 1 and name not in _JOINED]
    if repeated:
        raise Problem(400, "repeated_parameter", f"{repeated[0]} was given more than once.", "Give it once.")
    fields = {name: _JOINED.get(name, "").join(values) for name, values in found.items()}
    for name, value in fields.items():
        most = settings.report_characters if name in _LONG else settings.text_characters
        if name == "report" and len(value) > most:
            raise _too_large(name, most)
        if len(value) > most:
            raise Problem(
                400,
                "too_long",
                f"Expected at most {most} characters in {name}, got {len(value)}.",
                "Shorten it.",
            )
    return fields


def _report_of(part: UploadFile, settings: Settings) -> str:
    """A report that was sent as a file. Raises Problem where it is too long, or no text."""
    content = part.file.read(settings.report_characters * _CHARACTER_BYTES + 1)
    if len(content) > settings.report_characters * _CHARACTER_BYTES:
        raise _too_large("report", settings.report_characters)
    try:
        return text_of(content)
    except ReportError as error:
        raise Problem(400, "bad_report", str(error), "Send the report as plain text in UTF-8.") from error


def _too_large(name: str, most: int) -> Problem:
    what = "the report" if name == "report" else name
    hint = "Give the report of one examination." if name == "report" else "Shorten it."
    return Problem(413, "too_large", f"Expected at most {most:,} characters in {what}, got more.", hint)


def _asked(upload: Upload) -> dict[str, object]:
    """What the audit keeps of an upload: its words, the MR sequences of its files, of a report only its length."""
    asked: dict[str, object] = {name: text for name, text in upload.fields.items() if name != "report"}
    if "report" in upload.fields:
        asked["report_characters"] = len(upload.fields["report"])
    return asked | {"scans": [str(file.sequence or "unknown") for file in upload.files]}


def _names(names: frozenset[str]) -> str:
    return ", ".join(("files", *sorted(names)))


def _sequences(listed: str, hint: str, count: int) -> Sequence[MRSequence | None]:
    """One a file, None where the file's name shall tell; `hint` holds for all that the list leaves open."""
    words = [word.strip() for word in listed.split(",")] if listed.strip() and count else [""] * count
    if len(words) != count:
        raise Problem(
            400,
            "bad_sequences",
            f"Expected {count} MR sequences, one a file, got {len(words)}.",
            "Leave one blank where the file's name tells it.",
        )
    try:
        return [parse_sequence(word) if (word := given or hint.strip()) else None for given in words]
    except SequenceError as error:
        raise Problem(422, "unknown_sequence", str(error), "Name an MR sequence in `sequences`.") from error


def _frame(text: str) -> Frame:
    try:
        return parse_frame(text)
    except VolumeError as error:
        raise Problem(400, error.code, str(error), error.hint) from error


def _on_disk(part: UploadFile) -> IO[bytes]:
    """The part's content as a real file, which another process can be given."""
    content = part.file
    if isinstance(content, SpooledTemporaryFile):
        content.rollover()
    return content


def _clean_name(name: str) -> str:
    base = name.replace("\\", "/").rpartition("/")[2]
    return "".join(character for character in base if character.isprintable())[:200]
