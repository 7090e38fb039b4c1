"""Retrieval on a labelled BIDS dataset: words, scans, and words with the reports withheld.

The dataset is ingested into a folder of its own, first without its reports and then with them. What a search is, is
handed in (training knows nothing of the search floor). Baselines in the same run: the words alone (BM25 of the case
store), and chance (the share of the diagnosis).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from encoders.bundle import Encoder
from encoders.volume import Volume, read_volume
from indexer.case_store import CaseStore
from indexer.cases import CaseFilter, Examination
from indexer.ingest import ingest
from indexer.rebuild import rebuild
from training.evaluation_pictures import COLUMNS, MOST_TILES, Tile, axial
from training.intervals import mean_interval

DEPTH = 5
SELF_SCORE = 0.999  # a scan that is uploaded again must find itself with at least this cosine
QUERIES: tuple[tuple[str, frozenset[str]], ...] = (
    ("multiple sclerosis", frozenset({"multiple sclerosis"})),
    ("glioma", frozenset({"glioma"})),
    ("acute stroke", frozenset({"ischaemic stroke", "infarct"})),
    ("normal study", frozenset({"normal"})),
    ("small vessel disease", frozenset({"small vessel disease"})),
    ("hydrocephalus", frozenset({"hydrocephalus"})),
    ("meningioma", frozenset({"meningioma"})),
    ("haemorrhage", frozenset({"haemorrhage"})),
    ("atrophy", frozenset({"atrophy"})),
)


class Searcher(Protocol):
    """What the evaluation asks of a search engine."""

    def search(
        self,
        text: str | None = None,
        *,
        scans: Sequence[Volume] = (),
        k: int = 10,
        expand: bool = True,
        evidence: Collection[str] | None = None,
        assertions: bool = True,
        insist: bool = False,
    ) -> Any: ...


OpenSearcher = Callable[[Path, Encoder], AbstractContextManager[Searcher]]


@dataclass(frozen=True, slots=True)
class QueryFigure:
    """One query: how many of the first hits are of the diagnosis, with and without reports, beside the baselines."""

    query: str
    cases: int
    depth: int
    with_reports: int
    without_reports: int
    words_alone: int
    by_chance: float


@dataclass(frozen=True, slots=True)
class ScanFigures:
    """Every series uploaded again: it finds itself, other sessions are marked, and how alike other people's are."""

    series: int
    found_first: int
    lowest_score: float
    other_sessions: int
    other_sessions_marked: int
    others_marked: int
    compared: int
    precision: float
    precision_interval: tuple[float, float]
    precision_by_chance: float
    participants: int
    confusion: dict[str, dict[str, float]]
    confusion_hits: dict[str, int]


@dataclass(frozen=True, slots=True)
class RetrievalFigures:
    examinations: int
    refused: int
    partial: tuple[str, ...]
    queries: tuple[QueryFigure, ...]
    scans: ScanFigures
    encoder_id: str
    seconds: float
    tiles: tuple[Tile, ...] = ()


def evaluate_retrieval(
    dataset: Path, work: Path, encoder: Encoder, open_searcher: OpenSearcher, say: Callable[[str], None]
) -> RetrievalFigures:
    """Ingest a BIDS dataset twice (with reports, without) below `work` and measure its retrieval.

    `tiles` of the figures are rows of examples: a scan, and the first cases of other people.
    """
    started = time.perf_counter()
    data = work / "index"
    say("indexing without reports")
    refused = _index(dataset, data, None, encoder)
    with open_searcher(data, encoder) as searcher:
        withheld = {query: _first_keys(searcher, query) for query, _ in QUERIES}
    say("indexing with reports")
    refused += _index(dataset, data, dataset / "reports.tsv", encoder)
    with CaseStore.open(data, read_only=True) as store:
        cases = tuple(store.examinations(store.matching(CaseFilter()).tolist()).values())
        words = {query: _words_alone(store, query) for query, _ in QUERIES}
    with open_searcher(data, encoder) as searcher:
        queries = tuple(
            _query_figure(wanted, cases, query, (_first_keys(searcher, query), withheld[query], words[query]))
            for query, wanted in QUERIES
            if any(case.diagnosis in wanted for case in cases)
        )
        say("uploading every series again")
        scans = _scan_figures(data, cases, searcher)
        tiles = _examples(data, cases, searcher)
    return RetrievalFigures(
        examinations=len(cases),
        refused=refused,
        partial=tuple(sorted(case.participant for case in cases if case.partial)),
        queries=queries,
        scans=scans,
        encoder_id=encoder.encoder_id,
        seconds=time.perf_counter() - started,
        tiles=tiles,
    )


def retrieval_table(figures: RetrievalFigures) -> str:
    """The figures as Markdown."""
    lines = [
        f"{figures.examinations} examinations ({figures.refused} refused, {len(figures.partial)} of partial coverage), "
        f"encoder `{figures.encoder_id}`, {figures.seconds:.0f} s.",
        "",
        "| query | cases | first hits of that diagnosis | reports withheld | words alone (BM25) | chance |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.query} | {row.cases} | {row.with_reports} of {row.depth} | {row.without_reports} of {row.depth} "
        f"| {row.words_alone} of {row.depth} | {row.by_chance:.1f} of {row.depth} |"
        for row in figures.queries
    ]
    scans = figures.scans
    low, high = scans.precision_interval
    lines += [
        "",
        f"Scans: {scans.found_first} of {scans.series} series, uploaded again, find their own case first (lowest score "
        f"{scans.lowest_score:.4f}); {scans.other_sessions_marked} of {scans.other_sessions} hits that are the same "
        f"person's other session are marked, {scans.others_marked} hits of another person are.",
        f"Scan to case, other people only: P@{DEPTH} {scans.precision:.2f} (95 % interval {low:.2f}-{high:.2f}, "
        f"{scans.compared} series of {scans.participants} people; chance {scans.precision_by_chance:.2f}).",
    ]
    return "\n".join(lines)


def _index(dataset: Path, data: Path, reports: Path | None, encoder: Encoder) -> int:
    """Ingest and rebuild; how many items were refused."""
    return len(ingest(str(dataset), data, reports=reports).refused) + len(rebuild(data, encoder).refused)


def _first_keys(searcher: Searcher, query: str) -> tuple[str, ...]:
    return tuple(hit.key for hit in searcher.search(query, k=DEPTH).hits)


def _query_figure(
    wanted: frozenset[str],
    cases: Sequence[Examination],
    query: str,
    found: tuple[Sequence[str], Sequence[str], Sequence[str]],
) -> QueryFigure:
    diagnosis = {case.key: case.diagnosis for case in cases}
    total = sum(case.diagnosis in wanted for case in cases)
    depth = min(DEPTH, total)
    with_reports, without_reports, words = (sum(diagnosis[key] in wanted for key in keys[:depth]) for keys in found)
    return QueryFigure(
        query=query,
        cases=total,
        depth=depth,
        with_reports=with_reports,
        without_reports=without_reports,
        words_alone=words,
        by_chance=depth * total / len(cases),
    )


def _words_alone(store: CaseStore, query: str) -> tuple[str, ...]:
    matches = store.search_words(tuple(query.split()), limit=1000)
    ids = tuple(dict.fromkeys(match.examination_id for match in matches))
    found = store.examinations(ids)
    return tuple(found[row].key for row in ids)


def _scan_figures(data: Path, cases: Sequence[Examination], searcher: Searcher) -> ScanFigures:
    diagnosis = {case.key: case.diagnosis for case in cases}
    participant = {case.key: case.participant for case in cases}
    first, scores, others, marked, wrong = 0, [], 0, 0, 0
    precisions: list[float] = []
    chances: list[float] = []
    people: list[str] = []
    nearest: dict[str, list[str]] = {}
    for case, volume in _stored_volumes(data, cases):
        hits = searcher.search(scans=(volume,), k=len(cases), insist=True).hits
        first += hits[0].key == case.key
        scores.append(hits[0].score if hits[0].key == case.key else 0.0)
        sessions = [hit for hit in hits if participant[hit.key] == case.participant and hit.key != case.key]
        others += len(sessions)
        marked += sum(hit.same_participant for hit in sessions)
        foreign = [hit for hit in hits if participant[hit.key] != case.participant]
        wrong += sum(hit.same_participant for hit in foreign)
        alike = [diagnosis[hit.key] == case.diagnosis for hit in foreign]
        if alike:  # nobody else may have a series of this MR sequence
            people.append(case.participant)
            nearest.setdefault(case.diagnosis or "", []).extend(diagnosis[hit.key] or "" for hit in foreign[:DEPTH])
            precisions.append(float(np.mean(alike[:DEPTH])))
            chances.append(float(np.mean(alike)))
    return ScanFigures(
        series=len(scores),
        found_first=first,
        lowest_score=min(scores),
        other_sessions=others,
        other_sessions_marked=marked,
        others_marked=wrong,
        compared=len(precisions),
        precision=float(np.mean(precisions)),
        precision_interval=mean_interval(np.array(precisions), people),
        precision_by_chance=float(np.mean(chances)),
        participants=len(set(people)),
        confusion={
            asked: {name: found.count(name) / len(found) for name in sorted(set(found))}
            for asked, found in sorted(nearest.items())
        },
        confusion_hits={asked: len(found) for asked, found in sorted(nearest.items())},
    )


def _examples(data: Path, cases: Sequence[Examination], searcher: Searcher) -> tuple[Tile, ...]:
    """Rows of a scan and the first hits of other people, one scan of each diagnosis as far as there is room."""
    known = {case.key: case for case in cases}
    tiles: list[Tile] = []
    shown: set[str | None] = set()
    with CaseStore.open(data, read_only=True) as store:
        for case, volume in _stored_volumes(data, cases):
            if case.diagnosis in shown or len(tiles) >= MOST_TILES:
                continue
            hits = searcher.search(scans=(volume,), k=len(cases), insist=True).hits
            others = [hit for hit in hits if known[hit.key].participant != case.participant and hit.evidence]
            if len(others) < COLUMNS - 1:
                continue
            shown.add(case.diagnosis)
            tiles.append(_tile(f"query: {case.diagnosis}", volume))
            for hit in others[: COLUMNS - 1]:
                path = store.series_file(hit.key, hit.evidence[0].series)
                tiles.append(_tile(f"{known[hit.key].diagnosis} {hit.score:.2f}", read_volume(path)))
    return tuple(tiles)


def _tile(title: str, volume: Volume) -> Tile:
    """The axial slice a little above the middle, where the ventricles usually are."""
    return Tile(title, axial(volume.voxels, int(0.55 * volume.voxels.shape[2])))


def _stored_volumes(data: Path, cases: Sequence[Examination]) -> Iterator[tuple[Examination, Volume]]:
    with CaseStore.open(data, read_only=True) as store:
        for case in cases:
            for series in case.series:
                if series.sequence is not None:
                    path = store.series_file(case.key, series.number)
                    yield case, read_volume(path, sequence=series.sequence)
