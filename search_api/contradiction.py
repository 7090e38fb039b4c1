"""Which reports say the opposite of what a query asks: they are no answers to it, however near their words are.

"Hydrocephalus" is not answered by a report that denies it and nowhere states it, nor "no midline shift" by one that
states it; "left frontal meningioma" is not answered by "no meningioma". A query of several findings keeps what is half
an answer, but not what states a finding that shall be absent.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from indexer.case_store import CaseStore
from search_api.asks import Asks
from search_api.query import Concept, Query

_DENIED = frozenset({"absent"})
_NOT_DENIED = frozenset({"present", "uncertain", "historical"})
_STATED = frozenset({"present"})


def contradicting(store: CaseStore, query: Query) -> NDArray[np.int64]:
    """Sorted row ids of the examinations whose report says the opposite of what is asked for."""
    alone = len(query.concepts) == 1
    found = [_against(store, one) for one in query.concepts if alone or one.asks is Asks.ABSENT]
    return np.unique(np.concatenate(found)) if found else np.empty(0, dtype=np.int64)


def _against(store: CaseStore, concept: Concept) -> NDArray[np.int64]:
    against = {Asks.PRESENT: (_DENIED, _NOT_DENIED), Asks.ABSENT: (_STATED, _DENIED)}.get(concept.asks)
    if against is None:
        return np.empty(0, dtype=np.int64)
    denying = stating = [group.forms for group in concept.groups]
    named = [group for group in concept.groups if group.denied_by]
    if concept.asks is Asks.PRESENT and named:
        # Who denies a finding denies it on every side and of every size; who denies one kind of it does not.
        denying = [group.denied_by for group in named]
        stating = [(*group.denied_by, *group.forms) for group in named]
    opposite = store.examinations_saying(_joined(denying), against[0])
    if concept.asks is Asks.PRESENT:
        for group in concept.groups:
            if group.normal:
                normal = store.examinations_saying(_joined([group.normal]), _STATED | _DENIED)
                opposite = np.union1d(opposite, normal)
    if not len(opposite):
        return opposite
    return np.setdiff1d(opposite, store.examinations_saying(_joined(stating), against[1]))


def _joined(groups: Sequence[tuple[tuple[str, ...], ...]]) -> list[tuple[str, ...]]:
    return [tuple(dict.fromkeys(" ".join(form) for form in forms)) for forms in groups]
