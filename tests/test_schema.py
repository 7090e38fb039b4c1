"""The database file: who may write, several threads, other schemas, damage."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlite_utils import Database

from encoders.sequences import MRSequence
from indexer import schema
from indexer.case_store import CaseStore
from indexer.cases import Draft, DraftSeries, Section
from indexer.report_text import make_report
from indexer.schema import FILE, SCHEMA, StoreError, open_database

HYDRO = Draft(
    participant="sub-1",
    session="ses-1",
    source="cohort",
    series=(
        DraftSeries(Path("/scans/a.nii.gz"), "a", MRSequence.T1W, (10, 11, 12), (1.0, 1.0, 2.0), digest="a1"),
        DraftSeries(Path("/scans/b.nii.gz"), "b", MRSequence.FLAIR, (10, 11, 12), (1.0, 1.0, 2.0), digest="b1"),
    ),
    report=make_report(
        {Section.FINDINGS: "Marked hydrocephalus. No haemorrhage.", Section.IMPRESSION: "Œdème, 3.5 mm shift."}
    ),
    age=64.0,
    sex="F",
    date="2024-05-31",
    diagnosis="normal pressure hydrocephalus",
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CaseStore]:
    with CaseStore.open(tmp_path) as opened:
        for name in ("sub-1", "sub-2", "sub-3"):
            opened.put(replace(HYDRO, participant=name))
        yield opened


def test_a_reader_cannot_write_and_sees_what_is_written(store: CaseStore) -> None:
    with CaseStore.open(store.connections.data, read_only=True) as reader:
        assert reader.counts().examinations == 3
        with pytest.raises(sqlite3.OperationalError, match="readonly"), reader.connections.reading() as database:
            database.execute("DELETE FROM series")
        with pytest.raises(PermissionError):
            reader.put(HYDRO)
        store.remove(replace(HYDRO, participant="sub-2").key)
        assert reader.counts().examinations == 2


def test_many_threads_read_at_once(store: CaseStore) -> None:
    with CaseStore.open(store.connections.data, read_only=True) as reader:
        found: list[int] = []
        threads = [
            threading.Thread(target=lambda: found.extend(len(reader.search_words(["no"], 9)) for _ in range(30)))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(found) == 240
    assert len(set(found)) == 1


def test_a_missing_a_newer_and_a_damaged_store_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as missing:
        CaseStore.open(tmp_path, read_only=True)
    assert missing.value.code == "store_missing"
    CaseStore.open(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / FILE)) as database:
        database.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    for read_only in (True, False):
        with pytest.raises(StoreError) as newer:
            CaseStore.open(tmp_path, read_only=read_only)
        assert newer.value.code == "newer_schema"
    (tmp_path / FILE).write_bytes(b"not a database at all" * 500)
    with pytest.raises(StoreError) as damaged:
        CaseStore.open(tmp_path, read_only=True)
    assert damaged.value.code == "store_damaged"


def test_a_failed_write_is_taken_back_whole(store: CaseStore) -> None:
    with pytest.raises(ZeroDivisionError), store.connections.writing():
        store.put(replace(HYDRO, participant="sub-9"))
        raise ZeroDivisionError
    assert store.counts().examinations == 3


def test_a_new_store_has_the_newest_schema_and_a_write_ahead_log(tmp_path: Path) -> None:
    (tmp_path / FILE).touch()
    database = open_database(tmp_path, read_only=False)
    assert database.execute("PRAGMA user_version").fetchone() == (SCHEMA,)
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    database.close()


def test_an_older_schema_is_copied_and_brought_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with CaseStore.open(tmp_path) as store:
        store.put(HYDRO)

    def second(database: Database) -> None:
        database.execute("ALTER TABLE examination ADD COLUMN colour TEXT")

    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, second))
    monkeypatch.setattr(schema, "SCHEMA", SCHEMA + 1)
    with pytest.raises(StoreError) as older:
        CaseStore.open(tmp_path, read_only=True)
    assert older.value.code == "older_schema"
    with CaseStore.open(tmp_path) as store:
        assert store.examination(HYDRO.key).participant == "sub-1"
    with closing(sqlite3.connect(tmp_path / f"cases.schema{SCHEMA}.bak")) as copy:
        assert copy.execute("SELECT key FROM examination").fetchall() == [(HYDRO.key,)]


def test_reports_of_the_first_schema_are_read_again_by_the_rules_of_today(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        patch.setattr(schema, "SCHEMA", 1)
        database = open_database(tmp_path, read_only=False)
        values = "'k', 's', 'sub-1', NULL, NULL, NULL, NULL, 'glioma', '[]', 'd'"
        columns = "key, source, participant, session, age, sex, date, diagnosis, notes, digest"
        database.execute(f"INSERT INTO examination ({columns}) VALUES ({values})")  # noqa: S608
        database.execute(
            "INSERT INTO report (examination_id, text, sections, provenance, essence, digest) VALUES"
            """ (1, 't', '[["findings", "Her mother had a stroke. The lesion does not enhance."]]', '', 'e', 'd')"""
        )
        database.execute(
            "INSERT INTO sentence (examination_id, number, text, section, assertion, digest) VALUES"
            " (1, 1, 'Her mother had a stroke.', 'findings', 'historical', 'd')"
        )
        database.execute("INSERT INTO sentence_words (rowid, historical) VALUES (1, 'her mother had a stroke')")
        database.close()
    with CaseStore.open(tmp_path) as store:
        report = store.examination("k").report
        assert report is not None
        assert [(one.text, str(one.assertion)) for one in report.sentences] == [
            ("Her mother had a stroke.", "family"),
            ("The lesion", "present"),
            ("does not enhance.", "absent"),
        ]
        assert next(match.sentence_id for match in store.search_words(["stroke"], 5, None, {"family"})) == 1
        assert store.search_words(["glioma"], 5, None, {"present"})


def test_what_an_older_store_knows_of_unscorable_series_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:-1])
        patch.setattr(schema, "SCHEMA", SCHEMA - 1)
        with closing(open_database(tmp_path, read_only=False).conn) as database:
            database.execute(
                "INSERT INTO examination (key, source, participant, notes, digest) VALUES ('k', 's', 'p', '[]', '')"
            )
            rows = (("whole", 0, "[]"), ("thin", 1, "[]"), ("knee", 0, '["It does not look like a brain MRI: x"]'))
            database.executemany(
                "INSERT INTO series (examination_id, number, name, partial, remarks, shape, spacing, notes, path, size,"
                " modified, digest) VALUES (1, 1, ?, ?, ?, '[]', '[]', '[]', '', 0, 0, '')",
                rows,
            )
    with closing(open_database(tmp_path, read_only=False).conn) as database:
        found = dict(database.execute("SELECT name, unscorable FROM series").fetchall())
    assert found["whole"] == ""
    assert found["knee"] == "it does not look like a brain MRI"
    assert "rebuild --full" in found["thin"]
