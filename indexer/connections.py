"""Connections to the case store, one a thread for readers, one in turn for a writer.

What is asked of them is left to the other files of the store.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.schema import open_database

if TYPE_CHECKING:
    from sqlite_utils import Database


class Connections:
    """Hands each thread a connection; readers never wait for one another."""

    def __init__(self, data: Path, *, read_only: bool) -> None:
        self.data = data
        self.read_only = read_only
        self._lock = threading.RLock()
        self._own = threading.local()
        self._opened: list[Database] = []
        self._closed = False
        self._writer = None if read_only else self._open()
        if read_only:
            self._reader()

    @contextmanager
    def reading(self) -> Iterator[Database]:
        if self._writer is None:
            yield self._reader()
        else:
            with self._lock:
                yield self._writer

    @contextmanager
    def writing(self) -> Iterator[Database]:
        """One transaction, rolled back whole when it fails."""
        if self._writer is None:
            raise PermissionError("Expected a case store opened for writing, got a read-only one.")
        with self._lock:
            if self._writer.conn.in_transaction:
                yield self._writer
                return
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
            except BaseException:
                self._writer.conn.rollback()
                raise
            self._writer.execute("COMMIT")

    def close(self) -> None:
        with self._lock:
            self._closed = True
            while self._opened:
                self._opened.pop().close()

    def _reader(self) -> Database:
        database: Database | None = getattr(self._own, "database", None)
        if database is None:
            database = self._own.database = self._open()
        return database

    def _open(self) -> Database:
        with self._lock:
            if self._closed:
                raise ValueError("Expected an open case store, got one that was closed.")
            database = open_database(self.data, read_only=self.read_only)
            self._opened.append(database)
        return database
