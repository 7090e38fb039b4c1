"""The case store: SQLite as the truth about examinations, series, reports, sentences and their embeddings.

Signatures first; see the docstrings for what each answers.
"""

from __future__ import annotations

from collections.abc import Collection as Container
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from indexer.cases import (
    CaseFilter,
    Collection,
    Counts,
    Draft,
    Examination,
    Refused,
    Sentence,
    Series,
    WordMatch,
)

Change = Literal["added", "changed", "unchanged"]


class CaseStore:
    """Safe to use from several threads. `read_only` opens a connection a thread that cannot write."""

    @classmethod
    def open(cls, data: Path | str, *, read_only: bool = False) -> Self:
        """Raises StoreError (indexer.schema) when there is none (read_only), or it is of a newer schema or damaged."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def put(self, draft: Draft) -> Change:
        raise NotImplementedError

    def remove(self, key: str) -> None:
        raise NotImplementedError

    def examination(self, key: str) -> Examination:
        """Raises CaseMissing."""
        raise NotImplementedError

    def examinations(self, ids: Iterable[int]) -> dict[int, Examination]:
        """Those that are there; an id that was removed meanwhile is left out."""
        raise NotImplementedError

    def id_of(self, key: str) -> int:
        """Raises CaseMissing."""
        raise NotImplementedError

    def participants(self, ids: Iterable[int]) -> dict[int, str]:
        """Source + participant, so that the same person is the same text in all of their examinations."""
        raise NotImplementedError

    def sentence(self, sentence_id: int) -> Sentence:
        """Raises CaseMissing."""
        raise NotImplementedError

    def sentences(self, ids: Iterable[int]) -> dict[int, Sentence]:
        """Sentences by row id (Neighbour.key of Kind.SENTENCE); those gone are left out."""
        raise NotImplementedError

    def series(self, ids: Iterable[int]) -> dict[int, Series]:
        """Series by row id (Neighbour.key of Kind.SERIES); those gone are left out."""
        raise NotImplementedError

    def series_file(self, key: str, number: int) -> Path:
        """Where the voxels are, for slices and viewers; never shown. Raises CaseMissing."""
        raise NotImplementedError

    def thumbnail(self, key: str, number: int) -> bytes | None:
        """PNG; None before the first rebuild. Raises CaseMissing."""
        raise NotImplementedError

    def matching(self, case_filter: CaseFilter) -> NDArray[np.int64]:
        """Sorted row ids of the examinations that pass."""
        raise NotImplementedError

    def facets(self, ids: NDArray[np.int64] | None = None) -> dict[str, dict[str, int]]:
        """Exact counts under sequence, sex, age (decades "40-49"), year, source, finding, diagnosis and reported."""
        raise NotImplementedError

    def search_words(
        self,
        words: Sequence[str],
        limit: int,
        ids: NDArray[np.int64] | None = None,
        assertions: Container[str] | None = None,
    ) -> tuple[WordMatch, ...]:
        """Sentences, then whole reports (sentence_id None), each best first and at most `limit`; never raises on text.

        A word of several tokens is a phrase. Any of the words will do; more of them score higher. With `assertions`
        only sentences of these count, in the whole reports too.
        """
        raise NotImplementedError

    def refused(self) -> tuple[Refused, ...]:
        raise NotImplementedError

    def counts(self) -> Counts:
        raise NotImplementedError

    def collections(self) -> tuple[Collection, ...]:
        raise NotImplementedError

    def collection(self, name: str) -> Collection:
        """Raises CaseMissing."""
        raise NotImplementedError

    def create_collection(self, title: str) -> Collection:
        raise NotImplementedError

    def rename_collection(self, name: str, title: str) -> Collection:
        raise NotImplementedError

    def delete_collection(self, name: str) -> None:
        raise NotImplementedError

    def add_to_collection(self, name: str, key: str, note: str = "") -> Collection:
        """Add an examination, or give it another note."""
        raise NotImplementedError

    def remove_from_collection(self, name: str, key: str) -> Collection:
        raise NotImplementedError

    def reorder_collection(self, name: str, keys: Sequence[str]) -> Collection:
        raise NotImplementedError

    def scores(self, ids: Iterable[int]) -> Mapping[int, Mapping[str, float]]:
        """Findings' scores of the scans (made by rebuild), by examination id."""
        raise NotImplementedError
