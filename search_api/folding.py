"""One examination that is stored more than once is one hit: the best-ranked stands for the others.

Which are the same is the case store's to say; how they are ranked is left to fusion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from indexer.case_store import CaseStore
from search_api.fusion import Ranked


@dataclass(frozen=True, slots=True)
class Folding:
    """For each examination that is stored more than once the row ids of all its copies."""

    copies: dict[int, tuple[int, ...]]

    @classmethod
    def of(cls, store: CaseStore) -> Self:
        return cls({row: group for group in store.same_examinations() for row in group})

    def fold(self, ranked: Sequence[Ranked]) -> tuple[Ranked, ...]:
        """The ranking without the copies of what stands above them."""
        seen: set[int] = set()
        kept = []
        for item in ranked:
            if item.examination not in seen:
                kept.append(item)
                seen.update(self.copies.get(item.examination, ()))
        return tuple(kept)

    def surplus(self, passing: NDArray[np.int64]) -> int:
        """How many of the sorted row ids are copies of another of them."""
        if not self.copies:
            return 0
        there = set(np.intersect1d(passing, np.fromiter(self.copies, dtype=np.int64)).tolist())
        return len(there) - len({self.copies[row] for row in there})

    def others(self, examination: int) -> tuple[int, ...]:
        return tuple(row for row in self.copies.get(examination, ()) if row != examination)
