"""Which reports say the opposite of what a query asks: they are no answers to it, however near their words are.

"Hydrocephalus" is not answered by a report that denies it and nowhere states it, nor "no midline shift" by one that
states it. A query of several findings keeps them: each may be half an answer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from indexer.case_store import CaseStore
from search_api.asks import Asks
from search_api.query import Query

_DENIED = frozenset({"absent"})
_NOT_DENIED = frozenset({"present", "uncertain", "historical"})
_STATED = frozenset({"present"})


def contradicting(store: CaseStore, query: Query) -> NDArray[np.int64]:
    """Sorted row ids of the examinations whose report says the opposite of the one finding that is asked for."""
    none = np.empty(0, dtype=np.int64)
    if len(query.concepts) != 1:
        return none
    concept = query.concepts[0]
    against = {Asks.PRESENT: (_DENIED, _NOT_DENIED), Asks.ABSENT: (_STATED, _DENIED)}.get(concept.asks)
    if against is None:
        return none
    groups = [tuple(" ".join(form) for form in group.forms) for group in concept.groups]
    opposite = store.examinations_saying(groups, against[0])
    return np.setdiff1d(opposite, store.examinations_saying(groups, against[1])) if len(opposite) else none
