"""Putting examinations into the database and taking them out, each in one transaction of the caller's.

What did not change keeps its row, so that its embedding stays: series by their file, sentences by their text.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from indexer.case_rows import read_examinations
from indexer.case_words import index_report, index_sentence
from indexer.cases import CaseMissing, Draft, DraftSeries, Report, Section
from indexer.finding_words import ABNORMAL, own_names, shipped_names, stated_findings
from indexer.report_text import read_again

if TYPE_CHECKING:
    from sqlite_utils import Database

Change = Literal["added", "changed", "unchanged"]
_ESSENTIAL = (Section.FINDINGS, Section.IMPRESSION, Section.BODY)


def digest_of(*parts: object) -> str:
    """Hash of values, for telling whether they changed."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:32]


def put(database: Database, draft: Draft) -> Change:
    """Insert an examination, or update what changed of it; its series with a problem are left out."""
    draft = _with_kept_report(database, draft)
    series = tuple(one for one in draft.series if one.problem is None)
    digest = _digest(draft, series)
    found = database.execute("SELECT id, digest FROM examination WHERE key = ?", (draft.key,)).fetchone()
    if found and found[1] == digest:
        _note_places(database, found[0], series)
        return "unchanged"
    values = {
        "key": draft.key,
        "source": draft.source,
        "participant": draft.participant,
        "session": draft.session,
        "age": draft.age,
        "sex": draft.sex,
        "date": draft.date,
        "diagnosis": draft.diagnosis,
        "notes": json.dumps(draft.notes),
        "digest": digest,
    }
    if found:
        identity = int(found[0])
        _update(database, "examination", identity, values)
    else:
        identity = _insert(database, "examination", values)
    _put_series(database, identity, series)
    _put_report(database, identity, draft.report, draft.diagnosis)
    return "changed" if found else "added"


def is_unchanged(database: Database, draft: Draft) -> bool:
    """Whether `put` would leave an examination as it is."""
    draft = _with_kept_report(database, draft)
    series = tuple(one for one in draft.series if one.problem is None)
    found = database.execute("SELECT digest FROM examination WHERE key = ?", (draft.key,)).fetchone()
    return bool(found) and found[0] == _digest(draft, series)


def remove(database: Database, key: str) -> int:
    """Delete a case with everything that hangs on it; its words leave the word index for good."""
    found = database.execute("SELECT id FROM examination WHERE key = ?", (key,)).fetchone()
    if not found:
        raise CaseMissing(f"Expected the key of an examination, got '{key[:40]}'.")
    database.execute("DELETE FROM examination WHERE id = ?", found)
    # Until the generations are rewritten without its vectors, see `removal`.
    database.execute("INSERT OR IGNORE INTO erasing (examination_id, key) VALUES (?, ?)", (*found, key))
    for table in ("sentence_words", "report_words"):
        # Deleted tokens stay in the index's segments until these are merged.
        database.execute(f"INSERT INTO {table} ({table}) VALUES ('optimize')")  # noqa: S608
    return int(found[0])


def reread_reports(database: Database) -> None:
    """Read every stored report again by the rules of today and index its words anew; unchanged sentences keep rows."""
    rows = database.execute("SELECT examination_id FROM report").fetchall()
    for (identity,) in rows:
        examination = read_examinations(database, (identity,))[identity]
        if examination.report is not None:
            _put_report(database, identity, read_again(examination.report), examination.diagnosis)


def restate(database: Database) -> None:
    """Read again which findings reports state, where a site's own catalogue has, or had, words of its own."""
    known = {ABNORMAL, *shipped_names()}
    stated = {row[0] for row in database.execute("SELECT DISTINCT finding FROM stated").fetchall()}
    if not own_names() and stated <= known:
        return
    for (identity,) in database.execute("SELECT examination_id FROM report").fetchall():
        report = read_examinations(database, (identity,))[identity].report
        database.execute("DELETE FROM stated WHERE examination_id = ?", (identity,))
        for finding in stated_findings(report) if report is not None else ():
            database.execute("INSERT INTO stated VALUES (?, ?)", (identity, finding))


def _with_kept_report(database: Database, draft: Draft) -> Draft:
    if draft.report is not None or not draft.keep_report:
        return draft
    found = database.execute("SELECT id FROM examination WHERE key = ?", (draft.key,)).fetchone()
    return replace(draft, report=read_examinations(database, found)[found[0]].report) if found else draft


def _digest(draft: Draft, series: tuple[DraftSeries, ...]) -> str:
    files = sorted((one.name, one.digest, str(one.sequence), one.notes) for one in series)
    said = draft.report and (draft.report.text, draft.report.sections, draft.report.provenance)
    about = (draft.age, draft.sex, draft.date, draft.diagnosis, draft.notes)
    sentences = draft.report and [(one.text, str(one.assertion), str(one.section)) for one in draft.report.sentences]
    return digest_of(files, said, sentences, about)


def _note_places(database: Database, identity: int, series: tuple[DraftSeries, ...]) -> None:
    for one in series:
        database.execute(
            "UPDATE series SET path = :path, size = :size, modified = :modified WHERE examination_id = :identity AND"
            " name = :name AND digest = :digest AND (path, size, modified) IS NOT (:path, :size, :modified)",
            {
                "path": str(one.path),
                "size": one.size,
                "modified": one.modified,
                "identity": identity,
                "name": one.name,
                "digest": one.digest,
            },
        )


def _put_series(database: Database, identity: int, series: tuple[DraftSeries, ...]) -> None:
    rows = list(database.query("SELECT * FROM series WHERE examination_id = ?", (identity,)))
    kept = {row["name"]: row for row in rows}
    highest = max((row["number"] for row in rows), default=0)
    if {row["name"]: row["digest"] for row in rows} != {one.name: one.digest for one in series}:
        database.execute("DELETE FROM scored WHERE examination_id = ?", (identity,))
    for gone in set(kept) - {one.name for one in series}:
        database.execute("DELETE FROM series WHERE id = ?", (kept[gone]["id"],))
    for one in series:
        values: dict[str, Any] = {
            "sequence": None if one.sequence is None else str(one.sequence),
            "shape": json.dumps(one.shape),
            "spacing": json.dumps(one.spacing),
            "notes": json.dumps(one.notes),
            "path": str(one.path),
            "size": one.size,
            "modified": one.modified,
            "digest": one.digest,
        }
        row = kept.get(one.name)
        if row is None:
            highest += 1
            _insert(database, "series", {"examination_id": identity, "number": highest, "name": one.name, **values})
            continue
        if (row["digest"], row["sequence"]) != (values["digest"], values["sequence"]):
            database.execute("DELETE FROM thumbnail WHERE series_id = ?", (row["id"],))
            database.execute("DELETE FROM embedding WHERE kind = 'series' AND item_id = ?", (row["id"],))
            values |= {"partial": 0, "remarks": "[]", "unscorable": ""}
        _update(database, "series", row["id"], values)


def _put_report(database: Database, identity: int, report: Report | None, diagnosis: str | None) -> None:
    database.execute("DELETE FROM report_words WHERE rowid = ?", (identity,))
    database.execute("DELETE FROM stated WHERE examination_id = ?", (identity,))
    if report is None:
        database.execute("DELETE FROM report WHERE examination_id = ?", (identity,))
        database.execute("DELETE FROM sentence WHERE examination_id = ?", (identity,))
        return
    essence = "\n".join(words for section, words in report.sections if section in _ESSENTIAL) or report.text
    values = {
        "text": report.text,
        "sections": json.dumps(report.sections),
        "provenance": report.provenance,
        "essence": essence,
        "digest": digest_of(essence),
    }
    found = database.execute("SELECT id FROM report WHERE examination_id = ?", (identity,)).fetchone()
    if found:
        _update(database, "report", found[0], values)
    else:
        _insert(database, "report", {"examination_id": identity, **values})
    _put_sentences(database, identity, report)
    index_report(database, identity, report, diagnosis)
    for finding in stated_findings(report):
        database.execute("INSERT INTO stated VALUES (?, ?)", (identity, finding))


def _put_sentences(database: Database, identity: int, report: Report) -> None:
    spare: dict[str, list[int]] = defaultdict(list)
    kept = database.execute("SELECT id, text FROM sentence WHERE examination_id = ? ORDER BY number", (identity,))
    for row, text in kept.fetchall():
        spare[text].append(row)
    for one in report.sentences:
        values = {"number": one.number, "section": str(one.section), "assertion": str(one.assertion)}
        if spare[one.text]:
            row = spare[one.text].pop(0)
            _update(database, "sentence", row, values)
            database.execute("DELETE FROM sentence_words WHERE rowid = ?", (row,))
        else:
            added = {"examination_id": identity, "text": one.text, "digest": digest_of(one.text)}
            row = _insert(database, "sentence", {**added, **values})
        index_sentence(database, row, one.text, one.assertion)
    for left in spare.values():
        for row in left:
            database.execute("DELETE FROM sentence WHERE id = ?", (row,))


def _insert(database: Database, table: str, values: Mapping[str, Any]) -> int:
    names, marks = ", ".join(values), ", ".join(f":{name}" for name in values)
    cursor = database.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", dict(values))  # noqa: S608
    return int(cursor.lastrowid or 0)


def _update(database: Database, table: str, row: int, values: Mapping[str, Any]) -> None:
    assignments = ", ".join(f"{name} = :{name}" for name in values)
    database.execute(f"UPDATE {table} SET {assignments} WHERE id = :row", {**values, "row": row})  # noqa: S608
