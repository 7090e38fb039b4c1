"""What a search hands back: answers and hits with their evidence, and the cases that they are of.

Frozen values without a file path in them, the same in process, over HTTP and on the command line: `to_dict` gives the
JSON of the contract and `from_dict` reads it back. What is said of scans is left to scan_answers, how
hits come about to engine.
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


class Document:
    """JSON in both directions for the dataclasses of this file."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        return cast(dict[str, Any], _tidy(_adapter(cast(Hashable, type(self))).dump_python(self, mode="json")))

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        value: Self = _adapter(cast(Hashable, cls)).validate_python(dict(document))
        return value


@dataclass(frozen=True, slots=True)
class SeriesSummary(Document):
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
class ExaminationSummary(Document):
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
class Case(Document):
    """One examination with its report, as a case page shows it."""

    examination: ExaminationSummary
    report: Report | None

    @classmethod
    def of(cls, examination: Examination) -> Self:
        return cls(ExaminationSummary.of(examination), examination.report)


@dataclass(frozen=True, slots=True)
class Evidence(Document):
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
        return _without_empty(Document.to_dict(self))


@dataclass(frozen=True, slots=True)
class Hit(Document):
    """A retrieved case; `copies` are the keys of examinations that are the same one, stored again, and are no hits."""

    rank: int
    score: float
    key: str
    same_participant: bool
    examination: ExaminationSummary
    evidence: tuple[Evidence, ...]
    copies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer(Document):
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
        return _without_empty(Document.to_dict(self))


def _tidy(node: Any) -> Any:
    """The same JSON without the empty members of evidence, wherever that stands."""
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        name: [_without_empty(item) for item in value] if name == "evidence" else _tidy(value)
        for name, value in node.items()
    }


def _without_empty(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value is not None or name not in _OPTIONAL}
