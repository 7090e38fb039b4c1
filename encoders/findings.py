"""The findings that a bundle scores: their names, their prompts, and how a similarity becomes a calibrated score.

A finding's raw score is how much nearer an embedding lies to sentences that state the finding than to sentences that
deny it. `calibration` turns that into 0-1 and gives the threshold with the figures that were measured for it. Without a
calibration a finding has no score; without a threshold it is never flagged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.calibration import Calibration, Measured, OperatingPoint, UnreachableError

ABNORMAL = "abnormal"
UNTOLD_THERE = "At this operating point the threshold flags no more with it than without: it is never flagged."
UNTOLD = "These MR sequences did not tell it from its absence where that was measured: it is never flagged."


@dataclass(frozen=True, slots=True)
class Finding:
    """A named abnormality with sentences that state it and sentences that deny it.

    `terms` are ids of public terminologies that name just this, `narrower` those that name a kind of it; `kind_of` is
    the finding that is there wherever this one is. `words` are those of which one begins a word in a report that names
    it; of the shipped findings the indexer keeps them.
    """

    name: str
    title: str
    present: tuple[str, ...]
    absent: tuple[str, ...]
    terms: tuple[str, ...] = ()
    kind_of: str | None = None
    words: tuple[str, ...] = ()
    narrower: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FindingScore:
    """One finding of one examination: a calibrated score 0-1, flagged where it reaches the measured threshold.

    `note` says why there is no threshold where one might be expected.
    """

    finding: str
    title: str
    score: float
    threshold: float | None
    flagged: bool
    operating_point: str | None
    measured: Measured | None
    note: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FindingScore:
        measured = data.get("measured")
        return cls(
            finding=str(data["finding"]),
            title=str(data.get("title", data["finding"])),
            score=float(data["score"]),
            threshold=None if data.get("threshold") is None else float(data["threshold"]),
            flagged=bool(data["flagged"]),
            operating_point=data.get("operating_point"),
            measured=None if measured is None else Measured.from_dict(measured),
            note=data.get("note"),
        )


@dataclass(frozen=True, slots=True)
class AskedScore:
    """How an examination scores for any sentence, beside `n` normal examinations that were measured (`data`).

    `similarity` is the cosine to the sentence, -1 to 1; `above_normal` the share of those normal examinations that lie
    further from it, None where there are none with these MR sequences. It has no threshold and is never flagged. `note`
    says where the figures mean little.
    """

    sentence: str
    similarity: float
    above_normal: float | None
    n: int
    data: str
    note: str | None = None


def raw_scores(
    embeddings: NDArray[np.float32], present: NDArray[np.float32], absent: NDArray[np.float32]
) -> NDArray[np.float32]:
    """How much nearer each embedding is to the stating than to the denying sentences.

    Parameters
    ----------
    embeddings : (N, D) unit length
    present, absent : (P, D) and (A, D) unit length

    Returns
    -------
    (N,) mean cosine to `present` minus mean cosine to `absent`, in -2..2
    """
    difference: NDArray[np.float32] = embeddings @ (present.mean(axis=0) - absent.mean(axis=0))
    return difference


def finding_score(
    finding: Finding, raw: float, calibration: Calibration, point: OperatingPoint | None = None
) -> FindingScore:
    """One finding's score, with the threshold of the operating point.

    It has none, and a note says why, where its score or the threshold was found to say nothing, or where no threshold
    reaches the operating point.
    """
    score, point = calibration.score(raw), point or calibration.operating_point
    without = partial(FindingScore, finding.name, finding.title, score, None, False)
    if not calibration.told:
        return without(None, None, UNTOLD)
    try:
        threshold = calibration.threshold(point)
    except UnreachableError as error:
        return without(str(point), None, f"{error}.")
    measured = calibration.measured(threshold)
    if measured.sensitivity_interval[0] <= 1 - measured.specificity:
        return without(str(point), None, UNTOLD_THERE)
    return FindingScore(
        finding=finding.name,
        title=finding.title,
        score=score,
        threshold=threshold,
        flagged=score >= threshold,
        operating_point=str(point),
        measured=measured,
    )
