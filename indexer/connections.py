"""Connections to the case store: readers borrow one each and hand it on, a writer has one in turn.

What is asked of them is left to the other files of the store.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.schema import open_database
from indexer.writer_lock import transaction_lock

if TYPE_CHECKING:
    from sqlite_utils import Database


# Kept open between questions; each has a cache and two files, and a server's threads come and go.
IDLE_READERS = 8


class Connections:
    """Lends each question a connection; readers never wait for one another."""

    def __init__(self, data: Path, *, read_only: bool) -> None:
        self.data = data
        self.read_only = read_only
        self._lock = threading.RLock()
        self._idle: list[Database] = []
        self._opened: list[Database] = []
        self._closed = False
        self._writer = None if read_only else self._open()
        if read_only:
            self._give_back(self._borrow())

    @contextmanager
    def reading(self) -> Iterator[Database]:
        if self._writer is not None:
            with self._lock:
                yield self._writer
            return
        reader = self._borrow()
        try:
            yield reader
        finally:
            self._give_back(reader)

    @contextmanager
    def writing(self) -> Iterator[Database]:
        """One transaction, rolled back whole when it fails."""
        if self._writer is None:
            raise PermissionError("Expected a case store opened for writing, got a read-only one.")
        with self._lock:
            if self._writer.conn.in_transaction:
                yield self._writer
                return
            with transaction_lock(self.data):
                self._writer.execute("BEGIN IMMEDIATE")
                try:
                    yield self._writer
                    self._writer.execute("COMMIT")
                except BaseException:
                    self._writer.conn.rollback()
                    raise

    def close(self) -> None:
        with self._lock, self._kept_open():
            self._closed = True
            while self._opened:
                self._opened.pop().close()

    def _borrow(self) -> Database:
        with self._lock:
            return self._idle.pop() if self._idle and not self._closed else self._open()

    def _give_back(self, reader: Database) -> None:
        with self._lock:
            if len(self._idle) < IDLE_READERS and not self._closed:
                self._idle.append(reader)
                return
            self._opened = [database for database in self._opened if database is not reader]
        reader.close()

    @contextmanager
    def _kept_open(self) -> Iterator[None]:
        """Another reader, so that no writer is the last to close: SQLite would checkpoint then, outside every lock."""
        with ExitStack() as stack:
            if self._writer is not None and not self._closed:
                with suppress(ValueError, sqlite3.Error):
                    stack.callback(open_database(self.data, read_only=True).close)
            yield

    def _open(self) -> Database:
        with self._lock:
            if self._closed:
                raise ValueError("Expected an open case store, got one that was closed.")
            database = open_database(self.data, read_only=self.read_only)
            self._opened.append(database)
        return database
