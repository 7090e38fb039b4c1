"""Words in reports: FTS5 over sentences and over whole reports, safe for any text that a user types.

The words of a question are cut into tokens here and handed to FTS5 in quotes, so its query syntax is never reached.
Text and question are folded alike (`fold`), and the placeholders of identifiers are no words. What the words mean is
left to the search floor.
"""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from collections.abc import Collection, Container, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from indexer.cases import Assertion, Report, WordMatch
from indexer.finding_words import fold
from indexer.identifier_patterns import PLACEHOLDER

if TYPE_CHECKING:
    from sqlite_utils import Database

ASSERTIONS = tuple(str(assertion) for assertion in Assertion)
MOST_WORDS = 64  # phrases of one question; more than that is not a question
MOST_TOKENS = 16  # of one phrase
LONGEST_TOKEN = 64  # characters

_SENTENCES = "sentence_words"
_REPORTS = "report_words"


def searchable(text: str) -> str:
    """Text as the index keeps it: no ligatures, no diacritics, lower case.

    >>> searchable("Œdème ﬁbrillaire")
    'oedeme fibrillaire'
    """
    decomposed = unicodedata.normalize("NFKD", fold(text.encode("utf-8", "replace").decode("utf-8")))
    return "".join(character for character in decomposed if not unicodedata.combining(character)).replace("\0", " ")


def tokens_of(text: str) -> tuple[str, ...]:
    """The tokens that the index finds a text by.

    >>> tokens_of("T2/FLAIR don't 3.5")
    ('t2', 'flair', 'don', 't', '3', '5')
    """
    return tuple(re.findall(r"[^\W_]+", searchable(text)))


def index_sentence(database: Database, sentence_id: int, text: str, assertion: str) -> None:
    statement = f"INSERT INTO {_SENTENCES} (rowid, {Assertion(assertion)}) VALUES (?, ?)"  # noqa: S608
    database.execute(statement, (sentence_id, searchable(PLACEHOLDER.sub(" ", text))))


def index_report(database: Database, examination_id: int, report: Report, diagnosis: str | None) -> None:
    """The whole report, sorted by assertion, with the diagnosis that came beside it."""
    columns = [
        searchable(PLACEHOLDER.sub(" ", "\n".join(one.text for one in report.sentences if one.assertion == assertion)))
        for assertion in ASSERTIONS
    ]
    marks = ", ".join("?" * (len(columns) + 2))
    statement = f"INSERT INTO {_REPORTS} (rowid, {', '.join(ASSERTIONS)}, diagnosis) VALUES ({marks})"  # noqa: S608
    database.execute(statement, (examination_id, *columns, searchable(PLACEHOLDER.sub(" ", diagnosis or ""))))


def search_words(
    database: Database,
    words: Sequence[str],
    limit: int,
    ids: NDArray[np.int64] | None,
    assertions: Collection[str] | None,
) -> tuple[WordMatch, ...]:
    """Sentences, then whole reports, each best first; see `CaseStore.search_words`."""
    phrases = {word: tokens for word in words if (tokens := tokens_of(word)[:MOST_TOKENS])}
    phrases = {word: tuple(token[:LONGEST_TOKEN] for token in phrases[word]) for word in list(phrases)[:MOST_WORDS]}
    columns = [name for name in ASSERTIONS if assertions is None or name in assertions]
    if not phrases or not columns or limit <= 0 or (ids is not None and not len(ids)):
        return ()
    allowed = None if ids is None else frozenset(np.asarray(ids).tolist())
    asked = " OR ".join(f'"{" ".join(tokens)}"' for tokens in phrases.values())
    sentences = _search(database, _SENTENCES, f"{{{' '.join(columns)}}} : ({asked})", limit, allowed)
    found = [
        WordMatch(examination, score, row, _standing(phrases, text)) for row, examination, score, text in sentences
    ]
    whole = [*columns, "diagnosis"] if assertions is None or Assertion.PRESENT in columns else columns
    reports = _search(database, _REPORTS, f"{{{' '.join(whole)}}} : ({asked})", limit, allowed)
    found += [WordMatch(row, score, None, _standing(phrases, text)) for row, _, score, text in reports]
    return tuple(found)


def examinations_saying(
    database: Database, groups: Sequence[Sequence[str]], assertions: Container[str]
) -> NDArray[np.int64]:
    """Sorted row ids of examinations of which one sentence of these assertions has a phrase of every group.

    Where "present" is among the assertions, the diagnosis that came beside a report counts as such a sentence.
    """
    asked = [" OR ".join(f'"{" ".join(tokens)}"' for word in group if (tokens := tokens_of(word))) for group in groups]
    columns = " ".join(name for name in ASSERTIONS if name in assertions)
    if not asked or not all(asked) or not columns:
        return np.empty(0, dtype=np.int64)
    question = " AND ".join(f"{{{columns}}} : ({one})" for one in asked)
    statement = (
        f"SELECT DISTINCT s.examination_id FROM {_SENTENCES} f JOIN sentence s ON s.id = f.rowid"  # noqa: S608
        f" WHERE f.{_SENTENCES} MATCH ?"
    )
    found = {int(row[0]) for row in database.execute(statement, (question,)).fetchall()}
    if Assertion.PRESENT in assertions:
        diagnosed = " AND ".join(f"{{diagnosis}} : ({one})" for one in asked)
        statement = f"SELECT rowid FROM {_REPORTS} WHERE {_REPORTS} MATCH ?"  # noqa: S608
        found |= {int(row[0]) for row in database.execute(statement, (diagnosed,)).fetchall()}
    return np.array(sorted(found), dtype=np.int64)


def _search(
    database: Database, table: str, question: str, limit: int, allowed: frozenset[int] | None
) -> list[tuple[int, int, float, str]]:
    """Rows (row id, examination id, score, text) of a table, best first, of the allowed examinations."""
    kept: list[tuple[int, int, float]] = []
    for row, rank, examination in _ranked(database, table, question, limit if allowed is None else None):
        if allowed is None or examination in allowed:
            kept.append((row, examination, rank))
            if len(kept) == limit:
                break
    texts = " || ' ' || ".join(f"coalesce({name}, '')" for name in ASSERTIONS)
    texts += " || ' ' || diagnosis" if table == _REPORTS else ""
    statement = f"SELECT {texts} FROM {table} WHERE rowid = ?"  # noqa: S608
    return [(row, examination, -rank, _text(database, statement, row)) for row, examination, rank in kept]


def _ranked(database: Database, table: str, question: str, limit: int | None) -> list[tuple[int, float, int]]:
    if table == _REPORTS:
        statement = "SELECT rowid, rank, rowid FROM report_words WHERE report_words MATCH ? ORDER BY rank"
    elif limit is None:
        statement = (
            "SELECT f.rowid, f.rank, s.examination_id FROM sentence_words f JOIN sentence s ON s.id = f.rowid"
            " WHERE f.sentence_words MATCH ? ORDER BY f.rank"
        )
    else:
        statement = (
            "SELECT f.rowid, f.rank, (SELECT examination_id FROM sentence WHERE id = f.rowid) FROM"
            " (SELECT rowid, rank FROM sentence_words WHERE sentence_words MATCH ? ORDER BY rank LIMIT :limit) f"
        ).replace(":limit", str(int(limit)))
    bound = f" LIMIT {int(limit)}" if table == _REPORTS and limit is not None else ""
    try:
        rows: list[tuple[int, float, int]] = database.execute(statement + bound, (question,)).fetchall()
    except sqlite3.OperationalError as error:
        # Tokens in quotes leave FTS5 nothing to misread; a question that it still refuses has no answer.
        if "fts5" not in str(error) and "malformed MATCH" not in str(error):
            raise
        return []
    return rows


def _text(database: Database, statement: str, row: int) -> str:
    found = database.execute(statement, (row,)).fetchone()
    return str(found[0]) if found else ""


def _standing(phrases: dict[str, tuple[str, ...]], text: str) -> tuple[str, ...]:
    padded = f" {' '.join(tokens_of(text))} "
    return tuple(word for word, tokens in phrases.items() if f" {' '.join(tokens)} " in padded)
