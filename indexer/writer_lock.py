"""One writer at a time: locks on the data directory that the kernel lets go of when their holder dies.

`writer_lock` is held for a whole ingest, rebuild, removal or restoring; its file stays where it is and says who holds
it. `transaction_lock` is held for one transaction or one checkpoint, so that no two connections ever write or
checkpoint the database at the same instant, which SQLite before 3.51.3 may answer with a damaged file (its WAL-reset
fault). Reading and searching need no lock.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from indexer.durable import sync_folder

FILE = "writer.lock"
TRANSACTION_FILE = "transaction.lock"
BUSY_SECONDS = 5.0
POLL_SECONDS = 0.01


class LockedError(ValueError):
    """Another process writes to this data directory."""

    def __init__(self, pid: int | None, host: str, since: str) -> None:
        holder = f"process {pid} on {host} since {since}" if pid else "another process"
        super().__init__(f"Another ingest, rebuild or removal is at work here: {holder}.")
        self.code = "locked"
        self.hint = "Wait until it has ended, then try again."
        self.pid, self.host, self.since = pid, host, since


@contextmanager
def writer_lock(data: Path) -> Iterator[None]:
    """Hold the writer's lock. Raises LockedError at once where somebody else does."""
    if not data.is_dir():
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        sync_folder(data.parent)
    handle = os.open(data / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _locked(handle) from error
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": _now()}
        # Who holds it is said for people; on a full disk the lock itself still holds.
        with suppress(OSError):
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(holder).encode(), 0)
        try:
            yield
        finally:
            with suppress(OSError):
                os.ftruncate(handle, 0)
    finally:
        os.close(handle)


@contextmanager
def transaction_lock(data: Path) -> Iterator[None]:
    """Hold the lock of one transaction.

    Raises
    ------
    sqlite3.OperationalError
        as SQLite itself does, where somebody else holds it for more than some seconds
    """
    handle = os.open(data / TRANSACTION_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        ends = time.monotonic() + BUSY_SECONDS
        while not _taken(handle):
            if time.monotonic() >= ends:
                raise sqlite3.OperationalError("database is locked")
            time.sleep(POLL_SECONDS)
        yield
    finally:
        os.close(handle)


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _locked(handle: int) -> LockedError:
    try:
        holder = json.loads(os.pread(handle, 4096, 0))
        return LockedError(int(holder["pid"]), str(holder["host"]), str(holder["since"]))
    except (ValueError, KeyError, TypeError):
        return LockedError(None, "", "")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
