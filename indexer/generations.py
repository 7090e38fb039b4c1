"""The index: one generation of vectors, open for search, with what each vector stands for.

Opening checks every byte by its hash and falls back to an older generation where the newest is broken, and says so.
Making, switching and keeping generations is left to `generation_files`, the search itself to `vector_store`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from encoders.sequences import MRSequence
from indexer import generation_files
from indexer.embedding_store import ASSERTIONS, SEQUENCES, EmbeddingBatch, Kind
from indexer.generation_manifest import ARRAYS, GenerationError, Manifest
from indexer.vector_store import FaissStore, VectorError, VectorStore, check_queries

__all__ = ["GenerationError", "Index", "IndexMissing", "Kind", "Neighbour", "VectorError"]

SELF_TESTED = 16  # vectors of each kind that must find themselves
SELF_TOLERANCE = 1e-3  # float16 keeps a cosine to that


class IndexMissing(ValueError):
    """No generation that can be served."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = "index_missing"
        self.hint = "Run `neurorecall rebuild`."


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A stored vector near a query: `key` is the row id of its series, report or sentence, `examination` its case's."""

    key: int
    examination: int
    score: float


@dataclass(frozen=True, slots=True)
class _Shelf:
    """The vectors of one kind: position -> row id, examination's row id, code of sequence or assertion."""

    store: VectorStore
    keys: NDArray[np.int64]
    examinations: NDArray[np.int64]
    codes: NDArray[np.int8]


class Index:
    """One generation, open for search from any thread. Immutable: `open` again for a newer one."""

    def __init__(self, folder: Path, manifest: Manifest, notes: tuple[str, ...] = ()) -> None:
        self.name = manifest.name
        self.encoder_id = manifest.encoder_id
        self.preprocessing = manifest.preprocessing
        self.dim = manifest.dim
        self.created = manifest.created
        self.content = manifest.content
        self.replaces = manifest.replaces
        self.counts: Mapping[Kind, int] = {kind: manifest.counts[kind] for kind in Kind}
        self.notes = notes
        self._folder = folder
        self._shelves = {kind: _shelf(folder, kind, manifest) for kind in Kind}

    @classmethod
    def open(cls, data: Path | str) -> Self:
        """The current generation; where that is broken or gone, the newest one that is whole (said in `notes`).

        Raises
        ------
        IndexMissing
            when there is none
        """
        data = Path(data)
        current = generation_files.current_name(data)
        while True:
            names = generation_files.names(data)
            # Without a CURRENT nothing was ever switched to, unless CURRENT itself was lost.
            candidates = ([current] if current else []) + [name for name in names if name != current]
            problems: list[str] = []
            for name in candidates:
                try:
                    return cls(*_whole(data, name), notes=_notes(name, problems))
                except GenerationError as error:
                    problems.append(f"Generation {name} is not served: {error}")
                    # A writer may have switched and deleted this one while it was read.
                    if generation_files.current_name(data) != current:
                        break
            if (newer := generation_files.current_name(data)) == current:
                raise IndexMissing(" ".join(["There is no index that can be served.", *problems]))
            current = newer

    @staticmethod
    def open_generation(data: Path | str, name: str) -> Index:
        """One generation by its name. Raises GenerationError."""
        return Index(*_whole(Path(data), name))

    @staticmethod
    def current_name(data: Path | str) -> str | None:
        """What CURRENT says, cheaply: for noticing a newer generation."""
        return generation_files.current_name(Path(data))

    def close(self) -> None:
        """Let go of the files."""
        self._shelves = {}

    def search(
        self,
        kind: Kind,
        queries: NDArray[np.float32],
        k: int,
        *,
        examinations: NDArray[np.int64] | None = None,
        sequence: MRSequence | None = None,
        assertions: Collection[str] | None = None,
    ) -> tuple[tuple[Neighbour, ...], ...]:
        """The k nearest of each query, best first, exact; fewer where fewer pass.

        Parameters
        ----------
        queries : (N, D), finite
        k : 1 or more; more than there are gives all
        examinations : row ids that may be answered; None allows all
        sequence : for series
        assertions : for sentences

        Raises
        ------
        VectorError
            for queries of another shape, not finite, or k below 1
        """
        shelf = self._shelves[kind]
        check_queries(queries, self.dim)
        allowed = _allowed(shelf, examinations, _codes(kind, sequence, assertions))
        scores, positions = shelf.store.search(queries, k, allowed)
        # Unit vectors kept as float16 are up to 0.0005 too long; a cosine is 1 at most.
        scores = np.minimum(scores, np.float32(1.0))
        keys, cases = shelf.keys[positions], shelf.examinations[positions]
        return tuple(
            tuple(map(Neighbour, some_keys, some_cases, some_scores))
            for some_keys, some_cases, some_scores in zip(keys.tolist(), cases.tolist(), scores.tolist(), strict=True)
        )

    def vectors(self, kind: Kind, examination: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Row ids (M,) and vectors (M, D) of one examination, by its row id."""
        shelf = self._shelves[kind]
        positions = np.flatnonzero(shelf.examinations == examination)
        return np.asarray(shelf.keys[positions]), shelf.store.reconstruct(positions)

    def keys(self, kind: Kind) -> NDArray[np.int64]:
        """Row ids of all vectors of a kind, rising."""
        return np.asarray(self._shelves[kind].keys)

    def owners(self, kind: Kind) -> NDArray[np.int64]:
        """Row ids of the examinations that the vectors of a kind belong to, in the order of `keys`."""
        return np.asarray(self._shelves[kind].examinations)

    def batch(self, kind: Kind, positions: NDArray[np.int64]) -> EmbeddingBatch:
        """What is stored at positions (M,), for writing another generation."""
        shelf = self._shelves[kind]
        vectors = shelf.store.reconstruct(positions).astype(np.float16)
        return EmbeddingBatch(
            np.asarray(shelf.keys[positions]),
            np.asarray(shelf.examinations[positions]),
            np.asarray(shelf.codes[positions]),
            vectors,
        )

    def check(self) -> tuple[str, ...]:
        """Problems found: files that changed, counts that differ, row ids that come twice. Empty when all is well."""
        problems = []
        try:
            generation_files.read_manifest(self._folder)
        except GenerationError as error:
            problems.append(f"{self.name}: {error}")
        for kind, shelf in self._shelves.items():
            if len(np.unique(shelf.keys)) != len(shelf.keys):
                problems.append(f"{self.name}: Expected each {kind} once, found some twice.")
        return tuple(problems)

    def self_test(self) -> None:
        """Check that stored vectors find themselves. Raises GenerationError."""
        for kind, shelf in self._shelves.items():
            count = shelf.store.count
            positions = (
                np.unique(np.linspace(0, count - 1, SELF_TESTED).astype(np.int64)) if count else np.empty(0, int)
            )
            vectors = shelf.store.reconstruct(positions)
            if not np.isfinite(vectors).all():
                raise GenerationError(f"Expected finite vectors of every {kind}, found others.")
            scores, _ = shelf.store.search(vectors, 1)
            own = (vectors * vectors).sum(axis=1)
            if len(positions) and (
                np.abs(scores[:, 0] - own).max() > SELF_TOLERANCE or np.abs(own - 1.0).max() > 10 * SELF_TOLERANCE
            ):
                raise GenerationError(f"Expected the vector of every {kind} to find itself first, found others.")


def write_index(data: Path, contents: generation_files.Contents) -> str:
    """Write a new generation and check that it can be served; its name. It serves nobody before `switch`.

    Raises
    ------
    GenerationError
        when it does not pass its check: then it is set aside
    """
    name = generation_files.write_generation(data, contents)
    try:
        Index.open_generation(data, name).self_test()
    except GenerationError:
        generation_files.set_aside(data, name)
        raise
    return name


def _whole(data: Path, name: str) -> tuple[Path, Manifest]:
    folder = data / generation_files.FOLDER / name
    if not folder.is_dir():
        raise GenerationError(f"Expected generation {name}, found none.")
    return folder, generation_files.read_manifest(folder)


def _notes(name: str, problems: list[str]) -> tuple[str, ...]:
    return (*problems, f"Generation {name} is served instead; `neurorecall rebuild` mends it.") if problems else ()


def _shelf(folder: Path, kind: Kind, manifest: Manifest) -> _Shelf:
    try:
        store = FaissStore.open(folder / f"{kind}.faiss")
        arrays = [np.load(folder / f"{kind}.{name}.npy", mmap_mode="r", allow_pickle=False) for name in ARRAYS]
    except (OSError, ValueError) as error:
        raise GenerationError(f"Expected the vectors of every {kind}, found: {error}") from error
    found = {store.count, *(len(array) for array in arrays)}
    if found != {manifest.counts[kind]} or store.dim != manifest.dim:
        raise GenerationError(
            f"Expected {manifest.counts[kind]} vectors of {manifest.dim} values for {kind}, found {sorted(found)} of"
            f" {store.dim}."
        )
    keys, examinations, codes = (np.asarray(array) for array in arrays)
    return _Shelf(store, keys, examinations, codes)


def _codes(kind: Kind, sequence: MRSequence | None, assertions: Collection[str] | None) -> frozenset[int] | None:
    if kind is Kind.SERIES and sequence is not None:
        return frozenset({SEQUENCES.index(sequence)})
    if kind is Kind.SENTENCE and assertions is not None:
        return frozenset(code for code, name in enumerate(ASSERTIONS) if name in assertions)
    return None


def _allowed(
    shelf: _Shelf, examinations: NDArray[np.int64] | None, codes: frozenset[int] | None
) -> NDArray[np.bool_] | None:
    allowed: NDArray[np.bool_] | None = None
    if codes is not None:
        allowed = np.isin(shelf.codes, sorted(codes))
    if examinations is not None:
        # A table by row id is ten times faster than sorting a million ids for `isin`.
        highest = int(shelf.examinations.max(initial=0))
        passing = np.zeros(highest + 1, bool)
        ids = np.asarray(examinations, np.int64)
        passing[ids[(ids >= 0) & (ids <= highest)]] = True
        among = passing[shelf.examinations]
        allowed = among if allowed is None else allowed & among
    return allowed
