"""Stores of vectors: what every one can do, and FAISS as the one on this machine.

FAISS keeps the vectors as float16, which they were stored as, and searches all of them: exact. Of 1,000,000 x 384 on
one thread it took 64 ms a query and 0.77 GB, where float32 (IndexFlatIP) took 127 ms and 1.54 GB for the same answer.
Which vectors a position stands for is left to `generations`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from indexer.durable import new_file

if TYPE_CHECKING:
    import faiss


class VectorError(ValueError):
    """Vectors of the wrong shape, or not finite."""


class VectorStore(Protocol):
    """Exact or approximate neighbours by inner product, by position."""

    @property
    def dim(self) -> int: ...
    @property
    def count(self) -> int: ...
    def search(
        self, queries: NDArray[np.float32], k: int, allowed: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]: ...
    def reconstruct(self, positions: NDArray[np.int64]) -> NDArray[np.float32]: ...


class FaissStore:
    """Vectors of one file, mapped into memory; the file must never be written again while it is open."""

    def __init__(self, index: faiss.IndexScalarQuantizer) -> None:
        self._index = index

    @classmethod
    def open(cls, path: Path) -> Self:
        """Map a file that `write_faiss` wrote. Its bytes must have been checked before: FAISS checks nothing."""
        import faiss

        # One thread a query: several queries at once share the machine better than one query on all cores.
        faiss.omp_set_num_threads(1)
        try:
            index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:
            raise VectorError(f"Expected a FAISS index in {path.name}, found a file that FAISS cannot read.") from error
        if not isinstance(index, faiss.IndexScalarQuantizer):
            raise VectorError(f"Expected float16 vectors in {path.name}, found {type(index).__name__}.")
        return cls(index)

    @property
    def dim(self) -> int:
        return int(self._index.d)

    @property
    def count(self) -> int:
        return int(self._index.ntotal)

    def search(
        self, queries: NDArray[np.float32], k: int, allowed: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The nearest of each query, best first.

        Parameters
        ----------
        queries : (N, D)
        k : how many at most
        allowed : (count,) mask over positions; None allows all

        Returns
        -------
        scores (N, k') and positions (N, k'), where k' is k or as many as are allowed
        """
        import faiss

        queries = check_queries(queries, self.dim)
        if allowed is not None and allowed.shape != (self.count,):
            raise VectorError(f"Expected a mask of shape ({self.count},), got {allowed.shape}.")
        if k < 1:
            raise VectorError(f"Expected to be asked for 1 neighbour or more, got {k}.")
        most = min(k, self.count if allowed is None else int(np.count_nonzero(allowed)))
        if not most or not len(queries):
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        parameters = None
        if allowed is not None:
            bits = np.packbits(allowed, bitorder="little")
            # FAISS's type hints do not know what its Python wrappers accept.
            selector = faiss.IDSelectorBitmap(bits)  # type: ignore[call-arg, arg-type]
            parameters = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
        scores, positions = self._index.search(queries, most, params=parameters)
        return scores, positions

    def reconstruct(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors (M, D) at positions (M,)."""
        if not len(positions):
            return np.empty((0, self.dim), np.float32)
        vectors: NDArray[np.float32] = self._index.reconstruct_batch(np.ascontiguousarray(positions, np.int64))
        return vectors


def check_queries(queries: NDArray[np.float32], dim: int) -> NDArray[np.float32]:
    """Queries as C-contiguous float32 (N, D), or VectorError where they are not that or not finite."""
    if queries.ndim != 2 or queries.shape[1] != dim:
        raise VectorError(f"Expected queries of shape (N, {dim}), got {queries.shape}.")
    if not np.isfinite(queries).all():
        raise VectorError("Expected finite queries, got some with NaN or infinity.")
    return np.ascontiguousarray(queries, dtype=np.float32)


def write_faiss(path: Path, dim: int, count: int, batches: Iterable[NDArray[np.float16]]) -> None:
    """Write vectors (M, D) in batches, `count` in all, as a FAISS file; holds them once in memory."""
    import faiss

    index: Any = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    width = dim * 2  # bytes of one vector
    # Filled in place: FAISS's own `add` doubles its memory as it grows.
    index.codes.resize(count * width)
    codes = faiss.rev_swig_ptr(index.codes.data(), count * width) if count else np.empty(0, np.uint8)
    filled = 0
    for batch in batches:
        if batch.shape[1] != dim or filled + len(batch) > count:
            raise VectorError(f"Expected {count} vectors of {dim} values, got a batch of shape {batch.shape}.")
        codes[filled * width : (filled + len(batch)) * width] = (
            np.ascontiguousarray(batch, "<f2").view(np.uint8).ravel()
        )
        filled += len(batch)
    if filled != count:
        raise VectorError(f"Expected {count} vectors, got {filled}.")
    index.ntotal = count
    # FAISS's own file writer only prints what fails when the file is closed, as on a full disk.
    with new_file(path) as file:
        faiss.write_index(index, faiss.PyCallbackIOWriter(file.write))  # type: ignore[attr-defined]
