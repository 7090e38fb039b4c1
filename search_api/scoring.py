"""Uploaded scans as embeddings and findings: the series of one examination encoded one by one and scored together.

The findings and their calibration belong to the encoder; what a case is retrieved for is left to retrieval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from encoders.bundle import Encoder, SeriesEncoding
from encoders.findings import FindingScore
from encoders.volume import Volume
from search_api.answers import ScoredSeries, ScoreReport
from search_api.query import QueryError
from search_api.retrieval import SeriesQuery

MOST_SERIES = 20


@dataclass(frozen=True, slots=True)
class EncodedScans:
    series: tuple[SeriesQuery, ...]
    scored: tuple[ScoredSeries, ...]
    findings: tuple[FindingScore, ...]
    notices: tuple[str, ...]


def encode_scans(encoder: Encoder, volumes: Sequence[Volume]) -> EncodedScans:
    """Encode each series and score them together.

    Raises
    ------
    QueryError
        `no_scans`, `too_many_scans`
    EncodingError
        a series whose MR sequence is unknown or has no network
    """
    if not volumes:
        raise QueryError("no_scans", "No scan was given", "Give at least one NIfTI file.")
    if len(volumes) > MOST_SERIES:
        raise QueryError(
            "too_many_scans",
            f"Expected at most {MOST_SERIES} series of one examination, got {len(volumes)}",
            "Leave out repeated series.",
        )
    encodings = [encoder.encode_series(volume) for volume in volumes]
    sequences = [volume.sequence for volume in volumes if volume.sequence is not None]
    fused = encoder.fuse(np.stack([encoding.embedding for encoding in encodings]), sequences)
    scored = tuple(
        _scored(number, volume, encoding)
        for number, (volume, encoding) in enumerate(zip(volumes, encodings, strict=True), start=1)
    )
    return EncodedScans(
        series=tuple(
            SeriesQuery(encoding.embedding, volume.sequence)
            for volume, encoding in zip(volumes, encodings, strict=True)
        ),
        scored=scored,
        findings=encoder.score(fused),
        notices=tuple(dict.fromkeys(_notices(scored))),
    )


def score_report(encoder: Encoder, volumes: Sequence[Volume]) -> ScoreReport:
    encoded = encode_scans(encoder, volumes)
    return ScoreReport(
        findings=encoded.findings,
        abnormal=encoded.findings[0],
        series=encoded.scored,
        encoder_id=encoder.encoder_id,
        milliseconds=0.0,
        notices=encoded.notices,
    )


def _scored(number: int, volume: Volume, encoding: SeriesEncoding) -> ScoredSeries:
    return ScoredSeries(
        name=f"series {number}",
        sequence=None if volume.sequence is None else str(volume.sequence),
        partial=encoding.partial,
        coverage=round(float(encoding.coverage), 4),
        notes=tuple(dict.fromkeys((*volume.notes, *encoding.notes))),
    )


def _notices(series: Sequence[ScoredSeries]) -> list[str]:
    notices: list[str] = []
    for item in series:
        if item.partial:
            notices.append(
                f"The uploaded {item.sequence} covers only {item.coverage:.0%} of the brain: scores are less reliable."
            )
        notices.extend(f"Uploaded {item.sequence}: {note}" for note in item.notes)
    return notices
