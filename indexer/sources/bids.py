"""A BIDS dataset as a source: participants, sessions, series with their sidecars, and a table of reports.

Ids are the dataset's own, which BIDS wants to be pseudonyms. Derivatives, masks and other columns are left alone, and
a `reports.tsv` in the dataset is read only when it is asked for: withheld reports stay withheld.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from encoders.sequences import recognise_sequence
from indexer.cases import Draft, DraftSeries, Refused, Report
from indexer.report_text import ReportError
from indexer.series_files import KnownFile, inspect, is_volume_file, stem_of
from indexer.sources.tables import (
    Row,
    SourceError,
    Table,
    age_of,
    date_of,
    diagnosis_of,
    read_table,
    report_of,
    sex_of,
)

DATATYPES = ("anat", "dwi", "swi", "perf")
LARGEST_SIDECAR = 4 * 1024**2  # bytes
_NOT_SERIES = re.compile(r"_(?:mask|dseg|probseg|defacemask|sbref|physio|events)$|_desc-", re.IGNORECASE)
_ID = re.compile(r"(?:sub|ses)-[A-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one examination lies: the folder of its session, or of its participant where there are no sessions."""

    participant: str
    session: str | None
    folder: Path


def is_bids(folder: Path) -> bool:
    return (folder / "dataset_description.json").is_file() or any(_folders(folder, "sub-"))


def dataset_name(folder: Path) -> str:
    """The dataset's own name, else the folder's."""
    name = _json(folder / "dataset_description.json").get("Name")
    return name if isinstance(name, str) and name.strip() else folder.resolve().name


def examinations(
    root: Path, source: str, reports: Path | None, known: Mapping[str, KnownFile]
) -> Iterator[Draft | Refused | str]:
    """Drafts and refused items of a dataset, and notes (text) about it as a whole."""
    places = list(_places(root))
    people = _optional_table(root / "participants.tsv")
    about_people, refused = _by_participant(people)
    yield from refused
    found, problems = _reports(read_table(reports) if reports else None, places)
    yield from problems
    if reports is None and (root / "reports.tsv").is_file():
        yield "The dataset has a reports.tsv, which was not used; name it with --reports to take its reports in."
    if people is not None:
        yield from people.notes
    for place in places:
        draft = _draft(place, source, root, known)
        for row in (about_people.get(place.participant), _session_row(place)):
            draft = draft if row is None else _with_details(draft, row)
        report, told = found.get((place.participant, place.session), (None, ()))
        yield replace(draft, report=report, identifiers=(*draft.identifiers, *told)) if report else draft


def _places(root: Path) -> Iterator[_Place]:
    for person in _folders(root, "sub-"):
        for visit in _folders(person, "ses-"):
            yield _Place(person.name, visit.name, visit)
        if any((person / datatype).is_dir() for datatype in DATATYPES) or not any(_folders(person, "ses-")):
            yield _Place(person.name, None, person)


def _draft(place: _Place, source: str, root: Path, known: Mapping[str, KnownFile]) -> Draft:
    series: list[DraftSeries] = []
    for datatype in DATATYPES:
        folder = place.folder / datatype
        if not folder.is_dir():
            continue
        for path in sorted(folder.iterdir()):
            name = stem_of(path)
            if path.is_file() and is_volume_file(path) and not _NOT_SERIES.search(name):
                sequence = recognise_sequence(name, _sidecar(path, root))
                series.append(inspect(path, name, sequence, known))
    return Draft(place.participant, place.session, source, tuple(series))


def _sidecar(path: Path, root: Path) -> dict[str, Any]:
    """The JSON fields of a series, inherited from the dataset's folders above it; the nearest wins."""
    *entities, suffix = stem_of(path).split("_")
    folders = [root]
    for part in path.parent.relative_to(root).parts:
        folders.append(folders[-1] / part)
    fields: dict[str, Any] = {}
    for folder in folders:
        for sidecar in sorted(folder.glob(f"*{suffix}.json"), key=lambda one: len(one.name)):
            *other, ending = sidecar.stem.split("_")
            if ending == suffix and set(other) <= set(entities):
                fields |= _json(sidecar)
    return fields


def _by_participant(table: Table | None) -> tuple[dict[str, Row], list[Refused]]:
    rows: dict[str, Row] = {}
    refused = list(table.refused) if table else []
    for row in table.rows if table else ():
        participant = _prefixed(row.get("participant"), "sub-")
        if participant is None:
            continue
        if participant in rows:
            message = f"{participant} stands in an earlier line already; that one was used."
            refused.append(Refused(f"participants.tsv, line {row.line}", "duplicate_participant", message))
        else:
            rows[participant] = row
    return rows, refused


def _session_row(place: _Place) -> Row | None:
    if place.session is None:
        return None
    table = _optional_table(place.folder.parent / f"{place.participant}_sessions.tsv")
    rows = table.rows if table else ()
    return next((row for row in rows if _prefixed(row.get("session"), "ses-") == place.session), None)


def _with_details(draft: Draft, row: Row) -> Draft:
    age, age_notes = age_of(row)
    sex, sex_notes = sex_of(row)
    day, date_notes = date_of(row)
    return replace(
        draft,
        age=draft.age if age is None else age,
        sex=sex or draft.sex,
        date=day or draft.date,
        diagnosis=diagnosis_of(row) or draft.diagnosis,
        notes=(*draft.notes, *age_notes, *sex_notes, *date_notes),
        identifiers=(*draft.identifiers, *row.identifiers),
    )


def _reports(
    table: Table | None, places: list[_Place]
) -> tuple[dict[tuple[str, str | None], tuple[Report, tuple[str, ...]]], list[Refused | str]]:
    """Reports by participant and session with the row's identifiers, and the rows that fit none."""
    found: dict[tuple[str, str | None], tuple[Report, tuple[str, ...]]] = {}
    problems: list[Refused | str] = [*table.refused, *table.notes] if table else []
    visits_of: dict[str | None, list[tuple[str, str | None]]] = defaultdict(list)
    for place in places:
        visits_of[place.participant].append((place.participant, place.session))
    for row in table.rows if table else ():
        item = f"{table.name if table else ''}, line {row.line}"
        participant, session = _prefixed(row.get("participant"), "sub-"), _prefixed(row.get("session"), "ses-")
        visits = visits_of.get(participant, [])
        key = visits[0] if session is None and len(visits) == 1 else (participant or "", session)
        if key not in visits:
            problems.append(Refused(item, "report_without_scan", f"There is no examination of {_told(participant)}."))
        elif key in found:
            problems.append(Refused(item, "duplicate_report", "An earlier line has a report of this examination."))
        else:
            try:
                report = report_of(row)
            except ReportError as error:
                problems.append(Refused(item, error.code, str(error)))
                continue
            if report:
                found[key] = (report, row.identifiers)
    return found, problems


def _optional_table(path: Path) -> Table | None:
    if not path.is_file():
        return None
    try:
        return read_table(path)
    except SourceError as error:
        if error.code == "bad_header":
            return Table(path.name, frozenset(), (), (Refused(path.name, error.code, str(error)),))
        raise


def _told(participant: str | None) -> str:
    """An id as messages say it: only one that BIDS allows is sure to be none of a person."""
    return participant if participant and _ID.fullmatch(participant) else "this participant"


def _prefixed(identity: str | None, prefix: str) -> str | None:
    """`sub-01` of "sub-01" or "01"."""
    if identity is None:
        return None
    return identity if identity.startswith(prefix) else prefix + identity


def _folders(folder: Path, prefix: str) -> Iterator[Path]:
    for path in sorted(folder.glob(f"{prefix}*")):
        if path.is_dir() and _ID.fullmatch(path.name):
            yield path


def _json(path: Path) -> dict[str, Any]:
    """A JSON object, or nothing where the file is missing, too large or not one: sidecars are hints."""
    try:
        if path.stat().st_size > LARGEST_SIDECAR:
            return {}
        document = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
