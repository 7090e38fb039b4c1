"""Several at once: questions while generations are switched, two servers on one data directory, one that waits."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from datasets import write_scan, write_table
from http_cases import serving
from indexed import make_archive
from toy_encoder import ToyEncoder

from encoders.volume import Volume
from indexer import mounts, writer_lock
from indexer.case_store import CaseStore
from indexer.generations import Index, Kind
from indexer.ingest import ingest
from indexer.rebuild import rebuild
from indexer.removal import remove_cases
from indexer.schema import StoreError
from indexer.verification import verify
from search_api.engine_holder import EngineHolder
from search_api.errors import problem_of

ROUNDS = 5


def add_person(root: Path, data: Path, number: int) -> None:
    person = f"sub-new{number}"
    write_scan(root / person / "anat" / f"{person}_T1w.nii.gz", seed=1000 + number)
    row = {
        "participant_id": person,
        "session_id": "",
        "findings": f"A mass of {20 + number} mm.",
        "impression": "Mass.",
    }
    ingest(root, data, reports=write_table(root / f"reports-{number}.tsv", [row]))


def keys_by_generation(data: Path, name: str) -> frozenset[str]:
    """The cases whose sentences a generation holds, by what the store says of their row ids."""
    owners = set(Index.open_generation(data, name).owners(Kind.SENTENCE).tolist())
    with CaseStore.open(data, read_only=True) as store:
        return frozenset(case.key for case in store.examinations(owners).values())


@pytest.mark.slow
def test_a_storm_of_questions_while_generations_are_switched(tmp_path: Path) -> None:
    root, data = make_archive(tmp_path)
    first = rebuild(data, ToyEncoder()).generation
    belonging = {first: keys_by_generation(data, first)}
    holder = EngineHolder(data, ToyEncoder(), reload_seconds=0.0)
    answers: list[tuple[str, frozenset[str]]] = []
    errors: list[str] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            try:
                answer = holder.engine().search(text="mass", k=100, evidence={"sentence"})
                answers.append((answer.generation, frozenset(hit.key for hit in answer.hits)))
            except Exception as error:  # noqa: BLE001  every one is a failed request
                errors.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(ROUNDS):
        add_person(root, data, number)
        name = rebuild(data, ToyEncoder()).generation
        belonging[name] = keys_by_generation(data, name)
        wait_until(lambda at=name: bool(answers) and answers[-1][0] == at)
    removed = min(belonging[first])
    remove_cases(data, [removed])
    ended.set()
    for thread in threads:
        thread.join()
    holder.close()
    assert errors == []
    assert {name for name, _ in answers} >= set(belonging)
    for name, keys in answers:
        if name in belonging:
            # All that this generation holds and nothing of another; the removed one is left out at once.
            assert keys | {removed} == belonging[name] | {removed}
    assert verify(data)[0] == ()


@pytest.mark.slow
def test_two_servers_and_a_rebuild_on_one_data_directory(tmp_path: Path) -> None:
    root, data = make_archive(tmp_path)
    rebuild(data, ToyEncoder())
    servers = [in_child(lambda at=number: serve_and_write(data, at)) for number in range(2)]
    for number in range(3):
        add_person(root, data, number)
        name = rebuild(data, ToyEncoder()).generation
    (tmp_path / "data.done").write_text(name)
    assert [ended(pid) for pid in servers] == [0, 0]
    with CaseStore.open(data, read_only=True) as store:
        titles = {one.title for one in store.collections()}
    for number in range(2):
        made = json.loads((tmp_path / f"made-{number}").read_text())
        assert len(made) > 3
        assert set(made) <= titles
    assert verify(data)[0] == ()


def serve_and_write(data: Path, number: int) -> None:
    """What a server does: questions, and collections that people make; until the last generation is served."""
    holder = EngineHolder(data, ToyEncoder(), reload_seconds=0.0)
    made: list[str] = []
    done = data.with_name("data.done")
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        answer = holder.engine().search(text="mass", k=100)
        if done.exists() and answer.generation == done.read_text():
            break
        title = f"folder {len(made)} of server {number}"
        with CaseStore.open(data) as store:
            store.create_collection(title)
        made.append(title)
    else:
        raise TimeoutError
    data.with_name(f"made-{number}").write_text(json.dumps(made))


def test_a_database_that_stays_locked_is_answered_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, data = make_archive(tmp_path)
    rebuild(data, ToyEncoder())
    monkeypatch.setattr(writer_lock, "BUSY_SECONDS", 0.2)
    with serving(data) as client:
        with writer_lock.transaction_lock(data):
            answer = client.post("/api/collections", json={"title": "Teaching"})
            assert client.get("/api/search?q=mass").status_code == 200
        assert (answer.status_code, answer.json()["code"]) == (503, "busy")
        assert int(answer.headers["retry-after"]) > 0
        assert client.post("/api/collections", json={"title": "Teaching"}).status_code == 201


def test_a_second_writer_is_a_conflict_that_names_the_first(tmp_path: Path) -> None:
    _, data = make_archive(tmp_path)
    with writer_lock.writer_lock(data), pytest.raises(writer_lock.LockedError) as caught:
        rebuild(data, ToyEncoder())
    problem = problem_of(caught.value)
    assert (problem.status, problem.code) == (409, "locked")
    assert str(os.getpid()) in problem.message


def test_a_lock_whose_holder_died_is_free(tmp_path: Path) -> None:
    _, data = make_archive(tmp_path)
    taken = tmp_path / "taken"

    def hold() -> None:
        with writer_lock.writer_lock(data):
            taken.touch()
            time.sleep(60)

    pid = in_child(hold)
    wait_until(taken.exists)
    with pytest.raises(writer_lock.LockedError, match=str(pid)):
        rebuild(data, ToyEncoder())
    os.kill(pid, signal.SIGKILL)
    ended(pid)
    assert rebuild(data, ToyEncoder()).switched


def test_a_rebuild_that_is_asked_to_end_does_and_goes_on_later(tmp_path: Path) -> None:
    _, data = make_archive(tmp_path)
    begun = tmp_path / "begun"

    class Slow(ToyEncoder):
        def encode_series(self, volume: Volume):
            begun.touch()
            time.sleep(0.5)
            return super().encode_series(volume)

    pid = in_child(lambda: rebuild(data, Slow()))
    wait_until(begun.exists)
    os.kill(pid, signal.SIGTERM)
    before = time.monotonic()
    assert os.WTERMSIG(ended(pid)) == signal.SIGTERM
    assert time.monotonic() - before < 30
    assert rebuild(data, ToyEncoder()).switched
    assert verify(data) == ((), ())


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_a_data_directory_on_a_network_file_system_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    _, data = make_archive(tmp_path)
    table = tmp_path / "mounts"
    place = str(tmp_path.resolve()).replace(" ", "\\040")
    table.write_text(f"21 1 8:1 / / rw - ext4 /dev/sda rw\n36 21 0:45 / {place} rw - {kind} server:/export rw\n")
    monkeypatch.setattr(mounts, "MOUNTS", table)
    for read_only in (True, False):
        with pytest.raises(StoreError, match=kind) as caught:
            CaseStore.open(data, read_only=read_only)
        assert caught.value.code == "network_file_system"
    table.write_text("21 1 8:1 / / rw - ext4 /dev/sda rw\n")
    with CaseStore.open(data, read_only=True) as store:
        assert store.counts().examinations == 4


def in_child(work: Callable[[], object]) -> int:
    pid = os.fork()
    if not pid:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return pid


def ended(pid: int) -> int:
    return os.waitpid(pid, 0)[1]


def wait_until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "it did not come about"
        time.sleep(0.005)
