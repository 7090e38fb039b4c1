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
from encoders.calibration import CalibrationError, OperatingPoint, parse_operating_point
from encoders.findings import ABNORMAL, AskedScore, FindingScore
from encoders.sequences import MRSequence
from encoders.series_encoding import LEAST_COVERAGE
from encoders.text import TextError
from encoders.volume import Volume
from search_api.asked_words import doubt_about
from search_api.query import QueryError
from search_api.retrieval import SeriesQuery
from search_api.scan_answers import ScoredSeries, ScoreReport

MOST_SERIES = 20
MOST_SENTENCES = 20
LONGEST_SENTENCE = 2_000  # characters
_WORD = re.compile(r"[^\W\d_]{2,}")


@dataclass(frozen=True, slots=True)
class EncodedScans:
    """What a search, a score and a report check need of uploaded scans.

    `series` are those that are searched with, `embedding` (D,) is them fused; `encodings` and `scored` are all. `brain`
    is False where none looks like a brain MRI: then it is searched with all. `scorable` are those that findings are
    scored by; where there is none, `unscored` says why, and there are no findings. `not_calibrated` are the titles of
    the findings that have no score with the MR sequences of the scorable.
    """

    series: tuple[SeriesQuery, ...]
    embedding: NDArray[np.float32]
    brain: bool
    encodings: tuple[SeriesEncoding, ...]
    scored: tuple[ScoredSeries, ...]
    findings: tuple[FindingScore, ...]
    notices: tuple[str, ...]
    scorable: tuple[SeriesQuery, ...] = ()
    not_calibrated: tuple[str, ...] = ()
    unscored: str | None = None

    @property
    def abnormal(self) -> FindingScore | None:
        """None where it is not calibrated, or nothing is scored."""
        return next((one for one in self.findings if one.finding == ABNORMAL), None)

    @property
    def sequences(self) -> tuple[MRSequence, ...]:
        """The MR sequences of the series that are scored."""
        return tuple(one.sequence for one in self.scorable if one.sequence is not None)

    def scores(self, encoder: Encoder, point: OperatingPoint | None) -> tuple[FindingScore, ...]:
        """The findings at an operating point; none where nothing is scored."""
        if not self.scorable:
            return ()
        return encoder.score_series(np.stack([one.embedding for one in self.scorable]), self.sequences, point)

    def sequence_of(self, number: int) -> MRSequence | None:
        """The MR sequence of a series by its place, from 0, among all that were given."""
        name = self.scored[number].sequence
        return None if name is None else MRSequence(name)


def encode_scans(encoder: Encoder, volumes: Sequence[Volume], point: OperatingPoint | None = None) -> EncodedScans:
    """Encode each series, and score together those that findings may be scored by, at an operating point.

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
    scored = tuple(
        _scored(number, volume, encoding)
        for number, (volume, encoding) in enumerate(zip(volumes, encodings, strict=True), start=1)
    )
    sequences = [one.sequence for one in series if one.sequence is not None]
    reasons = [(scored_one.sequence, one.unscorable) for scored_one, one in zip(scored, encodings, strict=True)]
    encoded = EncodedScans(
        series=series,
        embedding=encoder.fuse(np.stack([one.embedding for one in series]), sequences),
        brain=brain,
        encodings=tuple(encodings),
        scored=scored,
        findings=(),
        notices=tuple(dict.fromkeys(_notices(scored))),
        scorable=tuple(
            SeriesQuery(encoding.embedding, volume.sequence)
            for volume, encoding in zip(volumes, encodings, strict=True)
            if not encoding.unscorable
        ),
        unscored=why_unscored(reasons),
    )
    findings = encoded.scores(encoder, point)
    untold = not_calibrated(encoder, findings) if encoded.scorable else ()
    return replace(encoded, findings=findings, not_calibrated=untold)


def why_unscored(series: Sequence[tuple[str | None, str]]) -> str | None:
    """Why series, each its MR sequence and why it is unscorable, cannot be scored; None where one of them can be.

    >>> why_unscored([("FLAIR", "it covers only 25% of the brain"), ("T1w", "it does not look like a brain MRI")])
    'FLAIR: it covers only 25% of the brain; T1w: it does not look like a brain MRI'
    """
    if not all(why for _, why in series):
        return None
    return "; ".join(dict.fromkeys(f"{sequence}: {why}" if sequence else why for sequence, why in series))


def not_calibrated(encoder: Encoder, findings: Sequence[FindingScore]) -> tuple[str, ...]:
    """The titles of the encoder's findings that are not among those that have a score."""
    known = {one.finding for one in findings}
    return tuple(one.title for one in encoder.findings if one.name not in known)


def alone_or_with(sequences: Sequence[str]) -> str:
    """MR sequences as the whole of what there is.

    >>> alone_or_with(["T1w"]), alone_or_with(["T1w", "FLAIR"])
    ('T1w alone', 'T1w and FLAIR')
    """
    names = list(dict.fromkeys(map(str, sequences)))
    return f"{names[0]} alone" if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def only_brain(scans: EncodedScans) -> EncodedScans:
    """The same scans; raises EncodingError `not_brain_mri` where none of them looks like a brain MRI."""
    if not scans.brain:
        raise EncodingError(
            "not_brain_mri",
            "What was given does not look like a brain MRI.",
            "Check the file and its MR sequence; a search alone can be made to `insist`.",
        )
    return scans


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


def score_report(
    encoder: Encoder, volumes: Sequence[Volume], ask: Sequence[str] = (), operating_point: str | None = None
) -> ScoreReport:
    """The findings of scans at an operating point, and how they score for the sentences `ask`.

    Raises
    ------
    QueryError
        as encode_scans; `bad_operating_point`; `too_many_sentences`, `too_long`, `no_words`; `no_asking` where
        the encoder answers none
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
    encoded = encode_scans(encoder, volumes, read_operating_point(operating_point))
    return ScoreReport(
        findings=encoded.findings,
        abnormal=encoded.abnormal,
        series=encoded.scored,
        encoder_id=encoder.encoder_id,
        milliseconds=0.0,
        notices=encoded.notices,
        asked=_asked(encoder, encoded, sentences),
        not_calibrated=encoded.not_calibrated,
        unscored=encoded.unscored,
    )


def _asked(encoder: Encoder, scans: EncodedScans, sentences: Sequence[str]) -> tuple[AskedScore, ...]:
    if not sentences:
        return ()
    if not isinstance(encoder, Bundle):
        raise QueryError("no_asking", "This encoder scores the findings of its catalogue only", "Load a bundle.")
    try:
        asked = encoder.ask(scans.embedding, sentences, [one.sequence for one in scans.series if one.sequence])
    except TextError as error:
        raise QueryError("no_words", "Expected sentences with at least one word each", "Write a finding.") from error
    asked = tuple(replace(one, note=doubt_about(one.sentence, encoder.neurobert.tokenize)) for one in asked)
    if scans.scorable:
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


def _notices(series: Sequence[ScoredSeries]) -> list[str]:
    notices: list[str] = []
    for item in series:
        if item.not_brain_mri:
            notices.append(f"The uploaded {item.sequence} does not look like a brain MRI: no finding is scored by it.")
        if item.partial:
            notices.append(
                f"The uploaded {item.sequence} covers only {item.coverage:.0%} of the brain: "
                + ("scores are less reliable." if item.coverage >= LEAST_COVERAGE else "no finding is scored by it.")
            )
        notices.extend(f"Uploaded {item.sequence}: {note}" for note in item.notes)
    return notices
