"""Damage to stored files: every file of a data directory, one bit at several places, cut, emptied, longer, exchanged.

Each damage must be told by `verify`, or change nothing that anybody reads; what is served is a whole generation or a
refusal in a sentence; and a rebuild or a backup brings the state before back.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from datasets import write_scan
from indexed import make_archive
from toy_encoder import ToyEncoder

from faults.acts import Act
from faults.judge import served_names, starts
from faults.record import Record, record_of
from indexer.backup import make_backup, restore_backup
from indexer.generation_files import bad_names, names
from indexer.generations import Index, IndexMissing
from indexer.ingest import ingest
from indexer.rebuild import rebuild
from indexer.schema import StoreError
from indexer.verification import verify
from search_api.terminology import import_terms

BITS = 6  # places of each file at which a bit is turned over
EMPTY_BY_NATURE = ("writer.lock", "transaction.lock")


@dataclass(frozen=True, slots=True)
class Damage:
    kind: str
    file: str
    harm: Callable[[Path], None]  # given the data directory


def damaged_act(folder: Path) -> Act:
    """Three generations of two sources, a key of pseudonyms, a site's own terms, and a backup of it all."""
    _, data = make_archive(folder)
    write_scan(folder / "clinic" / "Doe, Jane" / "scan_FLAIR.nii.gz", seed=5)
    ingest(folder / "clinic", data)
    terms = folder / "terms.jsonl"
    terms.write_text('{"name": "mass", "synonyms": ["space-occupying lesion"]}\n', "utf-8")
    import_terms(terms, data)
    for _ in range(3):
        rebuild(data, ToyEncoder(), full=True)
    make_backup(data, folder / "backup")
    return Act("stored files", folder, lambda copy: rebuild(copy, ToyEncoder()))


def all_damages(data: Path, seed: int = 5) -> Iterator[Damage]:
    """Every file with every kind of damage, except those that hold nothing."""
    generator = random.Random(seed)
    files = sorted(path.relative_to(data) for path in data.rglob("*") if path.is_file() and path.stat().st_size)
    for number, file in enumerate(files):
        size = (data / file).stat().st_size
        places = {0, size - 1, size // 2, *(generator.randrange(size) for _ in range(BITS - 3))}
        for place in sorted(places):
            yield Damage("bit", str(file), _flip(file, place, generator.randrange(8)))
        yield Damage("cut to half", str(file), _cut(file, size // 2))
        yield Damage("cut by one byte", str(file), _cut(file, size - 1))
        yield Damage("emptied", str(file), _cut(file, 0))
        yield Damage("longer", str(file), _lengthen(file))
        others = [one for one in files if (data / one).read_bytes() != (data / file).read_bytes()]
        near = [one for one in others if one.suffix == file.suffix and one != file] or others
        yield Damage("exchanged", str(file), _exchange(file, near[number % len(near)]))


def complaints_of(act: Act, data: Path, damage: Damage, before: Record) -> list[str]:
    """What is wrong after a damage: not told, wrongly served, or not mended."""
    whole = set(served_names(data).values())
    damage.harm(data)
    found: list[str] = []
    try:
        problems = verify(data)[0]
    except StoreError as error:
        problems = (str(error),)
    state = _state(data)
    if not problems and state != before:
        found.append("nothing tells of it, and something differs")
    if state is not None and state.served is not None and state.served not in whole:
        found.append("what is served is no generation that was written")
    found += _served(data, state)
    found += _mended(act, data, before, named=bool(problems))
    return found


def _state(data: Path) -> Record | None:
    try:
        return record_of(data)
    except Exception:  # noqa: BLE001  a damaged database is read by the plain library in whatever way it fails
        return None


def _served(data: Path, state: Record | None) -> list[str]:
    if state is not None:
        return [one for one in starts(data, state) if not one.startswith("notice:")]
    try:
        Index.open(data)
    except IndexMissing:
        return ["no generation is served"]
    return []


def _mended(act: Act, data: Path, before: Record, *, named: bool) -> list[str]:
    """A rebuild mends generations and keeps the broken ones; a backup mends the rest."""
    there = set(names(data))
    try:
        act.work(data)
        lost = there - set(names(data)) - {name.partition(".")[0] for name in bad_names(data)}
        if len(lost) > 1:  # the oldest goes where a new one came
            return [f"generations {sorted(lost)} were deleted"]
        if not verify(data)[0]:
            return _differences(record_of(data), before) if named else []
    except Exception as error:  # noqa: BLE001  judged below: the backup must help where this does not
        if not isinstance(error, ValueError | OSError) and type(error).__module__ != "sqlite3":
            return [f"not foreseen: {type(error).__name__}: {error}"]
    for name in ("pseudonym.key", "terms.json"):
        (data / name).unlink(missing_ok=True)
    restore_backup(data, act.prepared / "backup")
    rebuild(data, ToyEncoder())
    problems = verify(data)[0]
    found = [f"after the backup came back: {problem}" for problem in problems]
    return found + _differences(record_of(data), before)


def _differences(state: Record, before: Record) -> list[str]:
    names_of = [name for name in ("told", "made", "served") if getattr(state, name) != getattr(before, name)]
    return [f"after mending {name} differs" for name in names_of]


def _flip(file: Path, place: int, bit: int) -> Callable[[Path], None]:
    def harm(data: Path) -> None:
        content = bytearray((data / file).read_bytes())
        content[place] ^= 1 << bit
        (data / file).write_bytes(content)

    return harm


def _cut(file: Path, size: int) -> Callable[[Path], None]:
    return lambda data: (data / file).write_bytes((data / file).read_bytes()[:size]) and None


def _lengthen(file: Path) -> Callable[[Path], None]:
    return lambda data: (data / file).write_bytes((data / file).read_bytes() + b"\0\0") and None


def _exchange(one: Path, other: Path) -> Callable[[Path], None]:
    def harm(data: Path) -> None:
        spare = data / "spare"
        shutil.copyfile(data / one, spare)
        shutil.copyfile(data / other, data / one)
        shutil.copyfile(spare, data / other)
        spare.unlink()

    return harm
