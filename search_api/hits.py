"""Ranked examinations as hits: one hit a case, its evidence in words, and whether it is the query's own person.

Ranking is left to fusion; what is shown of an examination to answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from indexer.case_store import CaseStore
from indexer.cases import Sentence, Series
from indexer.generations import Kind
from search_api.answers import Evidence, ExaminationSummary, Hit
from search_api.folding import Folding
from search_api.fusion import Channel, Found, Ranked
from search_api.retrieval import SeriesQuery, Shelves

# Two encodings of the same voxels differ by the rounding of stored vectors only.
IDENTICAL = 0.999


@dataclass(frozen=True, slots=True)
class Person:
    """The query's own person, as far as the store knows: their name, and the examinations that were asked with."""

    names: frozenset[str] = frozenset()
    own: frozenset[int] = frozenset()
    example: int | None = None

    def notices(self, store: CaseStore) -> tuple[str, ...]:
        if self.example is not None or not self.own:
            return ()
        stored = store.examinations(sorted(self.own))
        return tuple(f"The uploaded scan is already stored, as case {stored[item].key}." for item in sorted(stored))


def person_of_case(shelves: Shelves, examination: int) -> Person:
    names = shelves.store.participants([examination])
    return Person(frozenset(names.values()), frozenset({examination}), examination)


def person_of_scans(shelves: Shelves, series: Sequence[SeriesQuery]) -> Person:
    """Who was scanned, where a stored series is practically the same as an uploaded one."""
    own: set[int] = set()
    if shelves.index.counts.get(Kind.SERIES, 0):
        for item in series:
            nearest = shelves.index.search(
                Kind.SERIES, item.embedding[None, :], 1, sequence=shelves.sequence_for(item)
            )[0]
            own |= {neighbour.examination for neighbour in nearest if neighbour.score >= IDENTICAL}
    names = shelves.store.participants(sorted(own))
    return Person(frozenset(names.values()), frozenset(own & set(names)))


def hits_of(
    ranked: Sequence[Ranked],
    before: int,
    channels: Sequence[Channel],
    person: Person,
    shelves: Shelves,
    folding: Folding,
) -> tuple[Hit, ...]:
    """The hits of a page; `before` hits stand on the pages before it."""
    ids = [item.examination for item in ranked]
    examinations = shelves.store.examinations(ids)
    names = shelves.store.participants(ids)
    texts = _Texts.of(ranked, channels, shelves.store)
    copies = shelves.store.examinations([other for row in ids for other in folding.others(row)])
    return tuple(
        Hit(
            rank=place,
            score=item.score,
            key=examinations[item.examination].key,
            same_participant=names.get(item.examination) in person.names and item.examination not in person.own,
            examination=ExaminationSummary.of(examinations[item.examination]),
            evidence=texts.evidence(item, channels),
            copies=tuple(copies[row].key for row in folding.others(item.examination) if row in copies),
        )
        for place, item in enumerate(ranked, start=before + 1)
        if item.examination in examinations
    )


@dataclass(frozen=True, slots=True)
class _Texts:
    """The sentences and series that the evidence of a page names."""

    sentences: dict[int, Sentence]
    series: dict[int, Series]

    @classmethod
    def of(cls, ranked: Sequence[Ranked], channels: Sequence[Channel], store: CaseStore) -> _Texts:
        keys: dict[str, set[int]] = {}
        for item in ranked:
            for channel, found in zip(channels, item.found, strict=True):
                if found.key is not None:
                    keys.setdefault(channel.kind, set()).add(found.key)
        sentences = keys.get("sentence", set()) | keys.get("words", set())
        return cls(store.sentences(sorted(sentences)), store.series(sorted(keys.get("image", set()))))

    def evidence(self, item: Ranked, channels: Sequence[Channel]) -> tuple[Evidence, ...]:
        """What was found, what counts most first; the same sentence or series once."""
        found = sorted(zip(channels, item.found, strict=True), key=lambda pair: -pair[0].weight * pair[1].score)
        evidence = [self._evidence(channel, one) for channel, one in found if one.score > 0.0]
        return tuple({(e.kind, e.text, e.series): e for e in reversed(evidence)}.values())[::-1]

    def _evidence(self, channel: Channel, found: Found) -> Evidence:
        score = round(found.score, 4)
        if channel.kind == "image":
            series = self.series.get(found.key) if found.key is not None else None
            sequence = str(series.sequence) if series and series.sequence is not None else None
            return Evidence("image", score, sequence=sequence, series=series.number if series else None)
        sentence = found.sentence
        if sentence is None and found.key is not None and channel.kind != "report":
            sentence = self.sentences.get(found.key)
        return Evidence(
            channel.kind,
            score,
            text=sentence.text if sentence else None,
            assertion=str(sentence.assertion) if sentence else None,
            section=str(sentence.section) if sentence else None,
            words=found.words or None,
        )
