"""The database's tables, as migrations.

Row ids are never used twice (AUTOINCREMENT): vectors keep them, and a removed case's id must not come to mean another
case. When a migration is run is left to `schema`.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from indexer.case_writing import reread_reports

if TYPE_CHECKING:
    from sqlite_utils import Database

_TABLES = """
CREATE TABLE source (name TEXT PRIMARY KEY, kind TEXT NOT NULL, location TEXT NOT NULL);
CREATE TABLE examination (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, source TEXT NOT NULL, participant TEXT NOT NULL,
    session TEXT, age REAL, sex TEXT, date TEXT, diagnosis TEXT, notes TEXT NOT NULL, digest TEXT NOT NULL);
CREATE INDEX examination_source ON examination (source, participant);
CREATE TABLE series (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    examination_id INTEGER NOT NULL REFERENCES examination (id) ON DELETE CASCADE,
    number INTEGER NOT NULL, sequence TEXT, name TEXT NOT NULL, shape TEXT NOT NULL, spacing TEXT NOT NULL,
    notes TEXT NOT NULL, path TEXT NOT NULL, size INTEGER NOT NULL, modified INTEGER NOT NULL, digest TEXT NOT NULL,
    partial INTEGER NOT NULL DEFAULT 0, remarks TEXT NOT NULL DEFAULT '[]');
CREATE INDEX series_examination ON series (examination_id, number);
CREATE TABLE report (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    examination_id INTEGER NOT NULL UNIQUE REFERENCES examination (id) ON DELETE CASCADE,
    text TEXT NOT NULL, sections TEXT NOT NULL, provenance TEXT NOT NULL, essence TEXT NOT NULL, digest TEXT NOT NULL);
CREATE TABLE sentence (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    examination_id INTEGER NOT NULL REFERENCES examination (id) ON DELETE CASCADE,
    number INTEGER NOT NULL, text TEXT NOT NULL, section TEXT NOT NULL, assertion TEXT NOT NULL, digest TEXT NOT NULL);
CREATE INDEX sentence_examination ON sentence (examination_id, number);
CREATE TABLE stated (
    examination_id INTEGER NOT NULL REFERENCES examination (id) ON DELETE CASCADE, finding TEXT NOT NULL,
    PRIMARY KEY (examination_id, finding)) WITHOUT ROWID;
CREATE TABLE scored (
    examination_id INTEGER NOT NULL REFERENCES examination (id) ON DELETE CASCADE, finding TEXT NOT NULL,
    score REAL NOT NULL, flagged INTEGER NOT NULL, PRIMARY KEY (examination_id, finding)) WITHOUT ROWID;
CREATE TABLE embedding (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, item_id INTEGER NOT NULL,
    examination_id INTEGER NOT NULL REFERENCES examination (id) ON DELETE CASCADE,
    encoder_id TEXT NOT NULL, digest TEXT NOT NULL, vector BLOB NOT NULL, UNIQUE (kind, item_id));
CREATE INDEX embedding_examination ON embedding (examination_id);
CREATE TABLE thumbnail (
    series_id INTEGER PRIMARY KEY REFERENCES series (id) ON DELETE CASCADE, digest TEXT NOT NULL, png BLOB NOT NULL);
CREATE TABLE refused (
    stage TEXT NOT NULL, source TEXT NOT NULL, item TEXT NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL,
    series_id INTEGER REFERENCES series (id) ON DELETE CASCADE, digest TEXT NOT NULL DEFAULT '',
    encoder_id TEXT NOT NULL DEFAULT '', PRIMARY KEY (stage, source, item));
CREATE TABLE erasing (examination_id INTEGER PRIMARY KEY);
CREATE TABLE collection (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, title TEXT NOT NULL, created TEXT NOT NULL);
CREATE TABLE collection_entry (
    collection_id INTEGER NOT NULL REFERENCES collection (id) ON DELETE CASCADE,
    examination_id INTEGER NOT NULL REFERENCES examination (id) ON DELETE CASCADE,
    position INTEGER NOT NULL, note TEXT NOT NULL, PRIMARY KEY (collection_id, examination_id)) WITHOUT ROWID;
CREATE TRIGGER series_gone AFTER DELETE ON series
    BEGIN DELETE FROM embedding WHERE kind = 'series' AND item_id = old.id; END;
CREATE TRIGGER sentence_gone AFTER DELETE ON sentence BEGIN
    DELETE FROM embedding WHERE kind = 'sentence' AND item_id = old.id;
    DELETE FROM sentence_words WHERE rowid = old.id; END;
CREATE TRIGGER report_gone AFTER DELETE ON report BEGIN
    DELETE FROM embedding WHERE kind = 'report' AND item_id = old.id;
    DELETE FROM report_words WHERE rowid = old.examination_id; END;
"""
# One column an assertion, so that a search for what is present never reads what is denied.
_WORDS = """
CREATE VIRTUAL TABLE sentence_words USING fts5 ({assertions}, tokenize = 'unicode61 remove_diacritics 2');
CREATE VIRTUAL TABLE report_words USING fts5 ({assertions}, diagnosis, tokenize = 'unicode61 remove_diacritics 2');
"""


def _first(database: Database) -> None:
    words = _WORDS.format(assertions="present, absent, uncertain, historical, hypothetical")
    for statement in _statements(words + _TABLES):
        database.execute(statement)


def _with_family(database: Database) -> None:
    """What reports say of relatives has a column of its own, and all reports are read again by the rules of today."""
    words = _WORDS.format(assertions="present, absent, uncertain, historical, hypothetical, family")
    for statement in ("DROP TABLE sentence_words", "DROP TABLE report_words", *_statements(words)):
        database.execute(statement)
    reread_reports(database)


def _with_catalogue(database: Database) -> None:
    """Which findings reports state is read again, by a longer catalogue."""
    reread_reports(database)


def _with_scoring(database: Database) -> None:
    """By what findings were scored; what was scored before that was kept is scored again."""
    database.execute("ALTER TABLE scored ADD COLUMN scoring TEXT NOT NULL DEFAULT ''")


def _with_texts(database: Database) -> None:
    """How a source's texts were de-identified; what was taken in before was stored as given."""
    database.execute("ALTER TABLE source ADD COLUMN texts TEXT NOT NULL DEFAULT ''")


def _with_erased_keys(database: Database) -> None:
    """Which cases a removal has begun with, so that the same removal can be called again after a kill."""
    database.execute("ALTER TABLE erasing ADD COLUMN key TEXT NOT NULL DEFAULT ''")


def _with_unscorable_series(database: Database) -> None:
    """Which series no finding may be scored by; all is scored again.

    How much of the brain partial ones show was not kept: they count for nothing until they are encoded again.
    """
    database.execute("ALTER TABLE series ADD COLUMN unscorable TEXT NOT NULL DEFAULT ''")
    told = (
        ("it does not look like a brain MRI", "remarks LIKE '%does not look like a brain MRI%'"),
        ("how much of the brain it covers was not kept, run `neurorecall rebuild --full`", "partial"),
    )
    for why, which in told:
        database.execute(f"UPDATE series SET unscorable = ? WHERE {which} AND unscorable = ''", (why,))  # noqa: S608
    database.execute("DELETE FROM scored")


def _statements(script: str) -> list[str]:
    found, begun = [], ""
    for line in script.strip().splitlines():
        begun += line + "\n"
        if sqlite3.complete_statement(begun):
            found.append(begun)
            begun = ""
    return found


# Numbered by place: the n-th brings the schema from n-1 to n.
MIGRATIONS = (
    _first,
    _with_family,
    _with_catalogue,
    _with_scoring,
    _with_texts,
    _with_erased_keys,
    _with_unscorable_series,
)
