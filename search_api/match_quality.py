"""When an answer may be called a good match, by a rule that is measured on the generation itself.

A text matches well if a report sentence holds more than half of a concept's words, or if a sentence (without reports: a
series) lies clearly nearer to it than any does to texts that have nothing to do with brain imaging. A scan matches well
if its nearest case is as near as stored cases are to each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from encoders.bundle import Encoder
from indexer.cases import CaseFilter
from indexer.generations import Kind
from search_api.fusion import Channel, Ranked
from search_api.retrieval import Shelves

OFF_DOMAIN = (
    "banana bread recipe", "train timetable", "football results", "car insurance", "violin concerto",
    "qwerty", "zxcv", "blue shoes", "fractured wrist", "dental crown", "pregnancy ultrasound", "shoulder dislocation",
    "chest infection", "coffee machine", "tax return", "holiday in Spain", "the stock market", "dog food",
)  # fmt: skip
# Above the nearest that any of them came, in cosine.
_MARGIN = 0.05
_WORDS_ENOUGH = 0.5
# How many stored examinations are compared with the others, and the share of them that count as alike.
_SAMPLE, _ALIKE = 24, 10


@dataclass(frozen=True, slots=True)
class MatchQuality:
    """Scores from which on the evidence of each kind makes a good match, 0-1."""

    sentence: float
    text_image: float
    scan: float

    @classmethod
    def measure(cls, shelves: Shelves, encoder: Encoder) -> Self:
        """Measure on a generation; costs the encoding of twenty short texts and a few searches."""
        texts = encoder.encode_texts(OFF_DOMAIN)
        return cls(
            sentence=min(_nearest(shelves, Kind.SENTENCE, texts) + _MARGIN, 0.95),
            text_image=min(_nearest(shelves, Kind.SERIES, texts) + _MARGIN, 0.95),
            scan=_alike(shelves),
        )

    def good(self, channels: Sequence[Channel], ranked: Sequence[Ranked], *, of_text: bool) -> bool:
        """Whether one of the first ten cases is a good match."""
        return any(self._good(channels, item, of_text) for item in ranked[:10])

    def _good(self, channels: Sequence[Channel], item: Ranked, of_text: bool) -> bool:
        if not of_text:
            return item.score >= self.scan
        reported = any(channel.kind == "sentence" for channel in channels)
        for channel, found in zip(channels, item.found, strict=True):
            if channel.kind == "words" and found.score > _WORDS_ENOUGH:
                return True
            if channel.kind == "sentence" and found.score >= self.sentence:
                return True
            if channel.kind == "image" and not reported and found.score >= self.text_image:
                return True
        return False


def _nearest(shelves: Shelves, kind: Kind, texts: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> float:
    if shelves.index.counts.get(kind, 0) == 0:
        return 1.0
    return max((found[0].score for found in shelves.index.search(kind, texts, 1) if found), default=1.0)


def _alike(shelves: Shelves) -> float:
    """The cosine to the nearest other examination that nine of ten sampled ones reach."""
    ids = shelves.store.matching(CaseFilter())
    scores: list[float] = []
    for examination in ids[:: max(1, len(ids) // _SAMPLE)].tolist():
        _, embeddings = shelves.index.vectors(Kind.SERIES, examination)
        if len(embeddings):
            # An examination's own series may be its nearest: enough neighbours to see past them.
            found = shelves.index.search(Kind.SERIES, embeddings[:1], 32)[0]
            scores += [near.score for near in found if near.examination != examination][:1]
    return float(np.percentile(scores, _ALIKE)) if scores else 0.0
