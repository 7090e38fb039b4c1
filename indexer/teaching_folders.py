"""Collections: the curator's ordered lists of examinations, with a note each."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from indexer.cases import CaseMissing, Collection

if TYPE_CHECKING:
    from sqlite_utils import Database

LONGEST_TITLE = 120
LONGEST_NOTE = 2_000
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")


class CollectionError(ValueError):
    """A collection that cannot be made or changed so; `code` is bad_title, title_taken, bad_note or bad_order."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def collections(database: Database) -> tuple[Collection, ...]:
    names = database.execute("SELECT name FROM collection ORDER BY title, name").fetchall()
    return tuple(collection(database, name) for (name,) in names)


def collection(database: Database, name: str) -> Collection:
    row = database.execute("SELECT id, title, created FROM collection WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise CaseMissing(f"Expected the name of a collection, got '{name[:40]}'.")
    entries = database.execute(
        "SELECT e.key, c.note FROM collection_entry c JOIN examination e ON e.id = c.examination_id"
        " WHERE c.collection_id = ? ORDER BY c.position, e.id",
        (row[0],),
    ).fetchall()
    return Collection(name, row[1], row[2], tuple((key, note) for key, note in entries))


def create(database: Database, title: str) -> Collection:
    """A new collection; its name is made of its title and stays when the title changes."""
    title = _title(database, title)
    stem = re.sub(r"[^a-z0-9]+", "-", unicodedata.normalize("NFKD", title.casefold())).strip("-")[:60] or "collection"
    taken = {name for (name,) in database.execute("SELECT name FROM collection").fetchall()}
    name, count = stem, 2
    while name in taken:
        name, count = f"{stem}-{count}", count + 1
    created = datetime.now(UTC).isoformat(timespec="seconds")
    database.execute("INSERT INTO collection (name, title, created) VALUES (?, ?, ?)", (name, title, created))
    return collection(database, name)


def rename(database: Database, name: str, title: str) -> Collection:
    if collection(database, name).title != title:
        database.execute("UPDATE collection SET title = ? WHERE name = ?", (_title(database, title), name))
    return collection(database, name)


def delete(database: Database, name: str) -> None:
    collection(database, name)
    database.execute("DELETE FROM collection WHERE name = ?", (name,))


def add(database: Database, name: str, key: str, note: str) -> Collection:
    """Append an examination; one that is there keeps its place and gets the note."""
    note = _CONTROL.sub(" ", note).strip()
    if len(note) > LONGEST_NOTE:
        raise CollectionError("bad_note", f"Expected a note of at most {LONGEST_NOTE:,} characters, got {len(note):,}.")
    identity, examination = _identity(database, name), _examination(database, key)
    database.execute(
        "INSERT INTO collection_entry VALUES (:collection, :examination,"
        " (SELECT coalesce(max(position), 0) + 1 FROM collection_entry WHERE collection_id = :collection), :note)"
        " ON CONFLICT (collection_id, examination_id) DO UPDATE SET note = :note",
        {"collection": identity, "examination": examination, "note": note},
    )
    return collection(database, name)


def take_out(database: Database, name: str, key: str) -> Collection:
    database.execute(
        "DELETE FROM collection_entry WHERE collection_id = ? AND examination_id = ?",
        (_identity(database, name), _examination(database, key)),
    )
    return collection(database, name)


def reorder(database: Database, name: str, keys: Sequence[str]) -> Collection:
    """Put the entries into a new order, which must name each of them once."""
    present = [key for key, _ in collection(database, name).entries]
    if sorted(present) != sorted(keys):
        raise CollectionError(
            "bad_order", f"Expected each of the {len(present)} entries once, got {len(keys)} keys, not all the same."
        )
    identity = _identity(database, name)
    for position, key in enumerate(keys, start=1):
        database.execute(
            "UPDATE collection_entry SET position = ? WHERE collection_id = ? AND examination_id = ?",
            (position, identity, _examination(database, key)),
        )
    return collection(database, name)


def _identity(database: Database, name: str) -> int:
    collection(database, name)
    return int(database.execute("SELECT id FROM collection WHERE name = ?", (name,)).fetchone()[0])


def _examination(database: Database, key: str) -> int:
    row = database.execute("SELECT id FROM examination WHERE key = ?", (key,)).fetchone()
    if row is None:
        raise CaseMissing(f"Expected the key of an examination, got '{key[:40]}'.")
    return int(row[0])


def _title(database: Database, title: str) -> str:
    title = " ".join(_CONTROL.sub(" ", title).split())
    if not title or len(title) > LONGEST_TITLE:
        raise CollectionError("bad_title", f"Expected a title of 1 to {LONGEST_TITLE} characters, got {len(title)}.")
    if database.execute("SELECT 1 FROM collection WHERE title = ?", (title,)).fetchone():
        raise CollectionError("title_taken", f"There is a collection '{title}' already.")
    return title
