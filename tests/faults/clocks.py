"""Clocks that jump while one process works: back a day, to 1970, years ahead (Debian's faketime).

`python -m faults.clocks FOLDER` is what runs under the false clock; it prints what is wrong as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from indexed import again, key_of, make_archive
from toy_encoder import ToyEncoder

from faults import needs
from faults.record import record_of
from indexer import generation_files
from indexer.backup import make_backup, restore_backup
from indexer.case_store import CaseStore
from indexer.generations import Index
from indexer.rebuild import rebuild
from indexer.removal import remove_cases
from indexer.verification import verify

JUMPS = ("-1d", "@1970-01-01 00:00:10", "+400d", "@2038-01-19 03:14:07", "-3650d", "@2100-02-28 23:59:59", "+0")
SECONDS = 240.0


def jump(folder: Path) -> list[str]:
    """Everything under the false clock, in a process of its own; what is wrong."""
    folder.mkdir(parents=True, exist_ok=True)
    clock = folder / "clock"
    clock.write_text("+0\n")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "LD_PRELOAD": str(needs.faketime()),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    command = [sys.executable, "-m", "faults.clocks", str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode:
        return [f"it ended with {done.returncode}: {done.stderr[-300:]}"]
    return list(json.loads(done.stdout.splitlines()[-1]))


def _work(folder: Path) -> list[str]:
    root, data = make_archive(folder)
    rebuild(data, ToyEncoder())
    made, before, found = [], record_of(data), []
    for number, time_of_day in enumerate(JUMPS):
        began = time.time()
        (folder / "clock").write_text(f"{time_of_day}\n")
        if abs(time.time() - began) < 1000 and time_of_day != "+0":
            found.append(f"the clock does not jump to {time_of_day}")
        again(root, data)
        summary = rebuild(data, ToyEncoder(), full=True)
        found += [] if summary.seconds >= 0 else [f"{time_of_day}: {summary.seconds} seconds"]
        with CaseStore.open(data) as store:
            store.create_collection(f"folder {number}")
        made.append(summary.generation)
        found += _complaints(data, summary.generation, time_of_day)
        if record_of(data).told != before.told:
            found.append(f"{time_of_day}: what was told differs")
        make_backup(data, folder / f"backup-{number}")
    found += [] if made == sorted(made) else ["generations are not numbered in their order"]
    (folder / "clock").write_text("@1970-01-01 00:00:10\n")
    restore_backup(data, folder / "backup-2")
    remove_cases(data, [key_of(data, "sub-02")])
    name = rebuild(data, ToyEncoder()).generation
    return found + _complaints(data, name, "restored in 1970")


def _complaints(data: Path, name: str, when: str) -> list[str]:
    problems, _ = verify(data)
    found = [f"{when}: {problem}" for problem in problems]
    (data / generation_files.CURRENT).rename(data / "aside")
    if not Index.open(data).name == name == generation_files.names(data)[0]:
        found.append(f"{when}: the newest generation is not the one made last")
    (data / "aside").rename(data / generation_files.CURRENT)
    return found


if __name__ == "__main__":
    print(json.dumps(_work(Path(sys.argv[1]))))
