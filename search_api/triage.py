"""Examinations without a report in reading order, by their "abnormal" score, with the findings that are the reason.

Scores, thresholds and what was measured for them belong to the encoder, which series are scored to its encodings. The
order is a suggestion for research, not a triage of patients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from encoders.bundle import Encoder
from encoders.calibration import Measured, OperatingPoint
from encoders.findings import ABNORMAL, FindingScore
from indexer.cases import CaseFilter, Examination
from indexer.generations import Kind
from search_api.answers import ExaminationSummary
from search_api.query import QueryError
from search_api.retrieval import Shelves
from search_api.scan_answers import Group, StoredScores, TriageEntry, Worklist
from search_api.scoring import alone_or_with, not_calibrated, read_operating_point, why_unscored

_MOST_REASONS = 5
_GROUPS: tuple[Group, ...] = ("scored", "no_threshold", "not_scored")


@dataclass(frozen=True, slots=True)
class _Stored:
    """What is known of a stored examination's scans; `order` is among those without a calibrated score."""

    scores: StoredScores
    sequences: tuple[str, ...] = ()
    order: float = 0.0

    @property
    def abnormal(self) -> FindingScore | None:
        return next((one for one in self.scores.findings if one.finding == ABNORMAL), None)


def worklist(
    shelves: Shelves,
    encoder: Encoder,
    operating_point: str | None,
    filters: CaseFilter,
    prevalence: float | None = None,
) -> Worklist:
    """Score every unreported examination by its stored vectors; highest first, ties in order of ingest.

    `prevalence` is the share of abnormal examinations among those that wait, for the predictive values.
    """
    point = read_operating_point(operating_point)
    if prevalence is not None and not 0 < prevalence < 1:
        raise QueryError("bad_prevalence", "Expected a prevalence between 0 and 1", "Write 0.3 for 30 of 100.")
    ids = [int(examination) for examination in shelves.store.matching(replace(filters, reported=False))]
    examinations = shelves.store.examinations(ids)
    refused = shelves.store.embeddings.reasons_not_encoded()
    entries: list[tuple[tuple[int, bool, float, int], TriageEntry]] = []
    waiting = 0
    for identity, examination in examinations.items():
        stored = _stored(shelves, encoder, identity, point) or _refused(examination, refused.get(identity))
        if stored is None:
            waiting += 1
        else:
            entries.append(_entry(identity, examination, stored, prevalence))
    entries.sort(key=lambda item: item[0])
    ranked = tuple(replace(entry, rank=rank) for rank, (_, entry) in enumerate(entries, start=1))
    scored = [entry for entry in ranked if entry.group == "scored"]
    thresholds = {entry.threshold for entry in scored}
    points = {entry.operating_point for entry in scored}
    return Worklist(
        operating_point=str(point) if point else points.pop() if len(points) == 1 else None,
        threshold=thresholds.pop() if len(thresholds) == 1 else None,
        entries=ranked,
        total=len(ids),
        generation=shelves.index.name,
        encoder_id=encoder.encoder_id,
        milliseconds=0.0,
        notices=tuple(_notices(ranked, waiting)),
    )


def stored_scores(shelves: Shelves, encoder: Encoder, examination: int, point: OperatingPoint | None) -> StoredScores:
    """The findings of a stored examination by its scorable series' vectors; none where it has no vector yet."""
    stored = _stored(shelves, encoder, examination, point)
    return StoredScores(()) if stored is None else stored.scores


def _stored(shelves: Shelves, encoder: Encoder, examination: int, point: OperatingPoint | None) -> _Stored | None:
    """None where it has no vector yet."""
    if shelves.index.counts.get(Kind.SERIES, 0) == 0:
        return None
    keys, embeddings = shelves.index.vectors(Kind.SERIES, examination)
    known = shelves.store.series(keys.tolist())
    series = [(row, known[key]) for row, key in enumerate(keys.tolist()) if key in known and known[key].sequence]
    if not series:
        return None
    if unscored := why_unscored([(one.sequence, one.unscorable) for _, one in series]):
        return _Stored(StoredScores((), unscored=unscored))
    usable = [(row, one.sequence) for row, one in series if not one.unscorable and one.sequence is not None]
    vectors, sequences = np.asarray(embeddings[[row for row, _ in usable]]), [sequence for _, sequence in usable]
    findings = encoder.score_series(vectors, sequences, point)
    scores = StoredScores(findings, not_calibrated(encoder, findings))
    found = _Stored(scores, tuple(map(str, sequences)))
    return found if found.abnormal else replace(found, order=encoder.reading_order(vectors, sequences))


def _refused(examination: Examination, messages: tuple[str, ...] | None) -> _Stored | None:
    """Why an examination will get no vector; None where the next rebuild may give it one."""
    if not examination.series:
        return _Stored(StoredScores((), unscored="none of its series could be read"))
    return _Stored(StoredScores((), unscored=" ".join(messages))) if messages else None


def _entry(
    identity: int, examination: Examination, stored: _Stored, prevalence: float | None
) -> tuple[tuple[int, bool, float, int], TriageEntry]:
    """An entry without its rank yet, and its place in the list."""
    abnormal = stored.abnormal
    group, why = _group(stored)
    score = None if abnormal is None else abnormal.score
    entry = TriageEntry(
        rank=0,
        key=examination.key,
        score=None if score is None else round(score, 4),
        flagged=abnormal is not None and abnormal.flagged,
        examination=ExaminationSummary.of(examination),
        reasons=_reasons(stored.scores.findings),
        group=group,
        why=why,
        threshold=abnormal.threshold if abnormal else None,
        operating_point=abnormal.operating_point if abnormal else None,
        measured=abnormal.measured if abnormal else None,
        predictive_values=_predictive(abnormal.measured if abnormal else None, prevalence),
    )
    place = (_GROUPS.index(group), score is None, -(stored.order if score is None else score), identity)
    return place, entry


def _group(stored: _Stored) -> tuple[Group, str | None]:
    abnormal, unscored = stored.abnormal, stored.scores.unscored
    if unscored is not None:
        return "not_scored", unscored
    if abnormal is None:
        return "no_threshold", f"not calibrated for {alone_or_with(stored.sequences)}"
    if abnormal.threshold is None:
        return "no_threshold", abnormal.note or f"no threshold was measured for {alone_or_with(stored.sequences)}"
    return "scored", None


def _notices(entries: tuple[TriageEntry, ...], waiting: int) -> list[str]:
    notices = []
    if waiting:
        are = "examination without a report is" if waiting == 1 else "examinations without a report are"
        notices.append(f"{waiting} {are} not indexed yet: run neurorecall rebuild.")
    counted: dict[tuple[str, str], int] = {}
    for entry in entries:
        if entry.why is not None:
            counted[entry.group, entry.why] = counted.get((entry.group, entry.why), 0) + 1
    if counted and not any(entry.group == "scored" for entry in entries):
        notices.append("No examination has a threshold: nothing is flagged.")
    return notices + [_told(group, why, count) for (group, why), count in counted.items()]


def _told(group: str, why: str, count: int) -> str:
    examinations = "1 examination" if count == 1 else f"{count} examinations"
    if group == "not_scored":
        return f"{examinations} cannot be scored, at the end of the list: {why.removesuffix('.')}."
    have = "has" if count == 1 else "have"
    return f"{examinations} {have} no threshold, below those that have one, and never flagged: {why.removesuffix('.')}."


def _predictive(measured: Measured | None, prevalence: float | None) -> tuple[float, float] | None:
    """Positive and negative predictive value; None where neither can be told, or one would be of nothing."""
    if measured is None or prevalence is None:
        return None
    values = measured.predictive_values(prevalence)
    return None if any(math.isnan(value) for value in values) else values


def _reasons(findings: tuple[FindingScore, ...]) -> tuple[FindingScore, ...]:
    """The flagged findings, or where none is the highest with a threshold; "abnormal" itself is no reason."""
    measured = [one for one in findings if one.threshold is not None and one.finding != ABNORMAL]
    named = sorted(measured, key=lambda finding: (not finding.flagged, -finding.score))
    flagged = tuple(finding for finding in named if finding.flagged)[:_MOST_REASONS]
    return flagged or tuple(named[:1])
