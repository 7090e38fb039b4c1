"""What the case store holds, as frozen values: examinations with their series and reports, and filters over them.

Nothing here has a file path in it, so that everything may reach the API. `Draft` and its parts are what a source hands
to the store. How they are kept is left to `case_store`, how sentences get their assertion to `assertions`.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path

from encoders.sequences import MRSequence, SequenceError, parse_sequence

KEY_LENGTH = 12  # characters of base32, 60 bits: a collision among a million examinations is less likely than 1e-6
OLDEST_AGE = 130.0  # years


class Assertion(StrEnum):
    """What a clause says of its findings; a normal statement ("Normal study.") is `present`."""

    PRESENT = "present"
    ABSENT = "absent"
    UNCERTAIN = "uncertain"
    HISTORICAL = "historical"
    HYPOTHETICAL = "hypothetical"
    FAMILY = "family"


class Section(StrEnum):
    FINDINGS = "findings"
    IMPRESSION = "impression"
    INDICATION = "indication"
    TECHNIQUE = "technique"
    COMPARISON = "comparison"
    BODY = "body"


class CaseMissing(ValueError):
    """No examination, series, sentence or collection with that key."""


class FilterError(ValueError):
    """A filter that cannot be read; `field` names it, `hint` says what is expected."""

    def __init__(self, field: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.field = field
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Series:
    """One stack of slices; `shape` in voxels X Y Z, `spacing` in mm, `name` the file's stem.

    `unscorable` says why no finding may be scored by it; empty where it may be, or where it was not encoded yet.
    """

    number: int
    sequence: MRSequence | None
    name: str
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    partial: bool = False
    notes: tuple[str, ...] = ()
    unscorable: str = ""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One clause of a report: a sentence that both states and denies is split, so that each has one assertion."""

    number: int
    text: str
    section: Section
    assertion: Assertion


@dataclass(frozen=True, slots=True)
class Report:
    text: str
    sections: tuple[tuple[Section, str], ...]
    sentences: tuple[Sentence, ...]
    provenance: str = ""


@dataclass(frozen=True, slots=True)
class Examination:
    """One visit to the scanner. `session` is None where the source has no sessions, `date` is ISO 8601."""

    key: str
    participant: str
    session: str | None
    source: str
    age: float | None
    sex: str | None
    date: str | None
    diagnosis: str | None
    sequences: tuple[MRSequence, ...]
    series: tuple[Series, ...]
    report: Report | None
    partial: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WordMatch:
    """Words found in a sentence, or, where `sentence_id` is None, in the report and diagnosis as a whole.

    `score` is bm25 turned positive, so that higher is better; scores of sentences and of whole reports are not on one
    scale. `words` are those of the asked words that stand there.
    """

    examination_id: int
    score: float
    sentence_id: int | None
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """An item that was not taken in, with a code for programs and a sentence for people."""

    item: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Collection:
    """A teaching folder; `entries` are examination keys with a note each, in the curator's order."""

    name: str
    title: str
    created: str
    entries: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Counts:
    examinations: int
    reported: int
    participants: int
    series: int
    sentences: int
    refused: int


@dataclass(frozen=True, slots=True)
class CaseFilter:
    """Which examinations may be answered; None lets all pass. Ages in years and dates are inclusive.

    `finding` is met by a report that states the finding, or, where there is no report, by a scan flagged for it.
    """

    sequence: MRSequence | None = None
    sex: str | None = None
    age_min: float | None = None
    age_max: float | None = None
    since: date | None = None
    until: date | None = None
    source: str | None = None
    finding: str | None = None
    reported: bool | None = None

    @property
    def empty(self) -> bool:
        return self == CaseFilter()

    @classmethod
    def parse(
        cls,
        *,
        sequence: str | None = None,
        sex: str | None = None,
        age: str | None = None,
        since: str | None = None,
        until: str | None = None,
        source: str | None = None,
        finding: str | None = None,
        reported: bool | None = None,
    ) -> CaseFilter:
        """A filter from what people type; blank means not given.

        Raises
        ------
        FilterError
            with the field and what was expected

        >>> CaseFilter.parse(sequence="flair", age="40-60", since="2024").age_max
        60.0
        """
        youngest, oldest = parse_age(age)
        first, last = parse_date("since", since, last=False), parse_date("until", until, last=True)
        if first and last and first > last:
            raise FilterError("since", f"Expected since before until, got {first} and {last}.", "Swap the two dates.")
        return cls(
            sequence=_parse_sequence(sequence),
            sex=parse_sex(sex),
            age_min=youngest,
            age_max=oldest,
            since=first,
            until=last,
            source=(source or "").strip() or None,
            finding=(finding or "").strip().casefold().replace(" ", "_").replace("-", "_") or None,
            reported=reported,
        )


@dataclass(frozen=True, slots=True)
class DraftSeries:
    """One file as a source found it; `problem` (code, message) says why it cannot be used.

    `shown` is what people who look for the file are told, where its name may be a person's.
    """

    path: Path
    name: str
    sequence: MRSequence | None
    shape: tuple[int, ...] = ()
    spacing: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    size: int = 0
    modified: int = 0
    digest: str = ""
    problem: tuple[str, str] | None = None
    shown: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """An examination as a source hands it to the store.

    With `keep_report` a report that the store has stays where this has none: reports were not asked for. `identifiers`
    are what the source knows of the person and the visit (ids, names, numbers): looked for in the texts, never stored.
    `origin` says where the source tells of it ("cases.csv, line 4"), for people.
    """

    participant: str
    session: str | None
    source: str
    series: tuple[DraftSeries, ...] = ()
    report: Report | None = None
    age: float | None = None
    sex: str | None = None
    date: str | None = None
    diagnosis: str | None = None
    notes: tuple[str, ...] = ()
    keep_report: bool = False
    identifiers: tuple[str, ...] = ()
    origin: str = ""

    @property
    def key(self) -> str:
        return examination_key(self.source, self.participant, self.session)


def examination_key(source: str, participant: str, session: str | None) -> str:
    """The same key for the same examination at every ingest.

    >>> examination_key("cohort", "sub-01", None) == examination_key("cohort", "sub-01", None)
    True
    """
    identity = "\x1f".join((source, participant, session or ""))
    return base64.b32encode(hashlib.sha256(identity.encode("utf-8", "replace")).digest()).decode()[:KEY_LENGTH].lower()


def parse_sex(text: str | None) -> str | None:
    """F, M or O.

    >>> parse_sex("female"), parse_sex("m"), parse_sex("")
    ('F', 'M', None)
    """
    word = (text or "").strip().casefold()
    if not word or word in {"n/a", "na", "unknown", "u", "-"}:
        return None
    for letter, names in (("F", {"f", "female", "woman", "w"}), ("M", {"m", "male", "man"}), ("O", {"o", "other"})):
        if word in names:
            return letter
    raise FilterError("sex", f"Expected F, M or O as sex, got '{word[:20]}'.", "Write F, M or O.")


def parse_age(text: str | None) -> tuple[float | None, float | None]:
    """The range of ages, in years, that a text names.

    >>> parse_age("40-60"), parse_age("65"), parse_age("70-"), parse_age("-18")
    ((40.0, 60.0), (65.0, 65.0), (70.0, None), (None, 18.0))
    """
    words = (text or "").strip().replace("–", "-")
    if not words:
        return None, None
    found = re.fullmatch(r"(\d{1,3}(?:\.\d+)?)?\s*(-)?\s*(\d{1,3}(?:\.\d+)?)?", words)
    low, dash, high = found.groups() if found else (None, None, None)
    if low is None and high is None:
        raise FilterError("age", f"Expected an age or a range of ages, got '{words[:20]}'.", "Write 40-60, 40- or 50.")
    youngest = float(low) if low is not None else None
    oldest = float(high) if high is not None else (None if dash else youngest)
    if (youngest or 0.0) > (OLDEST_AGE if oldest is None else oldest) or (oldest or 0.0) > OLDEST_AGE:
        raise FilterError("age", f"Expected the younger age first and none above 130, got '{words}'.", "Write 40-60.")
    return youngest, oldest


def parse_date(field: str, text: str | None, *, last: bool) -> date | None:
    """A day; a bare year or month means its first day, or with `last` its last.

    >>> parse_date("until", "2024-02", last=True)
    datetime.date(2024, 2, 29)
    """
    words = (text or "").strip()
    if not words:
        return None
    found = re.fullmatch(r"(\d{4})(?:-(\d{1,2}))?(?:-(\d{1,2}))?", words)
    if found:
        year, month, day = (int(part) if part else None for part in found.groups())
        try:
            return _day(int(year or 0), month, day, last=last)
        except ValueError:
            pass
    raise FilterError(field, f"Expected a date in {field}, got '{words[:20]}'.", "Write 2024-05-31, 2024-05 or 2024.")


def _day(year: int, month: int | None, day: int | None, *, last: bool) -> date:
    if day is not None:
        return date(year, month or 1, day)
    if not last:
        return date(year, month or 1, 1)
    month = month or 12
    following = date(year + month // 12, month % 12 + 1, 1)
    return date.fromordinal(following.toordinal() - 1)


def _parse_sequence(text: str | None) -> MRSequence | None:
    if not (text or "").strip():
        return None
    try:
        return parse_sequence(str(text))
    except SequenceError as error:
        raise FilterError("sequence", str(error), "Name an MR sequence.") from error
