"""Reported cases that lie near to a scan and have a finding, or have it not: what a suggestion or a flag can point at.

What a case has is what its report states; how near it lies is the cosine of its series and the scan's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer.cases import CaseFilter
from search_api.answers import Hit
from search_api.folding import Folding
from search_api.fusion import Channel, normalised, rank
from search_api.hits import Person, hits_of, person_of_scans
from search_api.retrieval import SeriesQuery, Shelves, scan_channels

SIMILAR = 3
LEAST_SIMILAR = 0.1  # score below which a case is like the scan in nothing
_OWN = 50  # examinations of the scan's own person that may stand before the others'


@dataclass(frozen=True, slots=True)
class Precedents:
    """Looks up cases for the series of one examination; those of its own person are not shown."""

    shelves: Shelves
    folding: Folding
    person: Person
    channels: tuple[Channel, ...]

    @classmethod
    def of(
        cls, shelves: Shelves, folding: Folding, series: Sequence[SeriesQuery], person: Person | None = None
    ) -> Precedents:
        """For series of an upload, or of a stored case whose `person` is known."""
        known = person_of_scans(shelves, series) if person is None else person
        return cls(shelves, folding, known, normalised(scan_channels(shelves, series)))

    def having(self, finding: str, count: int = SIMILAR) -> tuple[Hit, ...]:
        """The nearest reported cases whose report states the finding."""
        return self._nearest(self._stating(finding), count)

    def lacking(self, finding: str, count: int = SIMILAR) -> tuple[Hit, ...]:
        """The nearest reported cases whose report does not state it."""
        reported = self.shelves.store.matching(CaseFilter(reported=True))
        return self._nearest(np.setdiff1d(reported, self._stating(finding)), count)

    def _stating(self, finding: str) -> NDArray[np.int64]:
        return self.shelves.store.matching(CaseFilter(finding=finding, reported=True))

    def _nearest(self, examinations: NDArray[np.int64], count: int) -> tuple[Hit, ...]:
        others = np.setdiff1d(examinations, sorted(self.person.own))
        if not len(others):
            return ()
        need = min(count + _OWN + self.folding.surplus(others), len(others))
        ranked = self.folding.fold(rank(self.channels, need, others).ranked)
        hits = hits_of(ranked, 0, self.channels, self.person, self.shelves, self.folding)
        return tuple(hit for hit in hits if not hit.same_participant and hit.score >= LEAST_SIMILAR)[:count]
