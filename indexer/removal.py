"""Removing cases for good: from the case store, and from every generation of vectors.

Vectors identify patients as their scans do, so a generation that holds some of a removed case is written anew without
them and the old folder is deleted. What nobody can take a case out of is deleted whole: broken generations, copies of
the database that a migration kept, and what a restoring put aside. What was begun is finished by the next removal or
rebuild; calling the same removal again after a kill does it too.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer import generation_files
from indexer.case_store import CaseStore
from indexer.durable import remove_file
from indexer.embedding_store import EmbeddingBatch, Kind
from indexer.generation_files import Contents
from indexer.generation_manifest import GenerationError
from indexer.generations import Index, write_index
from indexer.schema import FILE, StoreError
from indexer.writer_lock import writer_lock

CHUNK = 8192  # vectors copied at a time
REPLACED = "replaced-"  # how the folders begin in which a restoring keeps what it replaced


@dataclass(frozen=True, slots=True)
class RemovalSummary:
    removed: tuple[str, ...]
    generations: tuple[str, ...]
    deleted: tuple[str, ...]
    notes: tuple[str, ...] = ()


def remove_cases(data: Path | str, keys: Sequence[str]) -> RemovalSummary:
    """Remove cases with report, words, vectors and pictures; all of them or, where one is unknown, none.

    Raises
    ------
    CaseMissing
        when a key is unknown
    LockedError
        when another process writes to the data directory
    """
    data = Path(data)
    if not (data / FILE).is_file():
        raise StoreError("store_missing", "There is no case store here.", "Name the data directory with --data.")
    with writer_lock(data), CaseStore.open(data) as store:
        with store.connections.writing() as database:
            begun = {key for (key,) in database.execute("SELECT key FROM erasing").fetchall()}
            for key in keys:
                if key not in begun:
                    store.remove(key)
        notes = generation_files.set_broken_aside(data)
        rewritten, deleted = finish_erasing(data, store)
        store.checkpoint()
    return RemovalSummary(tuple(keys), rewritten, deleted, notes)


def finish_erasing(data: Path, store: CaseStore) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Write generations anew without the removed cases; the new names, and what was deleted whole."""
    with store.connections.reading() as database:
        gone = np.array([row for (row,) in database.execute("SELECT examination_id FROM erasing").fetchall()], np.int64)
    if not len(gone):
        return (), ()
    generation_files.clear_unfinished(data)
    rewritten: list[str] = []
    anew: dict[str, str] = {}  # what a killed removal has written already, by what it stands for
    held: list[Index] = []
    for name in generation_files.names(data):
        try:
            index = Index.open_generation(data, name)
        except GenerationError:
            generation_files.set_aside(data, name)
            continue
        if any(np.isin(index.owners(kind), gone).any() for kind in Kind):
            held.append(index)
        elif index.replaces:
            anew[index.replaces] = name
    for index in reversed(held):
        name = anew.get(index.name) or _rewrite(data, index, gone)
        if generation_files.current_name(data) == index.name:
            generation_files.switch(data, name)
        rewritten.append(name)
        generation_files.discard(data, index.name)
    current, whole = generation_files.current_name(data), generation_files.names(data)
    if current is not None and current not in whole and whole:
        generation_files.switch(data, whole[0])  # the current one was broken and is set aside
    deleted = _delete_copies(data)
    with store.connections.writing() as database:
        database.execute("DELETE FROM erasing")
    return tuple(rewritten), deleted


def _rewrite(data: Path, index: Index, gone: NDArray[np.int64]) -> str:
    kept = {kind: np.flatnonzero(~np.isin(index.owners(kind), gone)) for kind in Kind}
    contents = Contents(
        encoder_id=index.encoder_id,
        preprocessing=index.preprocessing,
        dim=index.dim,
        content="",  # of no state of the store, so that the next rebuild makes a new one of what is stored
        counts={kind: len(positions) for kind, positions in kept.items()},
        batches={kind: _batches(index, kind, positions) for kind, positions in kept.items()},
        replaces=index.name,
    )
    return write_index(data, contents)


def _delete_copies(data: Path) -> tuple[str, ...]:
    """Delete what holds removed cases and cannot be written anew; the names."""
    folders = [data / generation_files.FOLDER / name for name in generation_files.bad_names(data)]
    folders += sorted(data.glob(f"{REPLACED}*"))
    for folder in folders:
        shutil.rmtree(folder)
    copies = sorted((*data.glob(f"{FILE.partition('.')[0]}.schema*.bak"), *data.glob(".*.part*")))
    for copy in copies:
        remove_file(copy)
    return tuple(path.name for path in (*folders, *copies))


def _batches(index: Index, kind: Kind, positions: NDArray[np.int64]) -> Iterator[EmbeddingBatch]:
    for begin in range(0, len(positions), CHUNK):
        yield index.batch(kind, positions[begin : begin + CHUNK])
