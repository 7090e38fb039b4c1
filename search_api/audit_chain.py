"""The audit on disk: append-only lines, each sealed with a key and chained to the one before.

`audit/000001.jsonl`, ... hold one JSON record a line; `audit/head` repeats sequence and hash of the last, `audit.key`
beside them seals. Any number of processes append, one at a time under a lock, and a record is on disk before `append`
returns. Reading and checking are left to audit_reading, what is recorded of a request or a command to audit and
command_audit.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexer.durable import first_file, sync_folder
from search_api.audit_records import HASH, NO_HASH, AuditError, Entry, Head, mending, now, parse, sealed

FOLDER, LOCK, HEAD = "audit", "lock", "head"
KEY = "audit.key"
KEY_BYTES = 32
FILE_BYTES = 64 * 1024**2  # some 150,000 searches; a file also ends with its month, so that old months can go whole
RESERVE_BYTES = 1024**2  # free space below which nothing is begun that must be recorded
LOCK_SECONDS = 5.0  # one append takes milliseconds: who waits longer stands behind a process that hangs
TAIL_BYTES = 64 * 1024
_NAME = re.compile(r"\d{6}\.jsonl")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, slots=True)
class _Tail:
    """Where the chain goes on: the newest file, the last record's place and month, and what is torn behind it.

    `ended` says whether the file ends with the end of a line.
    """

    file: Path | None
    head: Head
    month: str = ""
    torn: bytes = b""
    ended: bool = True


class AuditTrail:
    """Appends to the audit of one data directory. Holds nothing open, so that space freed or restored just works."""

    def __init__(self, data: Path, file_bytes: int = FILE_BYTES) -> None:
        self.folder = data / FOLDER
        self._key_file = data / KEY
        self._file_bytes = file_bytes

    def check(self) -> None:
        """Raise AuditError where a record could not be written now: asked before anything is begun."""
        with _refused():
            self._make_folder()
            self._key()
            path = next(iter(files_of(self.folder)[-1:]), self.folder / LOCK)
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                volume = os.fstatvfs(handle)
            finally:
                os.close(handle)
            if volume.f_bavail * volume.f_frsize < RESERVE_BYTES:
                raise OSError(errno.ENOSPC, "less free than the reserve")

    def append(self, entry: Entry) -> Head:
        """Write one record, which is on disk when this returns. Raises AuditError where it is not."""
        with _refused():
            self._make_folder()
            with locked(self.folder, fcntl.LOCK_EX):
                return self._append(entry, self._key())

    def _append(self, entry: Entry, key: bytes) -> Head:
        tail, told = _tail(self.folder), read_head(self.folder)
        lines, head = b"" if tail.ended else b"\n", tail.head
        lost = told is not None and (told.sequence > head.sequence or (told.sequence == head.sequence and told != head))
        if tail.torn or lost:
            through = told.sequence if told is not None and lost else 0
            mended, head = sealed(mending(tail.torn, through), Head(max(head.sequence, through), head.hash), key)
            lines += mended
        line, head = sealed(entry, head, key)
        _write(self._file(tail, len(lines + line)), lines + line)
        with suppress(OSError):  # the record is on disk; a head that lags behind is behind and does not lie
            _write_head(self.folder, head)
        return head

    def _file(self, tail: _Tail, size: int) -> Path:
        """The file that the next `size` bytes go into: a new one when the last is full or of another month."""
        if tail.file is None:
            return self.folder / "000001.jsonl"
        if tail.file.stat().st_size + size <= self._file_bytes and tail.month in ("", now()[:7]):
            return tail.file
        if tail.torn:
            return tail.file  # what sets a torn line aside stands behind it
        return self.folder / f"{int(tail.file.stem) + 1:06d}.jsonl"

    def _make_folder(self) -> None:
        if not self.folder.is_dir():
            self.folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.folder.mkdir(exist_ok=True, mode=0o700)
            sync_folder(self.folder.parent)

    def _key(self) -> bytes:
        """The key that seals; made with the first record and never again, since with another one nothing verifies."""
        try:
            return read_key(self._key_file)
        except FileNotFoundError as error:
            if files_of(self.folder):
                raise AuditError(
                    "audit_key_missing",
                    f"The key of the audit, {KEY}, is not there.",
                    f"Put it back from the backup, or move the folder {FOLDER} away to begin a new audit.",
                ) from error
        first_file(self._key_file, secrets.token_hex(KEY_BYTES).encode())
        return read_key(self._key_file)


def files_of(folder: Path) -> tuple[Path, ...]:
    """The files of an audit, oldest first."""
    found = (path for path in folder.iterdir() if _NAME.fullmatch(path.name)) if folder.is_dir() else ()
    return tuple(sorted(found))


def read_key(path: Path) -> bytes:
    """Raises FileNotFoundError, and AuditError where it is no key."""
    try:
        key = bytes.fromhex(path.read_text("ascii"))
    except (ValueError, UnicodeDecodeError):
        key = b""
    if len(key) != KEY_BYTES:
        raise AuditError(
            "audit_key_broken", f"The key of the audit, {KEY}, is damaged.", "Put it back from the backup."
        )
    return key


def read_head(folder: Path) -> Head | None:
    """What `head` says; None where it is missing or cannot be read."""
    try:
        sequence, _, seal = (folder / HEAD).read_text("ascii").strip().partition(" ")
        return Head(int(sequence), seal) if HASH.fullmatch(seal) else None
    except (OSError, ValueError):
        return None


@contextmanager
def locked(folder: Path, kind: int) -> Iterator[None]:
    """Hold the lock, shared or exclusive; between processes and threads alike. Raises AuditError where it is kept."""
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        until, wait = time.monotonic() + LOCK_SECONDS, 0.0005
        while True:
            try:
                fcntl.flock(handle, kind | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= until:
                    raise AuditError("audit_busy", "The audit is held by another process.", "Try again.") from error
                time.sleep(wait)
                wait = min(2 * wait, 0.01)
        yield
    finally:
        os.close(handle)


def _tail(folder: Path) -> _Tail:
    """The end of the chain; goes back to older files where the newest holds no record yet."""
    newest: Path | None = None
    torn, ended = b"", True
    for file in reversed(files_of(folder)):
        record, behind, whole_line = _last_record(file)
        if newest is None:
            newest, torn, ended = file, behind, whole_line
        if record is not None:
            return _Tail(newest, Head(record["sequence"], record["hash"]), str(record["utc"])[:7], torn, ended)
    return _Tail(newest, Head(0, NO_HASH), "", torn, ended)


def _last_record(path: Path) -> tuple[dict[str, Any] | None, bytes, bool]:
    """The last whole record of a file, the bytes behind it, and whether the file ends with the end of a line."""
    size, reach = path.stat().st_size, TAIL_BYTES
    with path.open("rb") as file:
        while True:
            file.seek(max(size - reach, 0))
            pieces = file.read(min(reach, size)).split(b"\n")
            ended = not pieces[-1]
            first = 0 if reach >= size else 1  # the first piece may be cut by our own reach
            for place in range(len(pieces) - 1 - ended, first - 1, -1):
                record = parse(pieces[place])
                if record is not None:
                    return record, b"\n".join(pieces[place + 1 :]), ended
            if reach >= size:
                return None, b"\n".join(pieces), ended
            reach *= 8


def _write(path: Path, lines: bytes) -> None:
    """Append and bring to disk, all or nothing."""
    new = not path.exists()
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(handle).st_size
        try:
            written = os.write(handle, lines)
            if written != len(lines):
                raise OSError(errno.ENOSPC, "written in part")
            os.fsync(handle)
        except OSError:
            with suppress(OSError):  # what cannot be taken back is a torn line to the next append
                os.ftruncate(handle, size)
            raise
    finally:
        os.close(handle)
    if new:
        sync_folder(path.parent)


def _write_head(folder: Path, head: Head) -> None:
    handle = os.open(folder / HEAD, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(handle, f"{head.sequence:012d} {head.hash}\n".encode(), 0)
    finally:
        os.close(handle)


@contextmanager
def _refused() -> Iterator[None]:
    """What the disk refuses as AuditError."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise AuditError(
                "audit_full", "There is no space left for the audit, so nothing is answered.", "Free some space."
            ) from error
        raise AuditError(
            "audit_unavailable", "The audit cannot be written, so nothing is answered.", "Look at the data directory."
        ) from error
