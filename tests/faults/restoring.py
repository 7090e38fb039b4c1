"""An older backup comes back while generations know newer cases: no row id is ever given to another case."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from datasets import write_bids
from indexed import again, make_archive
from toy_encoder import ToyEncoder

from faults.judge import in_child, starts
from faults.record import record_of
from indexer import generation_files
from indexer.backup import make_backup, restore_backup
from indexer.case_store import CaseStore
from indexer.generations import Index, Kind
from indexer.rebuild import rebuild
from indexer.verification import verify

# What happened to the data directory before the backup came back.
WAYS = ("whole", "no CURRENT", "CURRENT names nothing", "no database", "damaged database", "no generations")


def older_backup(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Each way, and what is wrong with what came back."""
    prepared = folder / "prepared"
    root, data = make_archive(prepared)
    rebuild(data, ToyEncoder())
    make_backup(data, prepared / "backup")
    before = record_of(data)
    write_bids(root, participants=5)
    again(root, data)
    rebuild(data, ToyEncoder())
    for way in WAYS:
        place = folder / "data"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(data, place)
        _harm(place, way)
        yield way, in_child(lambda at=place: _complaints(root, at, prepared / "backup", before.told.keys()))


def _harm(data: Path, way: str) -> None:
    match way:
        case "no CURRENT":
            (data / generation_files.CURRENT).unlink()
        case "CURRENT names nothing":
            (data / generation_files.CURRENT).write_text("000099-20260101T000000Z\n")
        case "no database":
            for path in data.glob("cases.sqlite*"):
                path.unlink()
        case "damaged database":
            (data / "cases.sqlite").write_bytes(b"\xff" * 9000)
        case "no generations":
            shutil.rmtree(data / generation_files.FOLDER)


def _complaints(root: Path, data: Path, backup: Path, wanted: object) -> list[str]:
    known = _known(data)
    restore_backup(data, backup)
    state = record_of(data)
    found = [] if set(state.told) == set(wanted) else ["the cases are not those of the backup"]  # type: ignore[call-overload]
    if state.served is not None:
        found += [one for one in starts(data, state) if not one.startswith("notice:")]
    # Other people than those that the generations know, under new keys.
    write_bids(root.with_name("other") / "cohort", participants=5)
    again(root.with_name("other") / "cohort", data)
    with CaseStore.open(data, read_only=True) as store:
        new = {store.id_of(key) for key in record_of(data).told if key not in state.told}
    if new & known:
        found.append(f"row ids {sorted(new & known)} were given again")
    rebuild(data, ToyEncoder())
    state = record_of(data)
    found += starts(data, state) + [f"verify: {problem}" for problem in verify(data)[0]]
    return found


def _known(data: Path) -> set[int]:
    owners: list[int] = []
    for name in generation_files.names(data):
        index = Index.open_generation(data, name)
        owners += [int(one) for kind in Kind for one in np.unique(index.owners(kind))]
    return set(owners)
