"""The search engine: words, a scan, both, or an example, against the newest generation, read-only and in process.

It opens the case store and the index, holds them together with the encoder, and swaps to a newer generation on
`reload`. What the words mean is left to query, the gathering of evidence to retrieval, its weighing to fusion.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from encoders.bundle import Encoder
from encoders.volume import Volume
from indexer.cases import CaseFilter
from search_api.answers import Answer, Case, ReportCheck, ScoreReport, Worklist


class EncoderMismatch(ValueError):
    """The generation was made by another encoder than the one that is loaded."""


class SearchEngine:
    """Safe to use from several threads; `close` it, or use it as a context manager."""

    @classmethod
    def open(cls, data: Path | str, encoder: Encoder | None = None) -> Self:
        """Open a data directory; `encoder` None loads the shipped bundle.

        Raises
        ------
        IndexMissing
            no generation yet: `neurorecall rebuild` makes one
        EncoderMismatch
            the generation holds vectors of another encoder
        """
        raise NotImplementedError

    @property
    def generation(self) -> str:
        raise NotImplementedError

    @property
    def encoder(self) -> Encoder:
        raise NotImplementedError

    @property
    def notices(self) -> tuple[str, ...]:
        """What the operator should know: an older generation is served, a participant was ..."""
        raise NotImplementedError

    def search(
        self,
        text: str | None = None,
        scans: Sequence[Volume] = (),
        like: str | None = None,
        k: int = 10,
        filters: CaseFilter | None = None,
        weight: float = 0.5,
        page: int = 1,
        expand: bool = True,
    ) -> Answer:
        """Retrieve cases: QueryError (.code, .hint) for what cannot be asked, CaseMissing for an unknown `like`."""
        raise NotImplementedError

    def score(self, volumes: Sequence[Volume]) -> ScoreReport:
        raise NotImplementedError

    def triage(self, operating_point: str | None = None, k: int | None = None) -> Worklist:
        raise NotImplementedError

    def check_report(self, volumes: Sequence[Volume], report: str) -> ReportCheck:
        raise NotImplementedError

    def case(self, key: str) -> Case:
        """The examination with its report; raises CaseMissing."""
        raise NotImplementedError

    def facets(self, filters: CaseFilter | None = None) -> dict[str, dict[str, int]]:
        """Exact counts by field of the examinations that pass the filters."""
        raise NotImplementedError

    def reload(self) -> bool:
        """Swap to a newer generation if there is one; True if it was swapped. Cheap when there is none."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
