"""Evidence for a question: the channels in which a text, an uploaded scan or a stored example is looked up.

What a score means, always 0-1 and higher is nearer:
- sentence, report: cosine of the query's text and the nearest report sentence of the asked assertion, or the report;
- words: the share of the query's words that stand in one sentence of the asked assertion, or (times 0.9) in the report;
- image: of an uploaded series and a stored one of its MR sequence, their cosine; of a text and a stored series,
  (1 + cosine) / 2, since a text and a scan never lie close, and scans must be ranked on the far side too.
A negative cosine is 0. For a text the weights below say how much each counts; for several findings or uploaded series
each counts the same. How they become one ranking is left to fusion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoders.bundle import Encoder
from encoders.sequences import MRSequence
from indexer.case_store import CaseStore
from indexer.case_words import tokens_of
from indexer.cases import Assertion, Examination
from indexer.generations import Index, Kind
from search_api.asks import Asks
from search_api.fusion import DECIMALS, Channel, Evident, Found, Listing, LookUp, lister
from search_api.query import Concept, Query
from search_api.vocabulary import ReportWords

WEIGHTS: dict[Evident, float] = {"sentence": 0.40, "words": 0.35, "report": 0.10, "image": 0.15}
# Without any report there are no words either: the scans alone answer.
WEIGHTS_WITHOUT_REPORTS: dict[Evident, float] = {"image": 1.0}
# Of an example's own evidence: its series against its report.
_EXAMPLE_REPORT = 0.3
_WHOLE_REPORT = 0.9
_WRONG_SIDE = 0.5
_ABSENCE_COUNTS = 0.3  # of a finding that shall be there
# Matches of a word that are read, of sentences and of whole reports.
_MOST_MATCHES = 250
# So many examinations are read one by one sooner than the full-text index is searched among them.
_FEW = 1_024

ASSERTIONS: dict[Asks, frozenset[str] | None] = {
    Asks.PRESENT: frozenset({"present", "uncertain"}),
    Asks.ABSENT: frozenset({"absent"}),
    Asks.UNCERTAIN: frozenset({"uncertain"}),
    # "Status post craniotomy" is told as history or seen as its result.
    Asks.HISTORICAL: frozenset({"historical", "present"}),
    Asks.FAMILY: frozenset({"family"}),
    Asks.NORMAL: frozenset({"present", "absent"}),
    Asks.ANY: None,
}


@dataclass(frozen=True, slots=True)
class SeriesQuery:
    """One series to look up: its embedding (D,) unit length, and its MR sequence where it is known."""

    embedding: NDArray[np.float32]
    sequence: MRSequence | None


@dataclass(frozen=True, slots=True)
class Shelves:
    """What is looked into: one generation and the store that it was made from."""

    store: CaseStore
    index: Index
    words: ReportWords

    def sequence_for(self, series: SeriesQuery) -> MRSequence | None:
        """The MR sequence among whose stored series to look; None, all of them, where it has no stored series."""
        if series.sequence is None or self.index.counts.get(Kind.SERIES, 0) == 0:
            return None
        nearest = self.index.search(Kind.SERIES, series.embedding[None, :], 1, sequence=series.sequence)
        return series.sequence if nearest[0] else None


def text_channels(
    shelves: Shelves, encoder: Encoder, query: Query, kinds: frozenset[str] | None = None
) -> tuple[Channel, ...]:
    """The channels of a text, of these kinds or of all; the weights of all sum to one."""
    reported = shelves.index.counts.get(Kind.SENTENCE, 0) > 0
    weights = WEIGHTS if reported else WEIGHTS_WITHOUT_REPORTS
    if kinds is not None:
        weights = {kind: weight for kind, weight in weights.items() if kind in kinds} or weights
    shares = _shares(query.concepts)
    channels: list[Channel] = []
    for concept, share in zip(query.concepts, shares, strict=True):
        vector = concept_vector(encoder, concept)
        asserted = ASSERTIONS[concept.asks]
        look_ups: dict[Evident, LookUp] = {
            "sentence": vectors_near(shelves.index, Kind.SENTENCE, vector, assertions=asserted),
            "words": words_like(shelves, concept),
            "report": vectors_near(shelves.index, Kind.REPORT, vector),
            "image": vectors_near(shelves.index, Kind.SERIES, vector, score_of=halfway),
        }
        channels += [Channel(kind, share * weight, look_ups[kind]) for kind, weight in weights.items()]
    return tuple(channels)


def _shares(concepts: Sequence[Concept]) -> list[float]:
    """How much each concept counts: what shall be there more than what shall not, which most reports could claim."""
    weights = [_ABSENCE_COUNTS if one.asks in (Asks.ABSENT, Asks.NORMAL) else 1.0 for one in concepts]
    return [weight / sum(weights) for weight in weights]


def scan_channels(shelves: Shelves, series: Sequence[SeriesQuery], weight: float = 1.0) -> tuple[Channel, ...]:
    """One channel an uploaded series, among stored series of its MR sequence, or among all where there are none."""
    return tuple(
        Channel(
            "image",
            weight / len(series),
            vectors_near(shelves.index, Kind.SERIES, item.embedding, sequence=shelves.sequence_for(item)),
        )
        for item in series
    )


def example_channels(shelves: Shelves, examination: int) -> tuple[Channel, ...]:
    """The channels of a stored case: its own series and its report, as they were indexed."""
    keys, embeddings = shelves.index.vectors(Kind.SERIES, examination)
    known = shelves.store.series(keys.tolist())
    series = [
        SeriesQuery(embedding, known[key].sequence if key in known else None)
        for key, embedding in zip(keys.tolist(), embeddings, strict=True)
    ]
    _, reports = shelves.index.vectors(Kind.REPORT, examination)
    share = (_EXAMPLE_REPORT if series else 1.0) if len(reports) else 0.0
    channels = scan_channels(shelves, series, 1.0 - share) if series else ()
    if len(reports):
        channels += (Channel("report", share, vectors_near(shelves.index, Kind.REPORT, reports[0])),)
    return channels


def concept_vector(encoder: Encoder, concept: Concept) -> NDArray[np.float32]:
    """(D,) unit length: the mean of a concept's spellings."""
    vector: NDArray[np.float32] = encoder.encode_texts(concept.texts).mean(axis=0)
    return vector / max(float(np.linalg.norm(vector)), 1e-12)


def halfway(cosine: float) -> float:
    """-1..1 to 0..1, order kept.

    >>> halfway(-0.5)
    0.25
    """
    return (1.0 + cosine) / 2.0


def vectors_near(
    index: Index,
    kind: Kind,
    vector: NDArray[np.float32],
    *,
    sequence: MRSequence | None = None,
    assertions: frozenset[str] | None = None,
    score_of: Callable[[float], float] = lambda cosine: cosine,
) -> LookUp:
    """Look up a vector (D,) among the vectors of one kind; `score_of` turns a cosine into a score."""
    queries = np.ascontiguousarray(vector, dtype=np.float32)[None, :]

    def items(depth: int, examinations: NDArray[np.int64] | None) -> list[tuple[int, Found]]:
        if index.counts.get(kind, 0) == 0:
            return []
        neighbours = index.search(
            kind, queries, depth, examinations=examinations, sequence=sequence, assertions=assertions
        )[0]
        return [
            (neighbour.examination, Found(min(max(score_of(float(neighbour.score)), 0.0), 1.0), neighbour.key))
            for neighbour in neighbours
        ]

    return lister(items)


def words_like(shelves: Shelves, concept: Concept) -> LookUp:
    """Look up a concept's words in report sentences of the asked assertion, and in whole reports.

    The full-text index is asked for the concept's rarest word only: cases that lack it are left to the other channels,
    which is what keeps "small left frontal meningioma" from listing every report with "left".
    """
    store = shelves.store
    groups = sorted(concept.groups, key=shelves.words.commonness)

    def look_up(depth: int, examinations: NDArray[np.int64] | None) -> Listing:
        if examinations is not None and len(examinations) <= _FEW:
            return _read(store, concept, examinations.tolist(), 0.0)
        floor = 1.0
        for group in groups:
            asked = tuple(" ".join(form) for form in group.forms)
            limit = min(depth, _MOST_MATCHES)
            matches = store.search_words(asked, limit, examinations, ASSERTIONS[concept.asks])
            whole = sum(match.sentence_id is None for match in matches)
            if max(whole, len(matches) - whole) < limit:
                # All that have the word are listed; what is not listed has at most the others.
                floor = max(0.0, round(floor - coverage(concept, asked), DECIMALS))
            if matches:
                return _read(store, concept, sorted({match.examination_id for match in matches}), floor)
        return Listing({}, 0.0)

    return look_up


def _read(store: CaseStore, concept: Concept, examinations: list[int], floor: float) -> Listing:
    """The words of a concept in these examinations' own reports."""
    said = {row: words_in(one, concept) for row, one in store.examinations(examinations).items()}
    return Listing({row: item for row, item in said.items() if item is not None}, floor)


def words_in(examination: Examination, concept: Concept) -> Found | None:
    """The sentence of an examination's report, or the report as a whole, that has most of a concept's words."""
    assertions = ASSERTIONS[concept.asks]
    report = examination.report
    if report is None:
        return None
    forms = tuple(" ".join(form) for group in concept.groups for form in group.forms)
    asked = [one for one in report.sentences if assertions is None or one.assertion in assertions]
    texts = [one.text for one in asked]
    if examination.diagnosis and (assertions is None or Assertion.PRESENT in assertions):
        texts.append(examination.diagnosis)
    whole = _said(forms, "\n".join(texts))
    if not whole:
        return None
    found = [
        Found(coverage(concept, said) * _right_side(concept, one.text), None, said, one)
        for one in asked
        if (said := _said(whole, one.text))
    ]
    found.append(Found(_WHOLE_REPORT * coverage(concept, whole), None, whole))
    return max(found, key=lambda item: item.score)


def _right_side(concept: Concept, text: str) -> float:
    """One, or a half where a sentence speaks of the other side only."""
    return _WRONG_SIDE if concept.side is not None and concept.opposed(tokens_of(text)) else 1.0


def _said(forms: Sequence[str], text: str) -> tuple[str, ...]:
    """Those of the forms, words joined by blanks, that stand in a text."""
    plain = text.lower()
    # Most texts hold none of them, which plain characters tell without cutting the text into words.
    if plain.isascii() and not any(form.partition(" ")[0] in plain for form in forms):
        return ()
    padded = f" {' '.join(tokens_of(text))} "
    return tuple(form for form in forms if f" {form} " in padded)


def coverage(concept: Concept, words: Iterable[str]) -> float:
    """The share, by weight, of a concept's word groups of which a form is among the words."""
    standing = {word.casefold() for word in words}
    total = sum(group.weight for group in concept.groups)
    matched = sum(group.weight for group in concept.groups if any(" ".join(form) in standing for form in group.forms))
    return matched / total if total else 0.0
