"""Rows of the database to the frozen values of `cases`, many at a time.

Reads only; which rows is left to `case_queries` and `case_words`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from encoders.sequences import MRSequence
from indexer.cases import Assertion, Examination, Report, Section, Sentence, Series

if TYPE_CHECKING:
    from sqlite_utils import Database

VARIABLES = 500  # ids in one statement; SQLite's limit is 32,766


def read_examinations(database: Database, ids: Iterable[int]) -> dict[int, Examination]:
    """Those of the ids that are there, in the order asked."""
    wanted = list(dict.fromkeys(int(identity) for identity in ids))
    rows = {row["id"]: row for row in _select(database, "SELECT * FROM examination WHERE id", wanted)}
    series: dict[int, list[Series]] = defaultdict(list)
    for row in _select(database, "SELECT * FROM series WHERE examination_id", wanted, "ORDER BY number"):
        series[row["examination_id"]].append(_series(row))
    reports = _reports(database, wanted)
    return {
        identity: _examination(rows[identity], tuple(series[identity]), reports.get(identity))
        for identity in wanted
        if identity in rows
    }


def read_series(database: Database, ids: Iterable[int]) -> dict[int, Series]:
    return {row["id"]: _series(row) for row in _select(database, "SELECT * FROM series WHERE id", list(ids))}


def read_sentences(database: Database, ids: Iterable[int]) -> dict[int, Sentence]:
    return {row["id"]: _sentence(row) for row in _select(database, "SELECT * FROM sentence WHERE id", list(ids))}


def read_participants(database: Database, ids: Iterable[int]) -> dict[int, str]:
    rows = _select(database, "SELECT id, source, participant FROM examination WHERE id", list(ids))
    return {row["id"]: f"{row['source']}/{row['participant']}" for row in rows}


def read_scores(database: Database, ids: Iterable[int]) -> dict[int, dict[str, float]]:
    found: dict[int, dict[str, float]] = defaultdict(dict)
    for row in _select(database, "SELECT * FROM scored WHERE examination_id", list(ids)):
        found[row["examination_id"]][row["finding"]] = row["score"]
    return dict(found)


def _reports(database: Database, wanted: list[int]) -> dict[int, Report]:
    sentences: dict[int, list[Sentence]] = defaultdict(list)
    for row in _select(database, "SELECT * FROM sentence WHERE examination_id", wanted, "ORDER BY number"):
        sentences[row["examination_id"]].append(_sentence(row))
    return {
        row["examination_id"]: Report(
            text=row["text"],
            sections=tuple((Section(name), words) for name, words in json.loads(row["sections"])),
            sentences=tuple(sentences[row["examination_id"]]),
            provenance=row["provenance"],
        )
        for row in _select(database, "SELECT * FROM report WHERE examination_id", wanted)
    }


def _select(database: Database, statement: str, ids: list[int], order: str = "") -> Iterator[dict[str, Any]]:
    unique = list(dict.fromkeys(int(identity) for identity in ids))
    for begin in range(0, len(unique), VARIABLES):
        some = unique[begin : begin + VARIABLES]
        marks = ", ".join("?" * len(some))
        yield from database.query(f"{statement} IN ({marks}) {order}", some)


def _examination(row: Mapping[str, Any], series: tuple[Series, ...], report: Report | None) -> Examination:
    return Examination(
        key=row["key"],
        participant=row["participant"],
        session=row["session"],
        source=row["source"],
        age=row["age"],
        sex=row["sex"],
        date=row["date"],
        diagnosis=row["diagnosis"],
        sequences=tuple(dict.fromkeys(one.sequence for one in series if one.sequence is not None)),
        series=series,
        report=report,
        partial=any(one.partial for one in series),
        notes=(*json.loads(row["notes"]), *_lacking(series, report)),
    )


def _lacking(series: tuple[Series, ...], report: Report | None) -> tuple[str, ...]:
    notes = () if report else ("There is no report.",)
    return notes if series else (*notes, "None of its series could be read.")


def _series(row: Mapping[str, Any]) -> Series:
    return Series(
        number=row["number"],
        sequence=None if row["sequence"] is None else MRSequence(row["sequence"]),
        name=row["name"],
        shape=tuple(json.loads(row["shape"])),
        spacing=tuple(json.loads(row["spacing"])),
        partial=bool(row["partial"]),
        notes=tuple(dict.fromkeys(json.loads(row["notes"]) + json.loads(row["remarks"]))),
        unscorable=row.get("unscorable", ""),  # a migration reads rows of before there was one
    )


def _sentence(row: Mapping[str, Any]) -> Sentence:
    return Sentence(row["number"], row["text"], Section(row["section"]), Assertion(row["assertion"]))
