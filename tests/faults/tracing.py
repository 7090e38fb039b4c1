"""Running one piece of work in a child of this warm process, with strace beside it: counted, failed or killed.

A new interpreter would import for seconds; a fork has everything at hand. The child stops itself until the tracer
holds it, so the first call of the kernel that counts is the work's own. It answers through shared memory, which takes
no call.
"""

from __future__ import annotations

import mmap
import os
import re
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

# What each kind of fault answers, and by which calls; each call of the kernel is counted by itself.
WRITES = ("write", "pwrite64", "writev", "pwritev", "ftruncate", "fallocate")
SYNCS = ("fsync", "fdatasync", "msync", "sync_file_range")
RENAMES = ("rename", "renameat", "renameat2", "link", "linkat")
FOLDERS = ("mkdir", "mkdirat", "unlink", "unlinkat", "rmdir")
ERRORS = {
    **dict.fromkeys(WRITES, "ENOSPC"),
    **dict.fromkeys(SYNCS, "EIO"),
    **dict.fromkeys(RENAMES, "EIO"),
    **dict.fromkeys(FOLDERS, "EIO"),
}
KINDS = {
    **dict.fromkeys(WRITES, "write"),
    **dict.fromkeys(SYNCS, "fsync"),
    **dict.fromkeys(RENAMES, "rename"),
    **dict.fromkeys(FOLDERS, "make or delete"),
}
_LINE = re.compile(r"^\d+\s+(\w+)\((.*)$")
_ATTACH_SECONDS = 10.0
_BOX = 4096


@dataclass(frozen=True, slots=True)
class Outcome:
    """`done`, `killed`, or what was raised; `foreseen` tells whether a command would say it in one sentence."""

    ended: str
    foreseen: bool = True


def run(work: Callable[[], object]) -> Outcome:
    """The work in a child, undisturbed."""
    child = _Child(work)
    os.kill(child.pid, signal.SIGCONT)
    return child.outcome()


def run_and_kill(work: Callable[[], object], seconds: float) -> Outcome:
    """The work in a child that is killed after some time, unless it has ended."""
    child = _Child(work)
    os.kill(child.pid, signal.SIGCONT)
    time.sleep(seconds)
    os.kill(child.pid, signal.SIGKILL)
    return child.outcome()


def run_with_fault(work: Callable[[], object], call: str, nth: int) -> Outcome:
    """The work, whose n-th such call of the kernel fails without being carried out."""
    return _traced(work, [f"--inject={call}:error={ERRORS[call]}:when={nth}"])


def run_and_kill_at(work: Callable[[], object], call: str, nth: int) -> Outcome:
    """The work, killed by the kernel as it makes its n-th such call."""
    return _traced(work, [f"--inject={call}:signal=SIGKILL:when={nth}"])


def count_calls(work: Callable[[], object], data: Path, log: Path) -> Counter[str]:
    """How often the work makes each call when nothing fails. Raises where a call is not on the data directory."""
    outcome = _traced(work, ["-y"], log)
    if outcome.ended != "done":
        raise RuntimeError(f"Expected the work to succeed when nothing fails, got: {outcome.ended}")
    counts: Counter[str] = Counter()
    for line in log.read_text("utf-8", "replace").splitlines():
        found = _LINE.match(line)
        if found and found[1] in ERRORS:
            if str(data) not in found[2]:
                raise RuntimeError(f"Expected calls on {data}, got: {line[:200]}")
            counts[found[1]] += 1
    return counts


class _Child:
    """A forked process that waits (stopped) before its work."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._box = mmap.mmap(-1, _BOX)
        self.pid = os.fork()
        if not self.pid:
            try:
                os.kill(os.getpid(), signal.SIGSTOP)
                self._answer(work)
            finally:
                os._exit(0)
        os.waitpid(self.pid, os.WUNTRACED)

    def _answer(self, work: Callable[[], object]) -> None:
        try:
            work()
            text = "+done"
        except (ValueError, OSError, sqlite3.DatabaseError) as error:
            # As `indexer.commands` and `search_api.errors` foresee them.
            text = f"+{type(error).__name__}: {error}"
        except BaseException as error:  # noqa: BLE001  whatever it is, it is told
            text = f"-{type(error).__name__}: {error}"
        answer = text.encode("utf-8", "replace")[: _BOX - 1]
        self._box[: len(answer)] = answer

    def outcome(self) -> Outcome:
        _, status = os.waitpid(self.pid, 0)
        text = self._box[:].rstrip(b"\0").decode("utf-8", "replace")
        self._box.close()
        if os.WIFSIGNALED(status):
            return Outcome("killed", os.WTERMSIG(status) == signal.SIGKILL)
        return Outcome(text[1:], text.startswith("+"))


def _traced(work: Callable[[], object], options: Sequence[str], log: Path | None = None) -> Outcome:
    child = _Child(work)
    calls = f"--trace={','.join(ERRORS)}"
    command = ["strace", "-f", "-qq", "-o", str(log or "/dev/null"), calls, *options, "-p", str(child.pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as tracer:
        try:
            _wait_for_tracer(child.pid)
        except TimeoutError:
            tracer.kill()
            os.kill(child.pid, signal.SIGKILL)
            child.outcome()
            raise
        os.kill(child.pid, signal.SIGCONT)
        return child.outcome()


def _wait_for_tracer(pid: int) -> None:
    ends = time.monotonic() + _ATTACH_SECONDS
    while time.monotonic() < ends:
        if "TracerPid:\t0\n" not in Path(f"/proc/{pid}/status").read_text():
            return
        time.sleep(0.002)
    raise TimeoutError("strace did not attach.")
