"""What is said of scans and reports: scores, the worklist, suggested findings and report checks.

Frozen values as in `answers`. How they come about is left to scoring, triage, suggestions and report_check.
"""

from dataclasses import dataclass
from typing import Literal

from encoders.calibration import Measured
from encoders.findings import AskedScore, FindingScore
from search_api.answers import Document, ExaminationSummary, Hit

Group = Literal["scored", "no_threshold", "not_scored"]


@dataclass(frozen=True, slots=True)
class ScoredSeries(Document):
    name: str
    sequence: str | None
    partial: bool
    coverage: float
    notes: tuple[str, ...] = ()
    not_brain_mri: bool = False


@dataclass(frozen=True, slots=True)
class ScoreReport(Document):
    """The findings of one examination given as files; `abnormal` is also among the `findings`.

    `not_calibrated` are the titles of the findings that have no score with these MR sequences. Where no series can be
    scored, `unscored` says why, and there are no findings. `asked` are the sentences that were asked besides.
    """

    findings: tuple[FindingScore, ...]
    abnormal: FindingScore | None
    series: tuple[ScoredSeries, ...]
    encoder_id: str
    milliseconds: float
    notices: tuple[str, ...] = ()
    asked: tuple[AskedScore, ...] = ()
    not_calibrated: tuple[str, ...] = ()
    unscored: str | None = None

    @property
    def shown(self) -> tuple[str, ...]:
        """Keys of the stored cases that are in it: none."""
        return ()


@dataclass(frozen=True, slots=True)
class StoredScores(Document):
    """The findings of a stored examination; `not_calibrated` and `unscored` as in ScoreReport."""

    findings: tuple[FindingScore, ...]
    not_calibrated: tuple[str, ...] = ()
    unscored: str | None = None


@dataclass(frozen=True, slots=True)
class TriageEntry(Document):
    """An unreported examination; `reasons` are the flagged findings, or the highest one with a threshold.

    The groups follow each other: those with a `threshold` by their score, those without in an order of their own, and
    those that cannot be scored; `why` says of the latter two why they stand there. An uncalibrated score is not shown.
    `threshold`, and what was `measured` for it, are those of examinations with the same MR sequences; with them the
    `predictive_values` (positive, negative) at a prevalence that was given.
    """

    rank: int
    key: str
    score: float | None
    flagged: bool
    examination: ExaminationSummary
    reasons: tuple[FindingScore, ...]
    group: Group = "scored"
    why: str | None = None
    threshold: float | None = None
    operating_point: str | None = None
    measured: Measured | None = None
    predictive_values: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Worklist(Document):
    """Examinations without a report in reading order.

    `threshold` and `operating_point` belong to the "abnormal" score. The threshold is None where it differs between
    entries by their MR sequences, or where there is none: nothing is flagged then.
    """

    operating_point: str | None
    threshold: float | None
    entries: tuple[TriageEntry, ...]
    total: int
    generation: str
    encoder_id: str
    milliseconds: float
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place(Document):
    """Where a series, counted from 1, shows a finding most: voxel X Y Z in RAS+ order, place in mm, and side."""

    series: int
    sequence: str | None
    voxel: tuple[int, int, int]
    millimetres: tuple[float, float, float]
    side: Literal["left", "right"] | None = None


@dataclass(frozen=True, slots=True)
class Suggestion(Document):
    """A flagged finding for the report, as a draft `sentence`, with what speaks for it.

    `sequence` is the MR sequence that shows it best by its score; `alternatives` are the titles of other flagged
    findings that show most in the same place. `similar` are reported cases near to the scan that have the finding,
    `look_alike` is the nearest that has not.
    """

    rank: int
    finding: str
    title: str
    sentence: str
    score: FindingScore
    sequence: str | None
    place: Place | None
    alternatives: tuple[str, ...] = ()
    similar: tuple[Hit, ...] = ()
    look_alike: tuple[Hit, ...] = ()


@dataclass(frozen=True, slots=True)
class Suggestions(Document):
    """Suggested findings of one examination, likeliest first; none where nothing reaches its threshold."""

    suggestions: tuple[Suggestion, ...]
    abnormal: FindingScore | None
    findings: tuple[FindingScore, ...]
    encoder_id: str
    milliseconds: float
    notices: tuple[str, ...] = ()
    not_calibrated: tuple[str, ...] = ()
    unscored: str | None = None

    @property
    def shown(self) -> tuple[str, ...]:
        """Keys of the stored cases that are in it."""
        return tuple(hit.key for one in self.suggestions for hit in (*one.similar, *one.look_alike))


@dataclass(frozen=True, slots=True)
class Statement(Document):
    """A report sentence about a finding that the scan does not bear out: stated, denied, or on the other side.

    `false_alarms` is how often a right statement was flagged so where that was measured: share, and the ends of its
    95 % interval. `similar` are reported cases near to the scan whose reports side with the scan. A side is told by
    lesion masks, not by a score: `score` and `threshold` are None then.
    """

    text: str
    section: str
    assertion: str
    finding: str
    title: str
    score: float | None
    threshold: float | None
    message: str
    kind: Literal["stated", "denied", "side"] = "stated"
    false_alarms: tuple[float, float, float] | None = None
    similar: tuple[Hit, ...] = ()


@dataclass(frozen=True, slots=True)
class Unmentioned(Document):
    """A finding flagged in the scan about which the report says nothing; the rest is as in Statement."""

    finding: str
    title: str
    score: float
    threshold: float
    message: str
    false_alarms: tuple[float, float, float] | None = None
    similar: tuple[Hit, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckThreshold(Document):
    """A threshold that the check itself uses for a finding, chosen for few false alarms, with what was measured there.

    `use` says for what: findings that a report denies or leaves out (flagged from it on), or states (flagged below).
    """

    finding: str
    title: str
    use: Literal["denied", "stated"]
    threshold: float
    operating_point: str | None
    measured: Measured | None


@dataclass(frozen=True, slots=True)
class LookAgain(Document):
    """A finding that the report denies (`text`) or leaves out, whose score lies between two thresholds; no flag.

    It reaches the `threshold` of screening, with the figures `measured` for that, but not the stricter one of the
    check, which is None where the check has none for it.
    """

    finding: str
    title: str
    kind: Literal["denied", "unmentioned"]
    score: float
    threshold: float
    check_threshold: float | None
    message: str
    measured: Measured | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Contradiction(Document):
    """Two sentences of a report that do not agree on a finding's presence, side or severity; no scan is needed."""

    kind: Literal["presence", "side", "severity"]
    finding: str
    title: str
    first: str
    second: str
    message: str


@dataclass(frozen=True, slots=True)
class ReportCheck(Document):
    """`checked` counts the report's sentences that could be compared: with a finding's threshold, or with each other.

    `findings` are empty where no scan was given: then only the report's own `contradictions` were looked for, among
    `cross_checked` sentences. `outside` says why nothing was compared: the report is in another language, or of another
    part of the body. `thresholds` are the check's own; at them a finding that is there and denied or left out is
    flagged in a share `finds` of the examinations: mean of the findings, lowest, and highest.
    """

    statements: tuple[Statement, ...]
    unmentioned: tuple[Unmentioned, ...]
    findings: tuple[FindingScore, ...]
    checked: int
    encoder_id: str
    milliseconds: float
    notices: tuple[str, ...] = ()
    contradictions: tuple[Contradiction, ...] = ()
    cross_checked: int = 0
    outside: Literal["language", "body_part"] | None = None
    thresholds: tuple[CheckThreshold, ...] = ()
    finds: tuple[float, float, float] | None = None
    look_again: tuple[LookAgain, ...] = ()

    @property
    def shown(self) -> tuple[str, ...]:
        """Keys of the stored cases that are in it."""
        similar = (*(one.similar for one in self.statements), *(one.similar for one in self.unmentioned))
        return tuple(hit.key for hits in similar for hit in hits)
