"""Small disks of their own (tmpfs): full to the last kilobyte, or made read-only, while a server answers from them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toy_encoder import ToyEncoder

from faults.acts import Act
from faults.judge import Law, complaints, in_child
from faults.record import record_of
from faults.tracing import Outcome, run, run_and_kill_at
from indexer.verification import verify
from search_api.engine import SearchEngine

FREE_KIB = (0, 4, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512)


@contextmanager
def served(data: Path) -> Iterator[_Server]:
    """A server process that has the data directory open all the while."""
    server = _Server(data)
    try:
        yield server
    finally:
        server.end()


def fill_disk(act: Act, disk: Path, free_kib: int, law: Law) -> tuple[Outcome, list[str]]:
    """The act with so much space left; then what is wrong, while the disk is full and after space was freed."""
    data = act.copy_to(disk)
    with served(data) as server:
        found = [f"before: {one}" for one in server.ask(law.before.told)]
        ballast = disk / "ballast"
        _fill(ballast, free_kib)
        outcome = run(lambda: act.work(data))
        found += [] if outcome.foreseen else [f"not foreseen: {outcome.ended}"]
        told = in_child(lambda: _told(data))
        found += [f"while full: {one}" for one in server.ask(told)]
        ballast.unlink()
        found += in_child(lambda: complaints(act, data, law, outcome))
        # Without having been started again.
        found += [f"after: {one}" for one in server.ask(law.after.told, reload=True)]
    shutil.rmtree(data)
    return outcome, found


def make_read_only(act: Act, disk: Path, law: Law, way: str) -> tuple[Outcome, list[str]]:
    """The act on a disk that is made read-only: as it is, after a kill, or copied without SQLite's log."""
    data = act.copy_to(disk)
    if way == "after a kill":
        run_and_kill_at(lambda: act.work(data), "fsync", 1)
    if way == "without a log":
        for path in data.glob("cases.sqlite-*"):
            path.unlink()
    state = in_child(lambda: [json.dumps(sorted(_told(data)))])[0]
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True, capture_output=True)
    try:
        outcome = run(lambda: act.work(data))
        found = [] if outcome.foreseen else [f"not foreseen: {outcome.ended}"]
        found += [f"it {act.name}s on a read-only disk"] if outcome.ended == "done" else []
        with served(data) as server:
            found += [f"read-only: {one}" for one in server.ask(json.loads(state))]
        found += [f"read-only: verify: {one}" for one in in_child(lambda: list(verify(data)[0]))]
    finally:
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True, capture_output=True)
    return outcome, found + in_child(lambda: complaints(act, data, law, outcome))


class _Server:
    """A process with a search engine, asked over a socket; SQLite's locks do not survive a fork, so it is the first."""

    def __init__(self, data: Path) -> None:
        ours, theirs = socket.socketpair()
        self._pid = os.fork()
        if not self._pid:
            ours.close()
            try:
                self._serve(theirs.makefile("rw"), data)
            finally:
                os._exit(0)
        theirs.close()
        self._socket = ours
        self._lines = ours.makefile("rw")

    def ask(self, told: object, *, reload: bool = False) -> list[str]:
        """What is wrong with the answer to a question that finds every case."""
        self._lines.write(f"{'reload' if reload else 'ask'}\n")
        self._lines.flush()
        answer = self._lines.readline()
        if not answer.startswith("["):
            return [answer.strip() or "the server has died"]
        missing = set(json.loads(answer)) ^ set(told)  # type: ignore[call-overload]
        return [f"the server finds other cases: {sorted(missing)}"] if missing else []

    def end(self) -> None:
        self._lines.close()
        self._socket.close()
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)

    @staticmethod
    def _serve(lines: object, data: Path) -> None:
        engine = None
        for line in lines:  # type: ignore[attr-defined]
            try:
                engine = engine or SearchEngine.open(data, ToyEncoder())
                if line.startswith("reload"):
                    engine.reload()
                keys = [hit.key for hit in engine.search(text="mass", k=50).hits]
                answer = json.dumps(keys)
            except Exception as error:  # noqa: BLE001  told to who asked
                answer = f"the server answers {type(error).__name__}: {error}".replace("\n", " ")
            lines.write(f"{answer}\n")  # type: ignore[attr-defined]
            lines.flush()  # type: ignore[attr-defined]


def _fill(ballast: Path, free_kib: int) -> None:
    with ballast.open("wb") as file:
        try:
            while True:
                os.write(file.fileno(), b"\xff" * 4096)
        except OSError:
            size = ballast.stat().st_size
        file.truncate(max(size - free_kib * 1024, 0))


def _told(data: Path) -> list[str]:
    return sorted(record_of(data).told)
