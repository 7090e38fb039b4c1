"""Uploaded scans as embeddings and findings: the series of one examination encoded one by one and scored together.

The findings and their calibration belong to the encoder; what a case is retrieved for is left to retrieval.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from encoders.bundle import Bundle, Encoder, EncodingError, SeriesEncoding
from encoders.findings import AskedScore, FindingScore
from encoders.sequences import MRSequence
from encoders.text import TextError
from encoders.volume import Volume
from search_api.query import QueryError
from search_api.retrieval import SeriesQuery
from search_api.scan_answers import ScoredSeries, ScoreReport

MOST_SERIES = 20
MOST_SENTENCES = 20
LONGEST_SENTENCE = 2_000  # characters
_WORD = re.compile(r"[^\W\d_]{2,}")
LEAST_COVERAGE = 0.3  # of a brain: what shows less is like nothing that a threshold was measured on


@dataclass(frozen=True, slots=True)
class EncodedScans:
    """What a search, a score and a report check need of uploaded scans.

    `series` are those that count, `embedding` (D,) is them fused; `encodings` and `scored` are all. `brain` is False
    where none looks like a brain MRI: then all count and nothing is flagged, as where none shows LEAST_COVERAGE of the
    brain.
    """

    series: tuple[SeriesQuery, ...]
    embedding: NDArray[np.float32]
    brain: bool
    encodings: tuple[SeriesEncoding, ...]
    scored: tuple[ScoredSeries, ...]
    findings: tuple[FindingScore, ...]
    notices: tuple[str, ...]

    @property
    def sequences(self) -> tuple[MRSequence, ...]:
        """The MR sequences of the series that count."""
        return tuple(one.sequence for one in self.series if one.sequence is not None)

    @property
    def embeddings(self) -> NDArray[np.float32]:
        """The embeddings (S, D) of the series that count."""
        return np.stack([one.embedding for one in self.series])

    def sequence_of(self, number: int) -> MRSequence | None:
        """The MR sequence of a series by its place, from 0, among all that were given."""
        name = self.scored[number].sequence
        return None if name is None else MRSequence(name)


def encode_scans(encoder: Encoder, volumes: Sequence[Volume]) -> EncodedScans:
    """Encode each series, and score together those that look like a brain MRI.

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
    brain = any(encoding.in_range for encoding in encodings)
    series = tuple(
        SeriesQuery(encoding.embedding, volume.sequence)
        for volume, encoding in zip(volumes, encodings, strict=True)
        if encoding.in_range or not brain
    )
    measurable = any(one.in_range and one.coverage >= LEAST_COVERAGE for one in encodings)
    sequences = [one.sequence for one in series if one.sequence is not None]
    embeddings = np.stack([one.embedding for one in series])
    findings = encoder.score_series(embeddings, sequences)
    scored = tuple(
        _scored(number, volume, encoding)
        for number, (volume, encoding) in enumerate(zip(volumes, encodings, strict=True), start=1)
    )
    return EncodedScans(
        series=series,
        embedding=encoder.fuse(embeddings, sequences),
        brain=brain,
        encodings=tuple(encodings),
        scored=scored,
        findings=findings if measurable else tuple(map(_unmeasured, findings)),
        notices=tuple(dict.fromkeys(_notices(scored))),
    )


def only_brain(scans: EncodedScans) -> EncodedScans:
    """The same scans; raises EncodingError `not_brain_mri` where none of them looks like a brain MRI."""
    if not scans.brain:
        raise EncodingError(
            "not_brain_mri",
            "What was given does not look like a brain MRI.",
            "Check the file and its MR sequence; a search alone can be made to `insist`.",
        )
    return scans


def score_report(encoder: Encoder, volumes: Sequence[Volume], ask: Sequence[str] = ()) -> ScoreReport:
    """The findings of scans, and how they score for the sentences `ask`.

    Raises
    ------
    QueryError
        as encode_scans; `too_many_sentences`, `too_long`, `no_words`, `no_asking` where the encoder answers none
    EncodingError
        as encode_scans
    """
    sentences = tuple(dict.fromkeys(sentence.strip() for sentence in ask if sentence.strip()))
    if any(len(sentence) > LONGEST_SENTENCE for sentence in sentences):
        raise QueryError("too_long", f"Expected sentences of at most {LONGEST_SENTENCE} characters", "Shorten them.")
    if not all(_WORD.search(sentence) for sentence in sentences):
        raise QueryError("no_words", "Expected sentences with at least one word each", "Write a finding.")
    if len(sentences) > MOST_SENTENCES:
        raise QueryError(
            "too_many_sentences", f"Expected at most {MOST_SENTENCES} sentences, got {len(sentences)}", "Ask again."
        )
    encoded = encode_scans(encoder, volumes)
    return ScoreReport(
        findings=encoded.findings,
        abnormal=encoded.findings[0],
        series=encoded.scored,
        encoder_id=encoder.encoder_id,
        milliseconds=0.0,
        notices=encoded.notices,
        asked=_asked(encoder, encoded, sentences),
    )


def _asked(encoder: Encoder, scans: EncodedScans, sentences: Sequence[str]) -> tuple[AskedScore, ...]:
    if not sentences:
        return ()
    if not isinstance(encoder, Bundle):
        raise QueryError("no_asking", "This encoder scores the findings of its catalogue only", "Load a bundle.")
    try:
        asked = encoder.ask(scans.embedding, sentences, scans.sequences)
    except TextError as error:
        raise QueryError("no_words", "Expected sentences with at least one word each", "Write a finding.") from error
    if any(score.threshold is not None for score in scans.findings):
        return asked
    return tuple(replace(one, above_normal=None) for one in asked)  # nothing like the scan was measured


def _scored(number: int, volume: Volume, encoding: SeriesEncoding) -> ScoredSeries:
    return ScoredSeries(
        name=f"series {number}",
        sequence=None if volume.sequence is None else str(volume.sequence),
        partial=encoding.partial,
        coverage=round(float(encoding.coverage), 4),
        notes=tuple(dict.fromkeys((*volume.notes, *encoding.notes))),
        not_brain_mri=not encoding.in_range,
    )


def _unmeasured(score: FindingScore) -> FindingScore:
    """A score that no measured threshold applies to: nothing like the scan was measured."""
    return replace(score, threshold=None, flagged=False, operating_point=None, measured=None)


def _notices(series: Sequence[ScoredSeries]) -> list[str]:
    notices: list[str] = []
    for item in series:
        if item.not_brain_mri:
            notices.append(
                f"The uploaded {item.sequence} does not look like a brain MRI: "
                "nothing is flagged in it, and its scores mean nothing."
            )
        if item.partial:
            notices.append(
                f"The uploaded {item.sequence} covers only {item.coverage:.0%} of the brain: "
                + ("scores are less reliable." if item.coverage >= LEAST_COVERAGE else "too little to flag anything.")
            )
        notices.extend(f"Uploaded {item.sequence}: {note}" for note in item.notes)
    return notices
