"""One writer at a time: a lock on the data directory that the kernel lets go of when its holder dies.

The file stays where it is and says who holds it. Reading and searching need no lock.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

FILE = "writer.lock"


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
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(data / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _locked(handle) from error
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": _now()}
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(holder).encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def _locked(handle: int) -> LockedError:
    try:
        holder = json.loads(os.pread(handle, 4096, 0))
        return LockedError(int(holder["pid"]), str(holder["host"]), str(holder["since"]))
    except (ValueError, KeyError, TypeError):
        return LockedError(None, "", "")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
