"""Okapi BM25, the lexical baseline of every retrieval figure."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"[a-z0-9]+")


def bm25_scores(queries: Sequence[str], texts: Sequence[str], k1: float = 1.2, b: float = 0.75) -> NDArray[np.float64]:
    """Okapi BM25 (Robertson and Zaragoza 2009) of queries (Q) against texts (N)."""
    from scipy.sparse import csr_matrix

    documents = [_WORD.findall(text.lower()) for text in texts]
    column = {word: number for number, word in enumerate(sorted({w for words in documents for w in words}))}
    rows = [row for row, words in enumerate(documents) for _ in words]
    columns = [column[word] for words in documents for word in words]
    counts = csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(texts), max(1, len(column))))
    lengths = np.asarray(counts.sum(axis=1)).ravel()
    holding = np.asarray((counts > 0).sum(axis=0)).ravel()
    rarity = np.log(1 + (len(texts) - holding + 0.5) / (holding + 0.5))
    weights = counts.tocoo()
    norm = k1 * (1 - b + b * lengths[weights.row] / max(1e-9, lengths.mean()))
    weights.data = weights.data * (k1 + 1) / (weights.data + norm) * rarity[weights.col]
    asked = np.zeros((max(1, len(column)), len(queries)))
    for number, query in enumerate(queries):
        for word in _WORD.findall(query.lower()):
            if word in column:
                asked[column[word], number] += 1
    return np.asarray(weights.tocsr() @ asked, dtype=np.float64).T
