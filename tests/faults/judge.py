"""What must hold after a fault, whatever it was: it starts, the last complete state is served, nothing is missing.

The judging runs in a child, so that what it opens is closed for good and a crash of it is a verdict too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from toy_encoder import ToyEncoder

from faults.acts import Act
from faults.record import Record, record_of, served_of, vectors_of
from faults.tracing import Outcome
from indexer import generation_files
from indexer.cases import CaseMissing
from indexer.generations import Index, IndexMissing
from indexer.schema import StoreError
from indexer.verification import verify
from search_api.engine import SearchEngine

LEFTOVERS = (".building-*", ".deleting-*", "*.new", "*.part", ".*.part")


@dataclass(frozen=True, slots=True)
class Law:
    """The states before and after an act that nothing disturbed."""

    before: Record
    after: Record


def in_child(work: Callable[[], list[str]]) -> list[str]:
    """The complaints that a function finds, looked for in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        try:
            try:
                found = work()
            except BaseException as error:  # noqa: BLE001  a judge that fails has found something
                found = [f"judging ended in {type(error).__name__}: {error}"]
            with os.fdopen(writing, "w") as pipe:
                json.dump(found, pipe)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return list(json.loads(text)) if text else ["judging was ended by a signal"]


def complaints(act: Act, data: Path, law: Law, outcome: Outcome) -> list[str]:
    """What is wrong after a fault, before and after the act is done once more."""
    found = [] if outcome.foreseen else [f"not foreseen: {outcome.ended}"]
    found += kept(data, law, acknowledged=outcome.ended == "done")
    try:
        act.work(data)
    except CaseMissing:
        # What was removed cannot be removed again.
        if _equals(record_of(data), law.after):
            found.append("the second run finds no case, and the first has not removed it")
        return found
    except Exception as error:  # noqa: BLE001  the second run must succeed
        return [*found, f"the second run ended in {type(error).__name__}: {error}"]
    found += [f"second run: {one}" for one in _equals(record_of(data), law.after)]
    found += [f"second run: {one}" for one in _told_by_verify(data)]
    left = [path.name for pattern in LEFTOVERS for path in data.rglob(pattern)]
    return found + [f"second run: {name} is left over" for name in left]


def kept(data: Path, law: Law, *, acknowledged: bool) -> list[str]:
    """What is wrong right after a fault; where the act was acknowledged, its whole outcome must be there."""
    state = record_of(data)
    if acknowledged:
        return _equals(state, law.after) + starts(data, state) + _told_by_verify(data)
    found = []
    for key in law.before.told.keys() | law.after.told.keys() | state.told.keys():
        sides = (law.before.told.get(key), law.after.told.get(key))
        if state.told.get(key) not in sides:
            found.append(f"case {key} is neither as before nor as after")
    lost = {key for key in law.before.told if key in law.after.told} - set(state.told)
    found += [f"case {key} is missing" for key in lost]
    if not state.made <= law.before.made | law.after.made:
        found.append("embeddings, scores or pictures that nobody made")
    if not law.before.made & law.after.made <= state.made:
        found.append("embeddings, scores or pictures are missing")
    if state.served not in (law.before.served, law.after.served):
        found.append("what is served is neither the state before nor after")
    return found + starts(data, state) + _told_by_verify(data)


def starts(data: Path, state: Record) -> list[str]:
    """Open it as a server does, and ask."""
    try:
        with SearchEngine.open(data, ToyEncoder()) as engine:
            answer = engine.search(text="mass", k=50)
            notices = engine.notices
    except (IndexMissing, StoreError) as error:
        return [] if state.served is None else [f"it does not start: {error}"]
    found = [f"hit {hit.key} is no case" for hit in answer.hits if hit.key not in state.told]
    if not len(answer.hits) + answer.folded == answer.total == len(state.told):
        found.append(f"{len(answer.hits)} of {len(state.told)} cases are found")
    return found + [f"notice: {notice}" for notice in notices]


def _equals(state: Record, wanted: Record) -> list[str]:
    names = ("told", "made", "served", "erasing", "used")
    differing = [name for name in names if getattr(state, name) != getattr(wanted, name)]
    return [f"{name} differs from an undisturbed run" for name in differing]


def _told_by_verify(data: Path) -> list[str]:
    try:
        problems, remarks = verify(data)
    except StoreError as error:
        return [] if error.code == "store_missing" else [f"verify: {error}"]
    bad = [remark for remark in remarks if "broken" in remark]
    return [f"verify: {problem}" for problem in (*problems, *bad)]


def served_names(data: Path) -> dict[str, frozenset[str]]:
    """The vectors of every generation that is whole."""
    found = {}
    for name in generation_files.names(data):
        found[name] = vectors_of(Index.open_generation(data, name))
    return found


__all__ = ["Law", "complaints", "in_child", "served_names", "served_of", "starts"]
