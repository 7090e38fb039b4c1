"""How a connection to the database is opened; the database made, copied, and brought to the schema of `migrations`.

Readers cannot write (`query_only`). SQLite's WAL-reset fault (fixed in 3.51.3) needs two connections that write
or checkpoint at one instant: so all do under the transaction's lock, none checkpoints by itself, and `checkpoint` is
called by the holder of the writer's lock alone. A new database gets its name when it is whole.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.durable import PRIVATE, sync_folder
from indexer.migrations import MIGRATIONS
from indexer.mounts import network_file_system
from indexer.store_seal import break_seal, is_sealed, put_seal
from indexer.writer_lock import BUSY_SECONDS, transaction_lock

if TYPE_CHECKING:
    from sqlite_utils import Database

FILE = "cases.sqlite"
SCHEMA = len(MIGRATIONS)
CACHE_KIB = 65_536  # pages that one connection keeps


class StoreError(ValueError):
    """A case store that cannot be opened.

    `code` is store_missing, store_lost, newer_schema, older_schema, store_damaged, store_unreadable or
    network_file_system.
    """

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


def open_database(data: Path, *, read_only: bool) -> Database:
    """A connection that may be used from any thread, by one at a time; brings an older schema up to date.

    Raises
    ------
    StoreError
        when there is none to read, when it is damaged, or of a schema that this release does not know
    """
    path = data / FILE
    if read_only and not path.is_file():
        _refuse_lost(data)
        raise _missing()
    network = network_file_system(data)
    if network is not None:
        raise StoreError(
            "network_file_system",
            f"The data directory lies on a network file system ({network}), where SQLite's log cannot be trusted.",
            "Name one on a disk of this machine with --data.",
        )
    try:
        if read_only:
            return _connect(path, read_only=True)
        with transaction_lock(data):
            if not path.is_file() or not path.stat().st_size:
                _refuse_lost(data)
            if not path.is_file():
                _create(path)
            return _connect(path, read_only=False)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) and "unable to open" not in str(error):
            raise
        raise StoreError(
            "store_damaged",
            f"The case store cannot be read: {error}.",
            "`neurorecall verify` says more; `neurorecall restore --backup FOLDER` brings it back.",
        ) from error


def checkpoint(database: Database, data: Path) -> None:
    """Move the write-ahead log into the database and seal it; for the holder of the writer's lock alone."""
    path = data / FILE
    with transaction_lock(data):
        if is_sealed(path) and not _log_size(path):
            return
        break_seal(path)
        busy, _, _ = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not busy:
            put_seal(path)


def back_up(data: Path, target: Path) -> None:
    """A consistent copy of the database while others read or write; one file, whole and on the disk."""
    aside = target.with_name(f".{target.name}.part")
    forget(aside)
    aside.touch(PRIVATE)
    with (
        closing(sqlite3.connect(f"{(data / FILE).resolve().as_uri()}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(aside)) as copy,
    ):
        source.backup(copy)
        (mode,) = copy.execute("PRAGMA journal_mode = DELETE").fetchone()
    if mode != "delete":
        raise sqlite3.OperationalError(f"Expected a copy without a log, found one in mode {mode}")
    sync_folder(aside)
    aside.rename(target)
    sync_folder(target.parent)


def _refuse_lost(data: Path) -> None:
    """Refuse to begin with no cases where there were some: new ones would get the row ids that generations know."""
    if is_sealed(data / FILE) or any((data / "generations").glob("[0-9]*")):
        raise StoreError(
            "store_lost",
            "Expected the cases that the index here was made of, found none.",
            "Bring them back: `neurorecall restore --backup FOLDER`; or begin anew in an empty data directory.",
        )


def _missing() -> StoreError:
    return StoreError("store_missing", "There is no case store here yet.", "Run `neurorecall ingest` first.")


def _create(path: Path) -> None:
    """A new database, made aside, so that nobody ever sees half of one."""
    aside = path.with_name(f".{path.name}.part")
    forget(aside)
    aside.touch(PRIVATE)
    with closing(_connect(aside, read_only=False)) as database:
        busy, _, _ = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    # SQLite does not say when closing fails to move the log into the file.
    if busy or _log_size(aside):
        raise sqlite3.OperationalError("Expected a new database without a log, found one with a log")
    sync_folder(aside)
    aside.rename(path)
    sync_folder(path.parent)


def forget(path: Path) -> None:
    """Delete a database that nobody has open, with what SQLite keeps beside it."""
    for end in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + end).unlink(missing_ok=True)


def _log_size(path: Path) -> int:
    try:
        return path.with_name(f"{path.name}-wal").stat().st_size
    except FileNotFoundError:
        return 0


def _connect(path: Path, *, read_only: bool) -> Database:
    from sqlite_utils import Database

    connection = _reading(path) if read_only else _raw(path, "mode=rwc")
    try:
        database = Database(connection, recursive_triggers=False, execute_plugins=False)
        _check_schema(database, path, read_only)
        if read_only:
            database.execute("PRAGMA query_only = ON")
    except BaseException:
        connection.close()
        raise
    return database


def _reading(path: Path) -> sqlite3.Connection:
    try:
        return _raw(path, "mode=ro")
    except sqlite3.OperationalError as error:
        if os.access(path.parent, os.W_OK):
            raise
        # A folder that nobody may write in has no room for the log's index; then nobody changes the file either.
        if _log_size(path):
            raise StoreError(
                "store_unreadable",
                "The case store has changes in its log, which cannot be read where nobody may write.",
                "Make the data directory writable once, and open it there.",
            ) from error
        return _raw(path, "mode=ro&immutable=1")


def _raw(path: Path, options: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?{options}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        # What patients' reports say is sorted in memory, never in a temporary file on another disk.
        connection.execute("PRAGMA temp_store = MEMORY")
        if "ro" not in options:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA secure_delete = ON")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _check_schema(database: Database, path: Path, read_only: bool) -> None:
    found = schema_of(database)
    if found > SCHEMA:
        raise StoreError(
            "newer_schema",
            f"Expected a case store of schema {SCHEMA} or older, found {found}.",
            "Upgrade NeuroRecall, or open another data directory.",
        )
    if found == SCHEMA:
        return
    if read_only and not found:
        raise _missing()
    if read_only:
        raise StoreError(
            "older_schema", f"Expected a case store of schema {SCHEMA}, found {found}.", "Run `neurorecall rebuild`."
        )
    if found:
        back_up(path.parent, path.with_suffix(f".schema{found}.bak"))
    database.execute("BEGIN IMMEDIATE")
    try:
        for migration in MIGRATIONS[schema_of(database) :]:
            migration(database)
        database.execute(f"PRAGMA user_version = {SCHEMA}")
        database.execute("COMMIT")
    except BaseException:
        database.execute("ROLLBACK")
        raise


def schema_of(database: Database) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])
