"""The whole campaign, in parts that may run beside one another; each part gives lines of the table of counts."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from faults import clocks, disks
from faults.acts import Act
from faults.damage import all_damages, complaints_of, damaged_act
from faults.judge import Law, complaints, in_child
from faults.needs import small_disk
from faults.record import record_of
from faults.restoring import older_backup
from faults.tracing import KINDS, Outcome, count_calls, run, run_and_kill, run_and_kill_at, run_with_fault

SHOWN = 5  # complaints that a line names


@dataclass(slots=True)
class Line:
    """One kind of fault in one act: how often, how the work ended, and what was wrong."""

    fault: str
    act: str
    injected: int = 0
    done: int = 0
    refused: int = 0
    killed: int = 0
    wrong: int = 0
    complaints: list[str] = field(default_factory=list)

    def count(self, found: list[str], where: str, outcome: Outcome | None = None) -> None:
        self.injected += 1
        self.wrong += bool(found)
        ended = ""
        if outcome is not None:
            self.done += outcome.ended == "done"
            self.killed += outcome.ended == "killed"
            self.refused += outcome.ended not in ("done", "killed")
            ended = f" ({outcome.ended[:60]})"
        self.complaints += [f"{where}{ended}: {one}" for one in found][: SHOWN - len(self.complaints)]


def law_of(act: Act, folder: Path) -> Law:
    """What an act makes when nothing disturbs it."""
    data = act.copy_to(folder)
    before = record_of(data)
    outcome = run(lambda: act.work(data))
    if outcome.ended != "done":
        raise RuntimeError(f"Expected {act.name} to succeed when nothing fails, got: {outcome.ended}")
    return Law(before, record_of(data))


def calls(act: Act, folder: Path, every: int = 1, first: int = 1) -> list[Line]:
    """Each n-th write, fsync, rename, and making or deleting fails; and the work is killed at it."""
    law = law_of(act, folder)
    counted = act.copy_to(folder)
    counts = count_calls(lambda: act.work(counted), folder, folder / "calls.log")
    lines: dict[str, Line] = {}
    cases = [(call, nth) for call, count in sorted(counts.items()) for nth in range(1, count + 1)]
    for call, nth in cases[first - 1 :: every]:
        for fault, way in ((f"{KINDS[call]} fails", run_with_fault), ("killed at such a call", run_and_kill_at)):
            data = act.copy_to(folder)
            outcome = way(partial(act.work, data), call, nth)
            found = in_child(partial(complaints, act, data, law, outcome))
            lines.setdefault(fault, Line(fault, act.name)).count(found, f"{call} {nth}", outcome)
    return list(lines.values())


def kills(act: Act, folder: Path, count: int, seed: int = 1) -> list[Line]:
    """The work is killed at random moments of the time that it takes."""
    law, line, generator = law_of(act, folder), Line("killed at a random moment", act.name), random.Random(seed)
    data = act.copy_to(folder)
    began = time.monotonic()
    run(lambda: act.work(data))
    seconds = time.monotonic() - began
    while line.killed < count and line.injected < 3 * count:
        data = act.copy_to(folder)
        moment = generator.uniform(0.0, seconds)
        outcome = run_and_kill(partial(act.work, data), moment)
        if outcome.ended == "killed":
            found = in_child(partial(complaints, act, data, law, outcome))
            line.count(found, f"after {moment:.3f} s", outcome)
    return [line]


def files(folder: Path, every: int = 1, first: int = 1) -> list[Line]:
    """Every stored file is damaged in every way."""
    act = damaged_act(folder / "prepared")
    data = act.copy_to(folder)
    before = record_of(data)
    lines: dict[str, Line] = {}
    for damage in list(all_damages(data))[first - 1 :: every]:
        data = act.copy_to(folder)
        found = in_child(partial(complaints_of, act, data, damage, before))
        line = lines.setdefault(damage.kind, Line(f"file damaged: {damage.kind}", act.name))
        line.count(found, damage.file)
    return list(lines.values())


def full_disks(act: Act, folder: Path, sizes: tuple[int, ...] = disks.FREE_KIB) -> list[Line]:
    """The disk has less and less space, while a server answers from it."""
    law, line = law_of(act, folder), Line("disk full", act.name)
    with small_disk(folder / "disk") as disk:
        for free in sizes:
            outcome, found = disks.fill_disk(act, disk, free, law)
            line.count(found, f"{free} KiB free", outcome)
    return [line]


def read_only_disks(act: Act, folder: Path) -> list[Line]:
    law, line = law_of(act, folder), Line("disk read-only", act.name)
    for way in ("as it is", "after a kill", "without a log"):
        with small_disk(folder / "disk") as disk:
            outcome, found = disks.make_read_only(act, disk, law, way)
            line.count(found, way, outcome)
    return [line]


def older_backups(folder: Path) -> list[Line]:
    line = Line("older backup restored", "restore --backup")
    for number, (way, found) in enumerate(older_backup(folder)):
        line.count(found, f"{number}: {way}")
    return [line]


def jumping_clocks(folder: Path) -> list[Line]:
    line = Line("clock jumps", "ingest, rebuild, backup, remove")
    found = in_child(lambda: clocks.jump(folder))
    for place in clocks.JUMPS:
        line.count([one for one in found if one.startswith(place)], place)
    line.count([one for one in found if not one.startswith(clocks.JUMPS)], "all of them")
    return [line]
