"""The search engine: words, a scan, both, or an example, against the newest generation, read-only and in process.

It opens the case store and the index, holds them together with the encoder, and swaps to a newer generation on
`reload`. What the words mean is left to query, the evidence to retrieval, its weighing to fusion, what makes a match
good to match_quality, worklists to triage and reports to report_check.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

import encoders
from encoders.bundle import Encoder
from encoders.volume import Volume
from indexer.case_store import CaseStore
from indexer.cases import CaseFilter
from indexer.generations import Index
from indexer.schema import FILE
from search_api import report_check, suggestions, triage
from search_api.answers import Answer, Case
from search_api.asks import Asks
from search_api.contradiction import contradicting
from search_api.folding import Folding
from search_api.fusion import Channel, normalised, rank
from search_api.hits import Person, hits_of, person_of_case, person_of_scans
from search_api.match_quality import MatchQuality
from search_api.passing import PassingCache
from search_api.precedents import Precedents
from search_api.query import Query, understand
from search_api.question import Question
from search_api.retrieval import Shelves, example_channels, scan_channels, text_channels
from search_api.scan_answers import ReportCheck, ScoreReport, StoredScores, Suggestions, Worklist
from search_api.scoring import EncodedScans, encode_scans, only_brain, read_operating_point, score_report
from search_api.spelling import Lexicon, lexicon
from search_api.terminology import TerminologyError, stored_terms
from search_api.vocabulary import ReportWords


class EncoderMismatch(ValueError):
    """The generation was made by another encoder than the one that is loaded."""


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """Everything that belongs to one generation; searches under way keep theirs."""

    shelves: Shelves
    quality: MatchQuality
    folding: Folding
    lexicon: Lexicon
    notices: tuple[str, ...]


class SearchEngine:
    """Safe to use from several threads; `close` it, or use it as a context manager."""

    def __init__(self, data: Path, store: CaseStore, encoder: Encoder) -> None:
        self._data = data
        self._store = store
        self._encoder = encoder
        self._passing = PassingCache(store, data / FILE)
        self._reloading = threading.Lock()
        self._tried = Index.current_name(data)
        self._snapshot = self._take_snapshot()

    @classmethod
    def open(cls, data: Path | str, encoder: Encoder | None = None) -> Self:
        """Open a data directory; `encoder` None loads the shipped bundle.

        Raises
        ------
        IndexMissing
            there is no generation yet: `neurorecall rebuild` makes one
        EncoderMismatch
            the generation holds vectors of another encoder
        """
        store = CaseStore.open(Path(data), read_only=True)
        try:
            return cls(Path(data), store, encoders.load() if encoder is None else encoder)
        except BaseException:
            store.close()
            raise

    @property
    def generation(self) -> str:
        return self._snapshot.shelves.index.name

    @property
    def created(self) -> str:
        """When the generation was made, in UTC."""
        return self._snapshot.shelves.index.created

    @property
    def encoder(self) -> Encoder:
        return self._encoder

    @property
    def store(self) -> CaseStore:
        """The case store, for pictures, files and collections; read-only."""
        return self._store

    @property
    def notices(self) -> tuple[str, ...]:
        """What an operator should know of the generation that is served."""
        return self._snapshot.notices

    def search(
        self,
        text: str | None = None,
        *,
        scans: Sequence[Volume] = (),
        like: str | None = None,
        k: int = 10,
        filters: CaseFilter | None = None,
        weight: float = 0.5,
        page: int = 1,
        expand: bool = True,
        evidence: Collection[str] | None = None,
        assertions: bool = True,
        insist: bool = False,
    ) -> Answer:
        """Retrieve cases for a text, uploaded scans, both, or like a stored case.

        Parameters
        ----------
        weight
            how much the scans count against the text where both are given, 0-1
        expand
            False takes the words literally: no spelling, abbreviations, synonyms or absence
        evidence
            the kinds that count for a text: sentence, report, words, image; None for all
        assertions
            False looks through all sentences of reports, whether they state or deny
        insist
            True searches with scans of which none looks like a brain MRI

        Raises
        ------
        QueryError
            what cannot be asked: `empty_query`, `no_words`, `too_long`, `bad_k`, `bad_page`, `bad_weight`
        CaseMissing
            no case with the key `like`
        EncodingError
            a scan whose MR sequence is unknown or has no network; `not_brain_mri`, unless `insist`
        """
        began = time.perf_counter()
        asked_text = (
            text if text is not None and (not isinstance(text, str) or text.strip() or not (scans or like)) else None
        )
        kinds = None if evidence is None else frozenset(evidence)
        question = Question(
            asked_text, tuple(scans), like, k, page, weight, expand, filters or CaseFilter(), kinds, assertions, insist
        )
        question.check()
        answer = self._answer(question, self._snapshot)
        return replace(answer, milliseconds=_milliseconds_since(began))

    def score(
        self, volumes: Sequence[Volume], ask: Sequence[str] = (), operating_point: str | None = None
    ) -> ScoreReport:
        """Score one examination's series together, for sentences as well; raises QueryError and EncodingError."""
        began = time.perf_counter()
        report = score_report(self._encoder, volumes, ask, operating_point)
        return replace(report, milliseconds=_milliseconds_since(began))

    def triage(
        self, operating_point: str | None = None, filters: CaseFilter | None = None, prevalence: float | None = None
    ) -> Worklist:
        """List the examinations without a report in reading order, with predictive values at a prevalence.

        Raises QueryError `bad_operating_point`, `bad_prevalence`.
        """
        began = time.perf_counter()
        asked = filters or CaseFilter()
        worklist = triage.worklist(self._snapshot.shelves, self._encoder, operating_point, asked, prevalence)
        return replace(worklist, milliseconds=_milliseconds_since(began))

    def check_report(self, volumes: Sequence[Volume], report: str) -> ReportCheck:
        """Compare a provisional report with its scan, or with itself alone; raises QueryError `empty_report`."""
        began = time.perf_counter()
        look_up = partial(Precedents.of, self._snapshot.shelves, self._snapshot.folding)
        check = report_check.check(self._encoder, volumes, report, look_up)
        return replace(check, milliseconds=_milliseconds_since(began))

    def suggest(self, volumes: Sequence[Volume] = (), key: str | None = None) -> Suggestions:
        """Suggest findings for uploaded series, or for those of the stored case `key`.

        Raises QueryError, EncodingError as `score`, CaseMissing for the key, VolumeError for files that are gone.
        """
        began = time.perf_counter()
        snapshot = self._snapshot
        suggested = (
            suggestions.for_scans(snapshot.shelves, snapshot.folding, self._encoder, volumes)
            if key is None
            else suggestions.for_case(snapshot.shelves, snapshot.folding, self._encoder, key)
        )
        return replace(suggested, milliseconds=_milliseconds_since(began))

    def case(self, key: str) -> Case:
        """One examination with its report; raises CaseMissing."""
        return Case.of(self._store.examination(key))

    def stored_scores(self, key: str, operating_point: str | None = None) -> StoredScores:
        """Score a stored examination by its indexed series; nothing where it has no vector. Raises CaseMissing."""
        shelves, point = self._snapshot.shelves, read_operating_point(operating_point)
        return triage.stored_scores(shelves, self._encoder, self._store.id_of(key), point)

    def facets(self, filters: CaseFilter | None = None) -> dict[str, dict[str, int]]:
        """Exact counts by field of the examinations that pass the filters."""
        empty = filters is None or filters.empty
        return self._store.facets(None if filters is None or empty else self._store.matching(filters))

    def reload(self) -> bool:
        """Swap to a newer generation if there is one; True if it was swapped. Cheap when there is none."""
        current = Index.current_name(self._data)
        if current in (None, self.generation, self._tried):
            return False
        with self._reloading:
            before = self.generation
            if current == before:
                return False
            self._snapshot = self._take_snapshot()
            # One that was found broken is not read through again at every question.
            self._tried = current
        return self.generation != before

    def close(self) -> None:
        self._snapshot.shelves.index.close()
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take_snapshot(self) -> _Snapshot:
        index = Index.open(self._data)
        made_by = (index.encoder_id, index.preprocessing or self._encoder.preprocessing_id)
        if made_by != (self._encoder.encoder_id, self._encoder.preprocessing_id):
            raise EncoderMismatch(
                f"Expected vectors of the encoder {self._encoder.encoder_id} in generation {index.name}, "
                f"got those of {index.encoder_id}: run neurorecall rebuild"
            )
        shelves = Shelves(self._store, index, ReportWords(self._store))
        quality, folding = MatchQuality.measure(shelves, self._encoder), Folding.of(self._store)
        try:
            return _Snapshot(shelves, quality, folding, lexicon(stored_terms(self._data)), index.notes)
        except TerminologyError as error:
            # A site's own terms widen queries; without them everything is found that was found before.
            told = f"This site's own terms are not used: {error}"
            return _Snapshot(shelves, quality, folding, lexicon(()), (*index.notes, told))

    def _answer(self, question: Question, snapshot: _Snapshot) -> Answer:
        shelves = snapshot.shelves
        query = None
        if question.text is not None:
            query = understand(question.text, shelves.words, question.expand, snapshot.lexicon)
            if not question.assertions:
                query = replace(query, concepts=tuple(replace(one, asks=Asks.ANY) for one in query.concepts))
        scans = encode_scans(self._encoder, question.scans) if question.scans else None
        if scans is not None and not question.insist:
            scans = only_brain(scans)
        channels = self._channels(question, query, scans, shelves)
        person = _person(question, scans, shelves)
        asked = self._passing.ids(question.filters)
        if person.example is not None:
            asked = asked[~np.isin(asked, (person.example, *snapshot.folding.others(person.example)))]
        passing = asked
        if query is not None and scans is None and question.like is None:
            passing = np.setdiff1d(asked, contradicting(self._store, query))
        contradicted = len(asked) - len(passing)
        unrestricted = question.filters.empty and person.example is None and not contradicted
        allowed = None if unrestricted else passing
        first = (question.page - 1) * question.k
        surplus = snapshot.folding.surplus(passing)
        need = min(max(first + question.k, 10) + surplus, len(passing))
        ranking = rank(channels, need, allowed) if need else None
        if ranking and not _all_in([hit.examination for hit in ranking.ranked], passing):
            # Removed from the store since the generation was built.
            ranking = rank(channels, need, passing)
        ranked = snapshot.folding.fold(ranking.ranked) if ranking else ()
        notices = (*(scans.notices if scans else ()), *person.notices(self._store))
        if contradicted:
            cases = "1 case" if contradicted == 1 else f"{contradicted:,} cases"
            notices += (f"Left out: {cases} whose report says the opposite.",)
        if ranking and not ranking.exact:
            notices += ("Many cases score alike: ranked are the nearest of each kind of evidence.",)
        return Answer(
            query=query.text if query else "",
            expanded=query.expanded if query else (),
            hits=hits_of(ranked[first : first + question.k], first, channels, person, shelves, snapshot.folding),
            total=len(asked),
            folded=surplus,
            contradicted=contradicted,
            good_match=not (query is not None and query.vague and scans is None)
            and snapshot.quality.good(channels, ranked, of_text=query is not None),
            generation=shelves.index.name,
            encoder_id=self._encoder.encoder_id,
            milliseconds=0.0,
            page=question.page,
            k=question.k,
            notices=notices,
            findings=scans.findings if scans else None,
        )

    def _channels(
        self, question: Question, query: Query | None, scans: EncodedScans | None, shelves: Shelves
    ) -> tuple[Channel, ...]:
        of_text = text_channels(shelves, self._encoder, query, question.evidence) if query else ()
        of_scans = scan_channels(shelves, scans.series) if scans else ()
        if question.like is not None:
            of_scans += example_channels(shelves, self._store.id_of(question.like))
        if not of_text or not of_scans:
            return normalised(of_text or of_scans)
        weighed = [replace(channel, weight=channel.weight * (1.0 - question.weight)) for channel in of_text]
        weighed += [replace(channel, weight=channel.weight * question.weight) for channel in normalised(of_scans)]
        return normalised([channel for channel in weighed if channel.weight > 0.0])


def _all_in(examinations: Sequence[int], passing: NDArray[np.int64]) -> bool:
    """Whether all are among the sorted row ids."""
    places = np.searchsorted(passing, examinations).clip(max=max(len(passing) - 1, 0))
    return bool(len(passing) and (passing[places] == examinations).all())


def _person(question: Question, scans: EncodedScans | None, shelves: Shelves) -> Person:
    if question.like is not None:
        return person_of_case(shelves, shelves.store.id_of(question.like))
    return person_of_scans(shelves, scans.series) if scans else Person()


def _milliseconds_since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000.0, 1)
