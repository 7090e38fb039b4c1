"""Connections to the case store: as many as are asked at once, and few when nobody asks."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from indexed import make_archive

from indexer.case_store import CaseStore
from indexer.connections import IDLE_READERS


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def test_threads_that_come_and_go_leave_nothing_open(tmp_path: Path) -> None:
    _, data = make_archive(tmp_path)
    with CaseStore.open(data, read_only=True) as store:
        before = open_files()
        counted: list[int] = []
        opened: list[int] = []
        for _ in range(5):
            together = threading.Barrier(20)

            def ask(together: threading.Barrier = together) -> None:
                with store.connections.reading() as database:
                    together.wait(30)
                    counted.append(database.execute("SELECT count(*) FROM examination").fetchone()[0])

            threads = [threading.Thread(target=ask) for _ in range(20)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(30)
            opened.append(open_files())
        assert counted == [4] * 100
        # SQLite keeps the database's own files until none of them is read, and uses them again; logs are closed.
        assert opened == [opened[0]] * 5
        assert opened[0] <= before + 20 + IDLE_READERS
    assert open_files() < before


def test_a_question_within_a_question_has_a_connection_of_its_own(tmp_path: Path) -> None:
    _, data = make_archive(tmp_path)
    with CaseStore.open(data, read_only=True) as store, store.connections.reading() as outer:
        rows = outer.execute("SELECT id FROM examination ORDER BY id")
        first = rows.fetchone()
        with store.connections.reading() as inner:
            assert inner is not outer
            assert inner.execute("SELECT count(*) FROM series").fetchone()[0] == 8
        assert len([first, *rows.fetchall()]) == 4
