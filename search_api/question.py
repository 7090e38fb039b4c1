"""What is asked of the search engine, and whether it can be asked at all."""

from __future__ import annotations

from dataclasses import dataclass

from encoders.volume import Volume
from indexer.cases import CaseFilter
from search_api.query import QueryError
from search_api.retrieval import WEIGHTS

MOST_HITS_A_PAGE = 200
# Ranked so deep and no deeper: past this, filters are the way to the rest.
DEEPEST_HIT = 2_000


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, checked: a text, scans or an example, and how much of the answer to show."""

    text: str | None
    scans: tuple[Volume, ...]
    like: str | None
    k: int
    page: int
    weight: float
    expand: bool
    filters: CaseFilter
    evidence: frozenset[str] | None
    assertions: bool
    insist: bool

    def check(self) -> None:
        """Raise QueryError for what cannot be asked; see SearchEngine.search."""
        if self.text is None and not self.scans and self.like is None:
            raise QueryError("empty_query", "The query is empty", "Give a text, a scan or the key of a case.")
        if not isinstance(self.k, int) or not 1 <= self.k <= MOST_HITS_A_PAGE:
            raise QueryError(
                "bad_k", f"Expected 1 to {MOST_HITS_A_PAGE} hits a page, got {self.k}", "Choose a smaller or larger k."
            )
        if not isinstance(self.page, int) or self.page < 1 or self.page * self.k > max(DEEPEST_HIT, self.k):
            raise QueryError(
                "bad_page",
                f"Expected a page within the first {DEEPEST_HIT} hits, got page {self.page} of {self.k} hits each",
                "Narrow the search with filters.",
            )
        if self.evidence is not None and not frozenset() < self.evidence <= set(WEIGHTS):
            raise QueryError(
                "bad_evidence",
                f"Expected some of {', '.join(WEIGHTS)} as evidence, got none of them",
                "Leave it out for all.",
            )
        if not 0.0 <= self.weight <= 1.0:
            raise QueryError("bad_weight", f"Expected a weight of 0 to 1, got {self.weight}", "0 is text, 1 is scan.")
