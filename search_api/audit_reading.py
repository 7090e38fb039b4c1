"""Reading the audit: its records in order, whether the chain holds, and letting go of what is past its time.

A record lies where its seal, its place in the chain or the lines between do not fit; `verify` names the first. What
cannot be told from the files alone, that the end was cut off together with `audit/head`, a head kept elsewhere tells.
"""

from __future__ import annotations

import fcntl
import hmac
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from indexer.durable import sync_folder
from search_api.audit_chain import FOLDER, HEAD, KEY, AuditTrail, files_of, locked, read_head, read_key
from search_api.audit_records import MENDED, NO_HASH, PRUNED, AuditError, Entry, Head, parse, seal, torn_digest

MOST_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify` found; `head` is the last record, to be kept elsewhere, and `problems` begin with the first lie."""

    records: int
    head: Head | None
    first: str
    last: str
    problems: tuple[str, ...]
    remarks: tuple[str, ...]


@dataclass(slots=True)
class _Walk:
    """What a walk along the chain has seen so far."""

    key: bytes
    before: Head | None = None
    start: Head | None = None  # what the first record names as the one before it
    records: int = 0
    first: str = ""
    last: str = ""
    between: list[bytes] = field(default_factory=list)
    ends: dict[int, str] = field(default_factory=dict)  # the last record of each file
    pruned: list[Head] = field(default_factory=list)
    hashes: set[str] = field(default_factory=set)  # of those that are looked for
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def verify(data: Path, expected: str = "") -> Verdict:
    """Check every record, and that the chain still holds the records whose hashes `head` and `expected` are.

    Raises
    ------
    AuditError
        when there is no audit, or its key is gone
    """
    folder = data / FOLDER
    files = _snapshot(folder)
    told = read_head(folder)
    looked_for = {expected, told.hash if told else ""}
    walk = _Walk(_key_of(data))
    for file, size in files:
        for number, line in enumerate(_lines(file, size), start=1):
            _step(walk, f"{file.name}, line {number}", line)
            if walk.before is not None and walk.before.hash in looked_for:
                walk.hashes.add(walk.before.hash)
        if walk.before is not None:
            walk.ends[walk.before.sequence] = walk.before.hash
    _check_ends(walk, told, (folder / HEAD).exists())
    known = walk.hashes | {one.hash for one in walk.pruned}
    if expected and expected not in known:
        walk.problems.append(f"No record has the hash {expected[:64]}: records up to then were changed or are gone.")
    problems = tuple(walk.problems[:MOST_PROBLEMS])
    return Verdict(walk.records, walk.before, walk.first, walk.last, problems, tuple(walk.remarks))


def records(data: Path) -> Iterator[dict[str, Any]]:
    """Every record in order, as it stands there. Raises AuditError where there is no audit."""
    for file, size in _snapshot(data / FOLDER):
        for line in _lines(file, size):
            record = parse(line.rstrip(b"\n"))
            if record is not None:
                yield record


def prune(data: Path, before: str, who: str) -> int:
    """Delete the oldest files whose records are all of before a day (YYYY-MM-DD); how many records went.

    A record that carries the place and hash of the last one deleted goes first, so that the chain still holds. The
    file that is written to stays, and a file is deleted whole or not at all: the grain is a month.
    """
    going: list[Path] = []
    last: Head | None = None
    count = 0
    for file, size in _snapshot(data / FOLDER)[:-1]:
        found = [record for line in _lines(file, size) if (record := parse(line.rstrip(b"\n"))) is not None]
        if any(record["utc"] >= before for record in found):
            break
        going.append(file)
        count += len(found)
        last = Head(found[-1]["sequence"], found[-1]["hash"]) if found else last
    if last is None:
        return 0
    query: dict[str, object] = {"before": before, "records": count, "through": last.sequence, "hash": last.hash}
    AuditTrail(data).append(Entry(who, PRUNED, query, (), "", "done", ""))
    for file in going:
        file.unlink()
    sync_folder(data / FOLDER)
    return count


def _key_of(data: Path) -> bytes:
    try:
        return read_key(data / KEY)
    except OSError as error:
        raise AuditError(
            "audit_key_missing", f"The key of the audit, {KEY}, cannot be read.", "Put it back from a backup."
        ) from error


def _snapshot(folder: Path) -> list[tuple[Path, int]]:
    """The files and how long they are between two appends."""
    if not folder.is_dir():
        raise AuditError("audit_missing", "There is no audit here.", "Name the data directory with --data.")
    try:
        with locked(folder, fcntl.LOCK_SH):
            return [(file, file.stat().st_size) for file in files_of(folder)]
    except OSError as error:
        raise AuditError(
            "audit_unavailable", "The audit cannot be read.", "Read it as its owner, from a disk that can be written."
        ) from error


def _lines(file: Path, size: int) -> Iterator[bytes]:
    """Lines with their ends, up to a size."""
    with suppress(FileNotFoundError), file.open("rb") as content:
        left = size
        while left > 0 and (line := content.readline(left)):
            left -= len(line)
            yield line


def _step(walk: _Walk, place: str, line: bytes) -> None:
    record = parse(line.rstrip(b"\n"))
    if record is None:
        walk.between.append(line)
        return
    called = f"Record {record['sequence']} ({place})"
    true = hmac.compare_digest(record["hash"], seal(record, walk.key))
    if not true:
        walk.problems.append(f"{called} was changed: expected its seal, found another.")
    query = record["query"] if true else {}
    lost = _check_mending(walk, called, place, query if record["action"] == MENDED else {})
    _check_place(walk, called, record, lost)
    if true and record["action"] == PRUNED:
        walk.pruned.append(Head(query["through"], query["hash"]))
    walk.before = Head(record["sequence"], record["hash"])
    walk.records += 1
    walk.first, walk.last = walk.first or record["utc"], record["utc"]


def _check_mending(walk: _Walk, called: str, place: str, query: dict[str, Any]) -> int:
    """Lines that are no records must be set aside by the record behind them; the record up to which others are lost."""
    torn = b"".join(walk.between)
    walk.between.clear()
    if torn or "torn_bytes" in query:
        if query.get("torn_sha256") == torn_digest(torn):
            walk.remarks.append(f"A torn line of {query.get('torn_bytes')} bytes is set aside before {place}.")
        else:
            walk.problems.append(f"Before {called}: expected records, found {len(torn)} bytes that are none.")
    lost = int(query.get("lost_through", 0))
    if lost:
        after = walk.before.sequence if walk.before else 0
        walk.problems.append(f"{called}: records after {after} and up to {lost} had been written and were gone.")
    return lost


def _check_place(walk: _Walk, called: str, record: dict[str, Any], lost: int) -> None:
    if walk.before is None:
        walk.start = Head(record["sequence"] - 1, record["previous"])
        return
    following = (lost or walk.before.sequence) + 1
    if record["sequence"] != following:
        walk.problems.append(f"{called}: expected record {following} after record {walk.before.sequence}.")
    elif record["previous"] != walk.before.hash:
        walk.problems.append(f"{called} does not follow from record {walk.before.sequence}, which was changed.")


def _check_ends(walk: _Walk, told: Head | None, there: bool) -> None:
    """The beginning must be the first record or follow what was pruned; the end must reach what `head` says."""
    start = walk.start
    if start is not None and start != Head(0, NO_HASH):
        ends = {**walk.ends, start.sequence: start.hash}
        if not any(one.sequence >= start.sequence and ends.get(one.sequence) == one.hash for one in walk.pruned):
            walk.problems.insert(0, f"Record {start.sequence + 1} is the first: those before it are gone.")
    if walk.between:
        torn = sum(map(len, walk.between))
        walk.remarks.append(f"The last line is torn ({torn} bytes); the next record sets it aside.")
    if told is not None and told.hash not in walk.hashes:
        walk.problems.append(f"Record {told.sequence} had been written, as {HEAD} says, and is gone or changed.")
    if told is None:
        state = "cannot be read" if there else "is missing"
        walk.remarks.append(f"{HEAD} {state}: only a head that was kept elsewhere tells whether the end was cut.")
