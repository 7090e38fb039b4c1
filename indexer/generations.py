"""Generations of the vector index: immutable, hashed folders, one of which is current."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from encoders.sequences import MRSequence


class Kind(StrEnum):
    """What a vector stands for."""

    SERIES = "series"
    REPORT = "report"
    SENTENCE = "sentence"


class IndexMissing(ValueError):
    """No generation that can be served; says how to build one."""


class VectorError(ValueError):
    """Query vectors of the wrong shape, or not finite."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A stored vector near a query: `key` is the row id of its series, report or sentence, `examination` its case's."""

    key: int
    examination: int
    score: float


class Index:
    """One generation, open for search. Immutable: `open` again for a newer one."""

    name: str
    encoder_id: str
    dim: int
    created: str
    counts: Mapping[Kind, int]
    notes: tuple[str, ...]

    @classmethod
    def open(cls, data: Path | str) -> Self:
        """The current generation, else the newest valid one (said in `notes`). Raises IndexMissing."""
        raise NotImplementedError

    @staticmethod
    def current_name(data: Path | str) -> str | None:
        """What CURRENT says, cheaply: for noticing a newer generation."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

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
        """The k nearest of each query (N, D), best first, exact. Fewer where fewer pass. Raises VectorError."""
        raise NotImplementedError

    def vectors(self, kind: Kind, examination: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Row ids (M,) and vectors (M, D) of one examination, by its row id."""
        raise NotImplementedError

    def check(self) -> tuple[str, ...]:
        """Problems found: hashes, counts, keys. Empty when all is well."""
        raise NotImplementedError
