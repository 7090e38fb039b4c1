"""Examinations without a report in reading order, by their "abnormal" score, with the findings that are the reason.

Scores, thresholds and what was measured for them belong to the encoder. The order is a suggestion for research, not a
triage of patients.
"""

from __future__ import annotations

import math
from dataclasses import replace

from encoders.bundle import Encoder
from encoders.calibration import CalibrationError, Measured, OperatingPoint, parse_operating_point
from encoders.findings import FindingScore
from indexer.cases import CaseFilter
from indexer.generations import Kind
from search_api.answers import ExaminationSummary
from search_api.query import QueryError
from search_api.retrieval import Shelves
from search_api.scan_answers import TriageEntry, Worklist

_MOST_REASONS = 5


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
    scored: list[tuple[int, tuple[FindingScore, ...]]] = []
    for examination in ids:
        findings = stored_findings(shelves, encoder, examination, point)
        if findings:
            scored.append((examination, findings))
    scored.sort(key=lambda item: (-item[1][0].score, item[0]))
    examinations = shelves.store.examinations([examination for examination, _ in scored])
    known = [(examinations[examination], findings) for examination, findings in scored if examination in examinations]
    entries = tuple(
        TriageEntry(
            rank=rank,
            key=examination.key,
            score=round(findings[0].score, 4),
            flagged=findings[0].flagged,
            threshold=findings[0].threshold,
            measured=findings[0].measured,
            predictive_values=_predictive(findings[0].measured, prevalence),
            examination=ExaminationSummary.of(examination),
            reasons=_reasons(findings),
        )
        for rank, (examination, findings) in enumerate(known, start=1)
    )
    abnormal = [findings[0] for _, findings in known]
    thresholds = {score.threshold for score in abnormal} - {None}
    points = [score.operating_point for score in abnormal if score.operating_point is not None]
    notices = []
    if len(entries) < len(ids):
        notices.append(f"{len(ids) - len(entries)} examinations without a report are not indexed yet.")
    if abnormal and not thresholds:
        notices.append("Nothing was measured for this encoder: there is no threshold and nothing is flagged.")
    elif untold := sum(score.threshold is None for score in abnormal):
        notices.append(f"{untold} examinations have MR sequences for which there is no threshold: never flagged.")
    return Worklist(
        operating_point=points[0] if points else str(point) if point else None,
        threshold=next(iter(thresholds)) if len(thresholds) == 1 else None,
        entries=entries,
        total=len(ids),
        generation=shelves.index.name,
        encoder_id=encoder.encoder_id,
        milliseconds=0.0,
        notices=tuple(notices),
    )


def _predictive(measured: Measured | None, prevalence: float | None) -> tuple[float, float] | None:
    """Positive and negative predictive value; None where neither can be told, or one would be of nothing."""
    if measured is None or prevalence is None:
        return None
    values = measured.predictive_values(prevalence)
    return None if any(math.isnan(value) for value in values) else values


def read_operating_point(text: str | None) -> OperatingPoint | None:
    """None where none is asked for: then each finding keeps its own.

    Raises
    ------
    QueryError
        `bad_operating_point`
    """
    if text is None or not text.strip():
        return None
    try:
        return parse_operating_point(text)
    except CalibrationError as error:
        raise QueryError(
            "bad_operating_point", str(error), "Write sensitivity=0.95, specificity=0.9, miss_rate=0.05 or ppv=0.8@0.1."
        ) from error


def stored_findings(
    shelves: Shelves, encoder: Encoder, examination: int, point: OperatingPoint | None
) -> tuple[FindingScore, ...]:
    """The findings of a stored examination by its series' vectors; none where it has no vector yet."""
    if shelves.index.counts.get(Kind.SERIES, 0) == 0:
        return ()
    keys, embeddings = shelves.index.vectors(Kind.SERIES, examination)
    known = shelves.store.series(keys.tolist())
    rows = [row for row, key in enumerate(keys.tolist()) if key in known and known[key].sequence is not None]
    if not rows:
        return ()
    sequences = [sequence for row in rows if (sequence := known[int(keys[row])].sequence) is not None]
    return encoder.score_series(embeddings[rows], sequences, point)


def _reasons(findings: tuple[FindingScore, ...]) -> tuple[FindingScore, ...]:
    """The flagged findings, or where nothing is flagged the highest; "abnormal" itself is no reason.

    Where some findings have a threshold, those without have no say: their scores are on no common scale.
    """
    measured = [finding for finding in findings[1:] if finding.threshold is not None]
    named = sorted(measured or findings[1:], key=lambda finding: (not finding.flagged, -finding.score))
    flagged = tuple(finding for finding in named if finding.flagged)[:_MOST_REASONS]
    return flagged or tuple(named[:1])
