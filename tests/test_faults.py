"""A sample of the faults that `make faults` injects: no call, kill, disk, damage, backup or clock loses anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from faults import campaign
from faults.acts import Act, all_acts
from faults.campaign import Line
from faults.judge import Law, complaints, in_child, kept
from faults.record import record_of
from faults.tracing import Outcome, run

pytestmark = [pytest.mark.slow, pytest.mark.faults]

ACTS = ("first ingest", "ingest", "rebuild", "remove", "restore", "backup", "restore --backup")
EVERY = 60  # of the calls of an act one is made to fail


@pytest.fixture(scope="module")
def acts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Act]:
    return {act.name: act for act in all_acts(tmp_path_factory.mktemp("acts"))}


def assert_nothing_wrong(lines: list[Line]) -> None:
    assert sum(line.injected for line in lines)
    assert [f"{line.fault}: {one}" for line in lines for one in line.complaints] == []


@pytest.mark.parametrize("name", ACTS)
def test_calls_that_fail_and_kills_at_them_lose_nothing(acts: dict[str, Act], tmp_path: Path, name: str) -> None:
    # Other calls of each act, so that the sample is not of the first alone.
    assert_nothing_wrong(campaign.calls(acts[name], tmp_path, EVERY, 2 + ACTS.index(name)))


@pytest.mark.parametrize("name", ["ingest", "rebuild", "remove"])
def test_kills_at_random_moments_lose_nothing(acts: dict[str, Act], tmp_path: Path, name: str) -> None:
    assert_nothing_wrong(campaign.kills(acts[name], tmp_path, 5))


@pytest.mark.parametrize("name", ["ingest", "rebuild", "remove"])
def test_a_full_disk_is_said_and_recovered_from_without_a_restart(
    acts: dict[str, Act], tmp_path: Path, name: str
) -> None:
    lines = campaign.full_disks(acts[name], tmp_path, (0, 32, 128))
    assert_nothing_wrong(lines)
    assert lines[0].refused


def test_a_read_only_disk_is_served_from(acts: dict[str, Act], tmp_path: Path) -> None:
    lines = campaign.read_only_disks(acts["rebuild"], tmp_path)
    assert_nothing_wrong(lines)
    assert lines[0].refused == lines[0].injected


def test_damaged_files_are_told_and_mended(tmp_path: Path) -> None:
    assert_nothing_wrong(campaign.files(tmp_path, 23, 11))


def test_an_older_backup_gives_no_row_id_to_another_case(tmp_path: Path) -> None:
    assert_nothing_wrong(campaign.older_backups(tmp_path))


def test_a_clock_that_jumps_changes_no_order(tmp_path: Path) -> None:
    assert_nothing_wrong(campaign.jumping_clocks(tmp_path))


def test_the_judge_sees_what_is_lost(acts: dict[str, Act], tmp_path: Path) -> None:
    law = campaign.law_of(acts["rebuild"], tmp_path)

    def judged(harm: Callable[[Path], object], ended: str = "killed") -> list[str]:
        data = acts["rebuild"].copy_to(tmp_path)
        run(lambda: harm(data))
        return in_child(lambda: kept(data, law, acknowledged=ended == "done"))

    assert judged(Path.exists) == []
    assert any("missing" in one for one in judged(_forget_a_case))
    assert any("vectors" in one or "pictures" in one for one in judged(_forget_a_vector))
    assert any("differs" in one for one in judged(Path.exists, "done"))
    assert any("notice" in one for one in judged(_break_the_current_generation))
    assert Law(law.before, law.after) == law
    unforeseen = Outcome("RuntimeError: boom", foreseen=False)
    data = acts["rebuild"].copy_to(tmp_path)
    assert in_child(lambda: complaints(acts["rebuild"], data, law, unforeseen)) == ["not foreseen: RuntimeError: boom"]
    assert record_of(data) == law.after


def _forget_a_case(data: Path) -> None:
    _execute(data, "DELETE FROM examination WHERE id = 2")


def _forget_a_vector(data: Path) -> None:
    _execute(data, "DELETE FROM embedding WHERE kind = 'sentence' AND item_id = 1")


def _execute(data: Path, statement: str) -> None:
    from indexer.case_store import CaseStore

    with CaseStore.open(data) as store, store.connections.writing() as database:
        database.execute(statement)


def _break_the_current_generation(data: Path) -> None:
    name = (data / "CURRENT").read_text().strip()
    (data / "generations" / name / "series.faiss").write_bytes(b"")
