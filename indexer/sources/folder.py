"""A folder of NIfTI files as a source, with or without a table of reports.

Without a table every sub-folder is an examination, and in the folder itself files with the same beginning are one
(`case07_T1.nii.gz`, `case07_FLAIR.nii.gz`). With a table its rows say what belongs together. Ids and file names may be
people's names here, so the store gets pseudonyms.
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from encoders.sequences import recognise_sequence
from indexer.cases import Draft, DraftSeries, Refused, Report, Section
from indexer.pseudonyms import Pseudonyms
from indexer.report_text import ReportError, make_report
from indexer.series_files import KnownFile, inspect, is_volume_file, stem_of
from indexer.sources.tables import Row, age_of, date_of, diagnosis_of, read_table, report_of, sex_of

_FROM_DIAGNOSIS = "the table's column diagnosis; there is no report"
Identity = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class FolderSource:
    """The folder, what the store calls it, what is known of its files, and their numbers in order of path."""

    root: Path
    name: str
    pseudonyms: Pseudonyms
    known: Mapping[str, KnownFile]
    files: Mapping[Path, int] = field(default_factory=dict)


def examinations(source: FolderSource, reports: Path | None) -> Iterator[Draft | Refused | str]:
    """Drafts and refused items of a folder, and notes (text) about it as a whole."""
    files = sorted(path for path in source.root.rglob("*") if path.is_file() and is_volume_file(path))
    source = replace(source, files={path: number for number, path in enumerate(files, start=1)})
    unlisted = list(files)
    if reports:
        table = read_table(reports)
        yield from table.refused
        yield from table.notes
        catalogue = _Catalogue(source.root, files)
        listed: set[Path] = set()
        seen: dict[Identity, int] = {}
        for row in table.rows:
            paths = catalogue.files_of(row)
            yield _from_row(source, row, paths, table.place(row.line), seen)
            listed |= set(paths)
        unlisted = [path for path in files if path not in listed]
        if unlisted:
            yield f"{len(unlisted)} files stand in no line of {table.name}; they are taken in without a report."
    groups: dict[Identity, list[Path]] = defaultdict(list)
    for path in unlisted:
        groups[_identity_of(path, source.root)].append(path)
    for identity, paths in groups.items():
        yield _draft(source, identity, paths)


def _from_row(
    source: FolderSource, row: Row, paths: list[Path], item: str, seen: dict[Identity, int]
) -> Draft | Refused:
    identity: Identity = (row.get("participant") or "", row.get("session"))
    if not paths:
        return Refused(item, "report_without_scan", "No file of this line was found in the folder.")
    if not identity[0]:
        identity = _identity_of(paths[0], source.root)
    if identity in seen:
        return Refused(item, "duplicate_examination", f"Line {seen[identity]} has the same participant and session.")
    seen[identity] = row.line
    try:
        report = report_of(row) or _from_diagnosis(row)
    except ReportError as error:
        return Refused(item, error.code, str(error))
    age, age_notes = age_of(row)
    sex, sex_notes = sex_of(row)
    day, date_notes = date_of(row)
    draft = _draft(source, identity, paths)
    return replace(
        draft,
        report=report,
        age=age,
        sex=sex,
        date=day,
        diagnosis=diagnosis_of(row),
        notes=(*age_notes, *sex_notes, *date_notes),
        identifiers=(*draft.identifiers, *row.identifiers),
        origin=item,
    )


def _from_diagnosis(row: Row) -> Report | None:
    """A table of cases with a diagnosis each says as much as a one-line impression."""
    diagnosis = diagnosis_of(row)
    return make_report({Section.IMPRESSION: diagnosis}, provenance=_FROM_DIAGNOSIS) if diagnosis else None


def _draft(source: FolderSource, identity: Identity, paths: list[Path]) -> Draft:
    participant, session = identity
    return Draft(
        participant=source.pseudonyms.name("p", source.name, participant),
        session=None if session is None else source.pseudonyms.name("s", source.name, participant, session),
        source=source.name,
        series=tuple(_series(source, path) for path in paths),
        identifiers=tuple(dict.fromkeys((participant, session or "", *_words_of(paths, source.root)))),
    )


def _series(source: FolderSource, path: Path) -> DraftSeries:
    sequence = recognise_sequence(path.name, _sidecar(path))
    word = re.sub(r"[^a-z0-9]+", "-", (sequence or "series").casefold())
    place = path.relative_to(source.root).as_posix()
    found = inspect(path, source.pseudonyms.name(f"{word}-", source.name, place), sequence, source.known)
    return replace(found, shown=f"file {source.files.get(path, 0)} of {len(source.files)}, in order of path")


def _words_of(paths: list[Path], root: Path) -> Iterator[str]:
    """What the names of files and their folders are made of; the words among them are nobody's."""
    for path in paths:
        *folders, _ = path.relative_to(root).parts
        for part in (*folders, stem_of(path)):
            yield from re.split(r"[_\s]+", part)


def _sidecar(path: Path) -> dict[str, object]:
    try:
        document = json.loads(path.with_name(f"{stem_of(path)}.json").read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


class _Catalogue:
    """The files by the names that a row may give them: a path, a folder, or a participant and session."""

    def __init__(self, root: Path, files: list[Path]) -> None:
        self._base = root.resolve()
        self._by_place: dict[Path, list[Path]] = defaultdict(list)
        self._by_identity: dict[str, dict[str | None, list[Path]]] = defaultdict(lambda: defaultdict(list))
        for path in files:
            place = self._base / path.relative_to(root)
            for one in (place, *place.parents):
                if one == self._base:
                    break
                self._by_place[one].append(path)
            participant, session = _identity_of(path, root)
            self._by_identity[participant][session].append(path)

    def files_of(self, row: Row) -> list[Path]:
        """Nothing for a place outside the folder."""
        named = row.get("file")
        if named:
            places = [Path(os.path.normpath(self._base / one.strip())) for one in re.split(r"[;|]", named)]
            return list(dict.fromkeys(path for place in places for path in self._by_place.get(place, ())))
        visits = self._by_identity.get(row.get("participant") or "", {})
        session = row.get("session")
        if session is None and len(visits) == 1:
            return next(iter(visits.values()))
        return visits.get(session, [])


def _identity_of(path: Path, root: Path) -> Identity:
    """Participant and session by the folders that a file lies in, else by the beginning of its name."""
    *folders, _ = path.relative_to(root).parts
    if folders:
        return folders[0], "/".join(folders[1:]) or None
    stem = stem_of(path)
    for separator in ("_", "-", " "):
        begin, _, end = stem.rpartition(separator)
        if begin and recognise_sequence(end) is not None:
            return _without_contrast(begin), None
    return stem, None


def _without_contrast(begin: str) -> str:
    """`case07` of `case07_ce-GAD`: the entity belongs to the MR sequence."""
    return re.sub(r"[_ -](?:ce-\w+|post|pre|gd|gad)$", "", begin, flags=re.IGNORECASE) or begin
