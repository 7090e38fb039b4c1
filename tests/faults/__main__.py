"""`python -m faults`: every fault, in every act, and the table of counts. Ends with 1 where anything was wrong."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from faults import campaign, needs
from faults.acts import all_acts
from faults.campaign import Line
from training.benchmarks import machine

# Kills at random moments; with those at each of its calls a rebuild is killed about 500 times.
KILLS = {"ingest": 70, "rebuild": 380, "remove": 70}
SHARE = 95  # of them in one part
MEMORY = Path("/dev/shm")  # where a thousand copies of a data directory cost least

Part = Callable[[], list[Line]]


def main() -> int:
    asked = _asked()
    reasons = needs.missing()
    if reasons:
        sys.stderr.write(f"Not all faults can be injected here: {'; '.join(reasons)}.\n")
        return 2
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        parts = _parts(Path(folder))
        lines: list[Line] = []
        for found in _side_by_side(parts, asked.workers):
            lines += found
            for line in found:
                sys.stdout.write(f"{line.act}, {line.fault}: {line.injected} injected, {line.wrong} wrong\n")
                sys.stdout.writelines(f"  {one}\n" for one in line.complaints)
            sys.stdout.flush()
    table = _table(lines)
    sys.stdout.write(table)
    if asked.out:
        asked.out.write_text(table, "utf-8")
    return int(any(line.wrong for line in lines))


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    parser.add_argument("--out", type=Path, help="Where the table goes.")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="Parts that run side by side.")
    return parser.parse_args()


def _parts(folder: Path) -> list[Part]:
    acts = all_acts(folder / "acts")
    parts: list[Part] = [partial(campaign.calls, act, folder / f"calls-{place}") for place, act in enumerate(acts)]
    parts += [partial(campaign.files, folder / f"files-{first}", 2, first) for first in (1, 2)]
    for act in (one for one in acts if one.name in KILLS):
        for seed, done in enumerate(range(0, KILLS[act.name], SHARE)):
            count = min(SHARE, KILLS[act.name] - done)
            parts.append(partial(campaign.kills, act, folder / f"kills-{act.name}-{seed}", count, seed))
        parts.append(partial(campaign.full_disks, act, folder / f"full-{act.name}"))
        parts.append(partial(campaign.read_only_disks, act, folder / f"read-only-{act.name}"))
    parts.append(partial(campaign.older_backups, folder / "older"))
    parts.append(partial(campaign.jumping_clocks, folder / "clock"))
    return parts


def _side_by_side(parts: Sequence[Part], workers: int) -> Iterator[list[Line]]:
    """What each part found, as they end; every one in a process of its own."""
    context = multiprocessing.get_context("fork")
    waiting, running = list(reversed(parts)), dict[Connection, BaseProcess]()
    while waiting or running:
        while waiting and len(running) < workers:
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_answer, args=(waiting.pop(), theirs))
            process.start()
            theirs.close()
            running[ours] = process
        for ready in wait(list(running)):
            yield ready.recv()
            running.pop(ready).join()
            ready.close()


def _answer(part: Part, answer: Connection) -> None:
    folder = next(one for one in part.args if isinstance(one, Path))  # type: ignore[attr-defined]
    folder.mkdir(parents=True)
    answer.send(part())
    shutil.rmtree(folder, ignore_errors=True)


def _table(lines: Iterable[Line]) -> str:
    merged: dict[tuple[str, str], Line] = {}
    for line in lines:
        known = merged.get((line.fault, line.act))
        merged[line.fault, line.act] = _sum(known, line) if known else line
    rows = [merged[key] for key in sorted(merged)]
    total = replace(rows[0], fault="**all**", act="")
    for row in rows[1:]:
        total = _sum(total, row)
    text = [
        f"Injected on {machine()}, by `make faults`.",
        "",
        "| fault | in | injected | the work ended well | was refused | was killed | anything lost or wrong |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in (*rows, total):
        ended = " | ".join(f"{count:,}" if count else "" for count in (row.done, row.refused, row.killed))
        text.append(f"| {row.fault} | {row.act} | {row.injected:,} | {ended} | {row.wrong:,} |")
    return "\n".join(text) + "\n"


def _sum(one: Line, other: Line) -> Line:
    counts = {
        name: getattr(one, name) + getattr(other, name) for name in ("injected", "done", "refused", "killed", "wrong")
    }
    return replace(one, **counts)


if __name__ == "__main__":
    sys.exit(main())
