"""Removing cases for good: from the case store, and from every generation of vectors.

Vectors identify patients as their scans do, so a generation that holds some of a removed case is written anew without
them and the old folder is deleted; broken generations, which nobody can read, are deleted whole. What was begun is
finished by the next removal or rebuild.
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
from indexer.embedding_store import EmbeddingBatch, Kind
from indexer.generation_files import Contents, GenerationError
from indexer.generations import Index
from indexer.schema import FILE, StoreError
from indexer.writer_lock import writer_lock

CHUNK = 8192  # vectors copied at a time


@dataclass(frozen=True, slots=True)
class RemovalSummary:
    removed: tuple[str, ...]
    generations: tuple[str, ...]
    deleted: tuple[str, ...]


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
        with store.connections.writing():
            for key in keys:
                store.remove(key)
        rewritten, deleted = finish_erasing(data, store)
        store.checkpoint()
    return RemovalSummary(tuple(keys), rewritten, deleted)


def finish_erasing(data: Path, store: CaseStore) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Write generations anew without the removed cases; the new names, and the broken ones deleted."""
    with store.connections.reading() as database:
        gone = np.array([row for (row,) in database.execute("SELECT examination_id FROM erasing").fetchall()], np.int64)
    if not len(gone):
        return (), ()
    generation_files.clear_unfinished(data)
    rewritten, deleted = [], []
    for name in reversed(generation_files.names(data)):
        try:
            index = Index.open_generation(data, name)
        except GenerationError:
            generation_files.set_aside(data, name)
            continue
        if not any(np.isin(index.owners(kind), gone).any() for kind in Kind):
            continue
        rewritten.append(_rewrite(data, index, gone))
        shutil.rmtree(data / generation_files.FOLDER / name)
    for name in generation_files.bad_names(data):
        shutil.rmtree(data / generation_files.FOLDER / name)
        deleted.append(name)
    with store.connections.writing() as database:
        database.execute("DELETE FROM erasing")
    return tuple(rewritten), tuple(deleted)


def _rewrite(data: Path, index: Index, gone: NDArray[np.int64]) -> str:
    kept = {kind: np.flatnonzero(~np.isin(index.owners(kind), gone)) for kind in Kind}
    contents = Contents(
        encoder_id=index.encoder_id,
        dim=index.dim,
        content="",  # of no state of the store, so that the next rebuild makes a new one of what is stored
        counts={kind: len(positions) for kind, positions in kept.items()},
        batches={kind: _batches(index, kind, positions) for kind, positions in kept.items()},
    )
    name = generation_files.write_generation(data, contents)
    Index.open_generation(data, name).self_test()
    if generation_files.current_name(data) == index.name:
        generation_files.switch(data, name)
    return name


def _batches(index: Index, kind: Kind, positions: NDArray[np.int64]) -> Iterator[EmbeddingBatch]:
    for begin in range(0, len(positions), CHUNK):
        yield index.batch(kind, positions[begin : begin + CHUNK])
