"""Progress as long work reports it: a bar with rate and remaining time on a terminal, plain lines elsewhere.

Everything goes to standard error, so that `--json` has standard output to itself.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import typer

LINE_SECONDS = 5.0  # between two plain lines, so that a log of a long rebuild stays readable


class Progress(Protocol):
    """Told after every item: how many are done, of how many (0: not known), and a word about the last."""

    def __call__(self, done: int, total: int, note: str = "") -> None: ...


def silent(done: int, total: int, note: str = "") -> None:
    """Progress that nobody looks at."""


@contextmanager
def reporter(title: str, *, quiet: bool = False) -> Iterator[Progress]:
    """Progress under a title on standard error."""
    if quiet:
        yield silent
    elif sys.stderr.isatty():
        with _bar(title) as progress:
            yield progress
    else:
        yield _Lines(title)


@contextmanager
def _bar(title: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    started = time.monotonic()
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=None, rate="", note="")

        def advance(done: int, total: int, note: str = "") -> None:
            rate = done / max(time.monotonic() - started, 1e-6)
            bar.update(task, completed=done, total=total or None, rate=f"{rate:.1f}/s", note=escape(note[:40]))

        yield advance


class _Lines:
    """A line when the first item is done, every few seconds, and when the last is done."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._started = time.monotonic()
        self._told: float | None = None

    def __call__(self, done: int, total: int, note: str = "") -> None:
        now = time.monotonic()
        if self._told is not None and done != total and now - self._told < LINE_SECONDS:
            return
        self._told = now
        typer.echo(describe(self._title, done, total, now - self._started, note), err=True)


def describe(title: str, done: int, total: int, seconds: float, note: str = "") -> str:
    """One line of progress with its rate and the remaining time.

    >>> describe("rebuild", 10, 40, 5.0)
    'rebuild: 10 of 40, 2.0/s, 15 s left'
    """
    rate = done / max(seconds, 1e-6)
    left = f", {(total - done) / rate:.0f} s left" if 0 < done < total else ""
    of = f" of {total}" if total else ""
    return f"{title}: {done}{of}, {rate:.1f}/s{left}{f' ({note})' if note else ''}"
