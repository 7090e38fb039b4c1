"""Tables of people, sessions and reports: TSV, CSV with any usual delimiter, or JSON lines.

A row that cannot be read is refused by its line and the others go on. What the columns mean for an examination is left
to `bids` and `folder`.
"""

from __future__ import annotations

import csv
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from importlib.resources import files
from pathlib import Path

from indexer.cases import FilterError, Refused, Report, Section, parse_sex
from indexer.deidentify import names_something
from indexer.report_text import ReportError, clean, make_report

LARGEST_TABLE = 1024**3  # bytes
LONGEST_ROW = 500  # lines that one quoted row may span; a quote that is never closed spans more
_DELIMITERS = "\t;,|"
_ALIASES = {
    "participant": ("participant_id", "participant", "subject", "subject_id", "patient", "patient_id"),
    "session": ("session_id", "session", "visit", "visit_id"),
    "file": ("file", "files", "filename", "path", "folder", "image", "scan"),
    "age": ("age", "age_years"),
    "sex": ("sex", "gender"),
    "date": ("date", "examination_date", "study_date", "acquisition_date", "acq_time", "scan_date"),
    "diagnosis": ("diagnosis", "diagnoses"),
    "text": ("text", "report", "report_text"),
    "provenance": ("provenance",),
    "findings": ("findings", "finding"),
    "impression": ("impression", "impressions", "conclusion"),
    "indication": ("indication", "clinical_information", "history"),
    "technique": ("technique", "protocol"),
    "comparison": ("comparison",),
}
_COLUMN = {alias: name for name, aliases in _ALIASES.items() for alias in aliases}
# Columns that tell who somebody is, by the parts of their titles; their values are looked for in the texts.
_IDENTIFYING = frozenset(
    tomllib.loads(files("indexer").joinpath("data", "name_words.toml").read_text("utf-8"))[
        "identifying_columns"
    ].split()
)
_SECTIONS = (Section.FINDINGS, Section.IMPRESSION, Section.INDICATION, Section.TECHNIQUE, Section.COMPARISON)
_MISSING = frozenset({"", "n/a", "na", "nan", "none", "null", "-"})


class SourceError(ValueError):
    """A source or table that cannot be taken in at all; `code` for programs, `hint` for people."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table by the names of `_ALIASES`; of other columns only those that tell who somebody is are kept."""

    line: int
    values: Mapping[str, str]
    identifiers: tuple[str, ...] = ()

    def get(self, name: str) -> str | None:
        value = self.values.get(name, "").strip()
        return None if value.casefold() in _MISSING else value


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    columns: frozenset[str]
    rows: tuple[Row, ...]
    refused: tuple[Refused, ...]
    notes: tuple[str, ...] = field(default=())

    def place(self, line: int) -> str:
        return f"{self.name}, line {line}"


def read_table(path: Path) -> Table:
    """A table in UTF-8 (with or without BOM), UTF-16 or Windows-1252.

    Raises
    ------
    SourceError
        when the file is missing, too large, or has no header that names a participant or a file
    """
    name = "the table" if names_something(path.stem) else path.name
    try:
        if path.stat().st_size > LARGEST_TABLE:
            raise SourceError("table_too_large", f"Expected at most 1 GiB in {name}.", "Split the table.")
        content = path.read_bytes()
    except OSError as error:
        raise SourceError("table_missing", f"The table {name} cannot be read.", "Look at its name.") from error
    text, notes = _decoded(content, name)
    if path.suffix.lower() in (".jsonl", ".ndjson", ".json") or text.lstrip()[:1] in ("{", "["):
        columns, rows, refused = _json_rows(text, name)
    else:
        columns, rows, refused = _delimited_rows(text, name)
    if not columns & {"participant", "session", "file"}:
        raise SourceError(
            "bad_header",
            f"Expected a column participant_id or file in {name}, found neither.",
            "The first line names the columns.",
        )
    return Table(name, columns, rows, refused, notes)


def report_of(row: Row) -> Report | None:
    """The report of a row, of its columns of sections or its text. Raises ReportError."""
    parts = {section: row.get(section) or "" for section in _SECTIONS}
    return make_report(parts, row.get("text") or "", row.get("provenance") or "")


def age_of(row: Row) -> tuple[float | None, tuple[str, ...]]:
    """Age in years, also of "063Y", "90+" and "18M" (months); a note where it cannot be read."""
    text = row.get("age")
    if text is None:
        return None, ()
    found = re.fullmatch(r"(\d{1,3}(?:[.,]\d+)?)\s*([YMWD]?)\w*\s*\+?", text, re.IGNORECASE)
    years = float(found[1].replace(",", ".")) if found else -1.0
    years /= {"M": 12.0, "W": 52.18, "D": 365.25}.get(found[2].upper(), 1.0) if found else 1.0
    if not 0.0 <= years <= 130.0:
        return None, ("Its age could not be read.",)
    return round(years, 2), ()


def sex_of(row: Row) -> tuple[str | None, tuple[str, ...]]:
    try:
        return parse_sex(row.get("sex")), ()
    except FilterError:
        return None, ("Its sex could not be read.",)


def date_of(row: Row) -> tuple[str | None, tuple[str, ...]]:
    """ISO date, of "2024-05-31", "20240531", "31.05.2024" or a date with time; a note where it cannot be read."""
    text = row.get("date")
    if text is None:
        return None, ()
    for layout in ("%Y%m%d", "%d.%m.%Y", "%Y/%m/%d"):
        try:
            return datetime.strptime(text, layout).date().isoformat(), ()
        except ValueError:
            continue
    try:
        return date.fromisoformat(text[:10]).isoformat(), ()
    except ValueError:
        return None, ("Its date could not be read.",)


def diagnosis_of(row: Row) -> str | None:
    try:
        return (clean(row.get("diagnosis") or "")[:500]) or None
    except ReportError:
        return None


def _decoded(content: bytes, name: str) -> tuple[str, tuple[str, ...]]:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace"), ()
    try:
        return content.decode("utf-8-sig"), ()
    except UnicodeDecodeError:
        note = f"{name} is not UTF-8; it was read as Windows-1252."
        return content.decode("cp1252", "replace"), (note,)


def _json_rows(text: str, name: str) -> tuple[frozenset[str], tuple[Row, ...], tuple[Refused, ...]]:
    rows, refused, columns = [], [], set()
    for line, document, problem in _documents(text):
        if isinstance(document, dict):
            values = {
                known: value if isinstance(value, str) else json.dumps(value)
                for key, value in document.items()
                if (known := _COLUMN.get(_column(str(key)))) and value is not None
            }
            columns |= set(values)
            told = (str(value) for key, value in document.items() if _identifies(str(key)) and value is not None)
            rows.append(Row(line, values, tuple(filter(None, map(str.strip, told)))))
        else:
            refused.append(Refused(f"{name}, line {line}", "bad_row", problem or "Expected a JSON object."))
    return frozenset(columns), tuple(rows), tuple(refused)


def _documents(text: str) -> Iterator[tuple[int, object, str]]:
    if text.lstrip().startswith("["):
        try:
            yield from ((number, document, "") for number, document in enumerate(json.loads(text), start=1))
        except (ValueError, RecursionError):
            yield 1, None, "Expected a list of JSON objects."
        return
    for line, words in enumerate(text.split("\n"), start=1):
        if words.strip():
            try:
                yield line, json.loads(words), ""
            except (ValueError, RecursionError) as error:
                yield line, None, f"Expected one JSON object a line: {str(error)[:80]}."


def _delimited_rows(text: str, name: str) -> tuple[frozenset[str], tuple[Row, ...], tuple[Refused, ...]]:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    delimiter = max(_DELIMITERS, key=lines[first].count)
    header = next(csv.reader([lines[first]], delimiter=delimiter), [])
    columns = [_COLUMN.get(_column(title)) for title in header]
    telling = [_identifies(title) for title in header]
    rows, refused = [], []
    number = first + 1
    while number < len(lines):
        fields, used = _fields(lines, number, delimiter, len(header))
        place = number + 1
        number += used
        if fields is None or len(fields) > len(header):
            found = "a quote that is not closed" if fields is None else f"{len(fields)} fields"
            refused.append(Refused(f"{name}, line {place}", "bad_row", f"Expected {len(header)} fields, got {found}."))
        elif any(value.strip() for value in fields):
            pairs = zip(columns, fields, strict=False)
            told = tuple(
                value.strip() for tells, value in zip(telling, fields, strict=False) if tells and value.strip()
            )
            rows.append(Row(place, {column: value for column, value in pairs if column and value.strip()}, told))
    return frozenset(filter(None, columns)), tuple(rows), tuple(refused)


def _fields(lines: list[str], number: int, delimiter: str, expected: int) -> tuple[list[str] | None, int]:
    """The fields of the row that begins at a line, and how many lines it takes; None where quotes do not close."""
    if '"' not in lines[number]:
        return lines[number].split(delimiter), 1
    reader = csv.reader(
        (line + "\n" for line in lines[number : number + LONGEST_ROW]), delimiter=delimiter, strict=True
    )
    try:
        return next(reader), reader.line_num
    except (csv.Error, StopIteration):
        # In TSV a quote is a quote (BIDS); elsewhere it opens a field, and this one is never closed.
        plain = lines[number].split(delimiter)
        opened = delimiter != "\t" and any(value.lstrip().startswith('"') for value in plain)
        return (plain if len(plain) == expected and not opened else None), 1


def _identifies(title: str) -> bool:
    """Whether a column of no other meaning tells who somebody is.

    >>> _identifies("Patient Name"), _identifies("filename"), _identifies("scanner")
    (True, False, False)
    """
    name = _column(title)
    return name not in _COLUMN and not _IDENTIFYING.isdisjoint(name.split("_"))


def _column(title: str) -> str:
    return re.sub(r"[\s-]+", "_", title.strip().strip("\ufeff").casefold())
