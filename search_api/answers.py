"""What the search floor hands back: answers, hits with their evidence, score reports, worklists and report checks.

Frozen values without a file path in them, the same in process, over HTTP and on the command line: `to_dict` gives the
JSON of the contract and `from_dict` reads it back. How they come about is left to engine, triage and report_check.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Self, cast

from pydantic import TypeAdapter

from encoders.findings import FindingScore
from indexer.cases import Examination, Report, Series

BANNER = (
    "For research and education. Not a medical device. Not for diagnosis, triage of patients or treatment decisions."
)

# Members that the contract marks as optional: left out of the JSON where they hold nothing.
_OPTIONAL = frozenset({"text", "assertion", "section", "sequence", "series", "words", "findings"})


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


class _Document:
    """JSON in both directions for the dataclasses of this file."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        document: dict[str, Any] = _adapter(cast(Hashable, type(self))).dump_python(self, mode="json")
        return document

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        value: Self = _adapter(cast(Hashable, cls)).validate_python(dict(document))
        return value


@dataclass(frozen=True, slots=True)
class SeriesSummary(_Document):
    number: int
    sequence: str | None
    name: str
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    partial: bool = False
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, series: Series) -> Self:
        return cls(
            number=series.number,
            sequence=None if series.sequence is None else str(series.sequence),
            name=series.name,
            shape=tuple(int(length) for length in series.shape),
            spacing=tuple(float(length) for length in series.spacing),
            partial=series.partial,
            notes=tuple(series.notes),
        )


@dataclass(frozen=True, slots=True)
class ExaminationSummary(_Document):
    """An examination as it stands beside a hit: everything but the report's text."""

    key: str
    participant: str
    session: str | None
    source: str
    sequences: tuple[str, ...]
    age: float | None
    sex: str | None
    date: str | None
    diagnosis: str | None
    reported: bool
    partial: bool
    series: tuple[SeriesSummary, ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, examination: Examination) -> Self:
        return cls(
            key=examination.key,
            participant=examination.participant,
            session=examination.session,
            source=examination.source,
            sequences=tuple(str(sequence) for sequence in examination.sequences),
            age=examination.age,
            sex=examination.sex,
            date=examination.date,
            diagnosis=examination.diagnosis,
            reported=examination.report is not None,
            partial=examination.partial,
            series=tuple(SeriesSummary.of(series) for series in examination.series),
            notes=tuple(examination.notes),
        )


@dataclass(frozen=True, slots=True)
class Case(_Document):
    """One examination with its report, as a case page shows it."""

    examination: ExaminationSummary
    report: Report | None

    @classmethod
    def of(cls, examination: Examination) -> Self:
        return cls(ExaminationSummary.of(examination), examination.report)


@dataclass(frozen=True, slots=True)
class Evidence(_Document):
    """Why a case was retrieved.

    Kinds: "sentence" is the nearest report sentence, "report" the whole report's vector, "words" the query's words
    found in the report, "image" a stored series (`series` is its number). `score` is 0-1; what it means for each
    kind stands in fusion.
    """

    kind: Literal["sentence", "report", "words", "image"]
    score: float
    text: str | None = None
    assertion: str | None = None
    section: str | None = None
    sequence: str | None = None
    series: int | None = None
    words: tuple[str, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        return _without_empty(_Document.to_dict(self))


@dataclass(frozen=True, slots=True)
class Hit(_Document):
    """A retrieved case; `copies` are the keys of examinations that are the same one, stored again, and are no hits."""

    rank: int
    score: float
    key: str
    same_participant: bool
    examination: ExaminationSummary
    evidence: tuple[Evidence, ...]
    copies: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        document = _Document.to_dict(self)
        document["evidence"] = [_without_empty(item) for item in document["evidence"]]
        return document


@dataclass(frozen=True, slots=True)
class Answer(_Document):
    """One page of hits.

    `total` is the exact number of examinations that pass the filters, whether or not this page shows them;
    `folded` of them are copies of others, of `contradicted` the report says the opposite of what is asked: these are no
    hits. `expanded` are sentences saying how the query was read; `findings` are those of an uploaded scan.
    """

    query: str
    expanded: tuple[str, ...]
    hits: tuple[Hit, ...]
    total: int
    good_match: bool
    generation: str
    encoder_id: str
    milliseconds: float
    page: int = 1
    k: int = 10
    notices: tuple[str, ...] = ()
    findings: tuple[FindingScore, ...] | None = None
    folded: int = 0
    contradicted: int = 0

    @property
    def hits_in_all(self) -> int:
        """How many hits all pages together have."""
        return self.total - self.folded - self.contradicted

    def to_dict(self) -> dict[str, Any]:
        document = _Document.to_dict(self)
        for hit in document["hits"]:
            hit["evidence"] = [_without_empty(item) for item in hit["evidence"]]
        return _without_empty(document)


@dataclass(frozen=True, slots=True)
class ScoredSeries(_Document):
    name: str
    sequence: str | None
    partial: bool
    coverage: float
    notes: tuple[str, ...] = ()
    not_brain_mri: bool = False


@dataclass(frozen=True, slots=True)
class ScoreReport(_Document):
    """The findings of one examination given as files; `abnormal` is also the first of `findings`."""

    findings: tuple[FindingScore, ...]
    abnormal: FindingScore
    series: tuple[ScoredSeries, ...]
    encoder_id: str
    milliseconds: float
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TriageEntry(_Document):
    """An unreported examination; `reasons` are the findings that put it where it stands, highest first."""

    rank: int
    key: str
    score: float
    flagged: bool
    examination: ExaminationSummary
    reasons: tuple[FindingScore, ...]


@dataclass(frozen=True, slots=True)
class Worklist(_Document):
    """Examinations without a report in reading order.

    `threshold` and `operating_point` belong to the "abnormal" score; both are None where the encoder has no
    measured figures, and nothing is flagged then.
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
class Statement(_Document):
    """A report sentence about a finding that the scan's score does not bear out."""

    text: str
    section: str
    assertion: str
    finding: str
    title: str
    score: float
    threshold: float
    message: str


@dataclass(frozen=True, slots=True)
class Unmentioned(_Document):
    """A finding flagged in the scan about which the report says nothing."""

    finding: str
    title: str
    score: float
    threshold: float
    message: str


@dataclass(frozen=True, slots=True)
class ReportCheck(_Document):
    """`checked` counts the report's sentences that name a finding of the catalogue."""

    statements: tuple[Statement, ...]
    unmentioned: tuple[Unmentioned, ...]
    findings: tuple[FindingScore, ...]
    checked: int
    encoder_id: str
    milliseconds: float
    notices: tuple[str, ...] = ()


def _without_empty(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value is not None or name not in _OPTIONAL}
