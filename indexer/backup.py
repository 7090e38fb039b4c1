"""Backups: a consistent copy of all that cannot be made again, and how it comes back.

The database, the key of the pseudonyms and a site's own files are truth; generations, locks and what lies aside are
not. A backup is checked before it is brought back, what it replaces is kept aside, and row ids that any generation
knows are never given to other cases. Cases that were removed since the backup come back with it.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from indexer import generation_files, store_seal
from indexer.durable import new_file, remove_file, sync_folder
from indexer.generation_manifest import FileSeal, digest_of
from indexer.generations import GenerationError, Index, Kind
from indexer.pseudonyms import FILE as KEY_FILE
from indexer.pseudonyms import PseudonymError, check_key
from indexer.removal import REPLACED
from indexer.schema import FILE, SCHEMA, StoreError, back_up, forget
from indexer.writer_lock import transaction_lock, writer_lock

FORMAT = 1
MANIFEST = "backup.json"
RESTORED = (FILE, KEY_FILE, "terms.json")  # other files are brought back only where they are not there
FOLDERS = ("access", "audit")  # who may come in, and who did
_NUMBERED = ("examination", "series", "report", "sentence")


class BackupError(ValueError):
    """A backup that cannot be made, or that is not as it was written."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


@dataclass(frozen=True, slots=True)
class BackupSummary:
    """`examinations` counts those in the backup; `kept` names the folder that holds what a restoring replaced."""

    files: tuple[str, ...]
    examinations: int
    created: str
    kept: str = ""


def make_backup(data: Path | str, folder: Path | str) -> BackupSummary:
    """Copy all truth of a data directory into a new folder, while others read or write.

    Raises
    ------
    BackupError
        when the folder is there already, or lies inside the data directory
    StoreError
        when there is no case store
    """
    data, folder = Path(data), Path(folder)
    if not (data / FILE).is_file():
        raise StoreError("store_missing", "There is no case store here.", "Name the data directory with --data.")
    if folder.resolve().is_relative_to(data.resolve()):
        raise BackupError("inside_data", "A backup cannot lie inside the data directory.", "Name another folder.")
    if os.path.lexists(folder):
        raise BackupError("backup_exists", "Expected a new folder, found one that is there.", "Name another folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700)
    try:
        summary = _fill(data, aside)
        sync_folder(aside)
        aside.rename(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    sync_folder(folder.parent)
    return summary


def check_backup(folder: Path | str) -> BackupSummary:
    """Every size and hash, and the database's own checks. Raises BackupError."""
    folder = Path(folder)
    try:
        stored = json.loads((folder / MANIFEST).read_text("utf-8"))
        seals = {str(name): FileSeal(int(one["size"]), str(one["sha256"])) for name, one in stored["files"].items()}
        summary = BackupSummary(tuple(seals), int(stored["examinations"]), str(stored["created"]))
        found = int(stored["format"])
        digest = stored.pop("digest")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unusable(f"Expected a backup with its {MANIFEST}, found none.") from error
    if digest != digest_of(stored):
        raise _unusable(f"Expected {MANIFEST} as it was written, found it changed.")
    if found != FORMAT or FILE not in seals:
        raise _unusable(f"Expected a backup of format {FORMAT} with {FILE}, found format {found}.")
    for name, seal in seals.items():
        inside, _, leaf = name.rpartition("/")
        if inside not in ("", *FOLDERS) or leaf in ("", ".", "..") or "\\" in leaf:
            raise _unusable("Expected names of files in the backup, found a path.")
        try:
            generation_files.check_file(folder / name, seal)
        except GenerationError as error:
            raise _unusable(str(error)) from error
    _check_database(folder / FILE)
    if KEY_FILE in seals:
        try:
            check_key(folder)
        except PseudonymError as error:
            raise _unusable(str(error)) from error
    return summary


def restore_backup(data: Path | str, folder: Path | str) -> BackupSummary:
    """Put a backup in the place of what is there, which is kept aside; no process may have the data directory open.

    Raises
    ------
    BackupError
        when the backup is not as it was written, or the case store is open elsewhere
    LockedError
        when another process writes to the data directory
    """
    data, folder = Path(data), Path(folder)
    summary = check_backup(folder)
    with writer_lock(data):
        used = _used_ids(data)
        aside = data / f".{FILE}.part"
        forget(aside)
        _copy(folder / FILE, aside)
        _raise_ids(aside, used)
        with transaction_lock(data):
            _close_log(data)
            kept = _keep(data)
            for name in RESTORED:
                store_seal.break_seal(data / name)
            # Others first: with the database in place the restoring is done.
            for name in summary.files:
                if name != FILE and (name in RESTORED or not (data / name).exists()):
                    (data / name).parent.mkdir(exist_ok=True, mode=0o700)
                    part = (data / name).with_name(f".{Path(name).name}.part")
                    _copy(folder / name, part)
                    part.rename(data / name)
            aside.rename(data / FILE)
            sync_folder(data)
            _remove_log(data / FILE)  # of a reader that came in between
            store_seal.put_seal(data / FILE)
    return BackupSummary(summary.files, summary.examinations, summary.created, kept)


def _fill(data: Path, aside: Path) -> BackupSummary:
    back_up(data, aside / FILE)
    with closing(sqlite3.connect(f"{(aside / FILE).resolve().as_uri()}?mode=ro", uri=True)) as database:
        count = int(database.execute("SELECT count(*) FROM examination").fetchone()[0])
    for path in sorted(data.iterdir()):
        if path.is_file() and not path.is_symlink() and _is_truth(path.name):
            _copy(path, aside / path.name)
    for name in FOLDERS:
        _copy_folder(data / name, aside / name)
    copies = sorted(path for path in aside.rglob("*") if path.is_file())
    seals = {path.relative_to(aside).as_posix(): generation_files.seal_file(path) for path in copies}
    created = datetime.now(UTC).isoformat(timespec="seconds")
    files = {name: asdict(one) for name, one in seals.items()}
    body = {"format": FORMAT, "created": created, "schema": SCHEMA, "examinations": count, "files": files}
    with new_file(aside / MANIFEST) as file:
        file.write(json.dumps({**body, "digest": digest_of(body)}).encode())
    return BackupSummary(tuple(seals), count, created)


def _copy_folder(source: Path, target: Path) -> None:
    """From the last name to the first, so that the audit's head is never ahead of the records beside it."""
    paths = [path for path in source.glob("*") if path.is_file() and path.name != "lock" and _is_truth(path.name)]
    for path in sorted(paths, reverse=True):
        target.mkdir(exist_ok=True, mode=0o700)
        _copy(path, target / path.name)
    if paths:
        sync_folder(target)


def _is_truth(name: str) -> bool:
    """Whatever lies there, except what can be made again; so that a file that another part keeps is not forgotten."""
    made = name.startswith((".", FILE)) or name.endswith((".lock", ".bak", ".part", ".new", store_seal.SUFFIX))
    return not made and name not in (generation_files.CURRENT, MANIFEST)


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as given, new_file(target) as file:
        shutil.copyfileobj(given, file, 1 << 20)


def _check_database(path: Path) -> None:
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as database:
            schema = int(database.execute("PRAGMA user_version").fetchone()[0])
            found = database.execute("PRAGMA integrity_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        raise _unusable(f"The database of the backup cannot be read: {error}.") from error
    if found != "ok" or not schema:
        raise _unusable(f"The database of the backup is damaged: {found}.")
    if schema > SCHEMA:
        raise BackupError(
            "newer_schema",
            f"Expected a backup of schema {SCHEMA} or older, found {schema}.",
            "Upgrade NeuroRecall first.",
        )


def _used_ids(data: Path) -> Mapping[str, int]:
    """The highest row id of each table that the database or any generation names."""
    used = dict.fromkeys(_NUMBERED, 0)
    # A damaged database tells what it can; generations name all that was ever searched.
    with (
        suppress(sqlite3.Error),
        closing(sqlite3.connect(f"{(data / FILE).resolve().as_uri()}?mode=ro", uri=True)) as database,
    ):
        for name, highest in database.execute("SELECT name, seq FROM sqlite_sequence").fetchall():
            if name in used:
                used[name] = max(used[name], int(highest))
    for name in generation_files.names(data):
        with suppress(GenerationError):
            index = Index.open_generation(data, name)
            for kind in Kind:
                used[str(kind)] = max(used[str(kind)], int(index.keys(kind).max(initial=0)))
                used["examination"] = max(used["examination"], int(index.owners(kind).max(initial=0)))
    return used


def _raise_ids(path: Path, used: Mapping[str, int]) -> None:
    """Have a database give only row ids above those used."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous = FULL")
        database.execute("BEGIN IMMEDIATE")
        for table, highest in used.items():
            known = database.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
            if known is None:
                database.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, highest))
            elif known[0] < highest:
                database.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = ?", (highest, table))
        database.execute("COMMIT")
        # As it will be opened: another mode would change the file after it was sealed.
        (mode,) = database.execute("PRAGMA journal_mode = WAL").fetchone()
        (busy, _, _) = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if mode != "wal" or busy:
        raise sqlite3.OperationalError(f"Expected a database with a log, found one in mode {mode}")


def _close_log(data: Path) -> None:
    """Move the log into the database that will be kept aside and delete it: it must not meet the other database."""
    path = data / FILE
    if path.is_file():
        store_seal.break_seal(path)
        try:
            with closing(sqlite3.connect(path, timeout=0.5, isolation_level=None)) as database:
                # The first read takes the whole file, or fails where somebody else has it open.
                database.execute("PRAGMA locking_mode = EXCLUSIVE")
                database.execute("BEGIN EXCLUSIVE")
                database.execute("COMMIT")
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            raise BackupError(
                "in_use", "The case store is open in another process.", "Stop the server, then try again."
            ) from error
        except sqlite3.DatabaseError:
            pass  # damaged: its log is of no use
    _remove_log(path)


def _remove_log(path: Path) -> None:
    for end in ("-wal", "-shm"):
        remove_file(path.with_name(path.name + end))


def _keep(data: Path) -> str:
    """Give what will be replaced a second name in a folder of its own; the folder's name."""
    there = [name for name in RESTORED if (data / name).exists()]
    if not there:
        return ""
    numbers = [int(path.name.removeprefix(REPLACED)) for path in data.glob(f"{REPLACED}*") if path.name[-1].isdigit()]
    folder = data / f"{REPLACED}{max(numbers, default=0) + 1:03d}"
    folder.mkdir(mode=0o700)
    for name in there:
        os.link(data / name, folder / name)
    sync_folder(folder)
    sync_folder(data)
    return folder.name


def _unusable(message: str) -> BackupError:
    return BackupError("bad_backup", message, "Take another backup.")
