"""Taking examinations in: from a source to the case store, again and again without harm.

What did not change is left as it is, what cannot be taken is listed and the rest goes on, what is gone from its source
stays until somebody removes it. Finding examinations is left to `sources`, encoding them to `rebuild`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from indexer.case_store import CaseStore
from indexer.case_writing import is_unchanged
from indexer.cases import Draft, DraftSeries, Refused
from indexer.deidentify import AS_GIVEN, BY_RULES, NotDeidentified, deidentified, names_something
from indexer.generation_files import set_broken_aside
from indexer.progress import Progress, silent
from indexer.pseudonyms import Pseudonyms
from indexer.schema import FILE
from indexer.series_files import KnownFile
from indexer.sources import bids, folder
from indexer.sources.tables import SourceError
from indexer.writer_lock import writer_lock

BATCH = 64  # examinations in one transaction: a kill loses no more, and one fsync serves them all
LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class IngestSummary:
    """What an ingest did, or with `dry_run` would do; `notes` are about the source as a whole."""

    source: str
    added: int
    changed: int
    unchanged: int
    reported: int
    refused: tuple[Refused, ...]
    notes: tuple[str, ...]
    dry_run: bool = False

    @property
    def examinations(self) -> int:
        return self.added + self.changed + self.unchanged


@dataclass(frozen=True, slots=True)
class _Source:
    name: str
    kind: str
    root: Path
    note: str = ""
    as_given: bool = False


def ingest(
    source: str | Path,
    data: Path | str,
    reports: Path | None = None,
    dry_run: bool = False,
    progress: Progress = silent,
    as_given: bool = False,
) -> IngestSummary:
    """Take in a BIDS dataset or a folder of NIfTI files; its texts are de-identified, unless `as_given` says they are.

    Raises
    ------
    SourceError
        when there is nothing to take in, or the table of reports cannot be read
    LockedError
        when another process writes to the data directory
    StoreError
        when the case store cannot be opened
    """
    root, data = _root(source), Path(data)
    with ExitStack() as stack:
        store: CaseStore | None = None
        if not dry_run:
            stack.enter_context(writer_lock(data))
        if not dry_run or (data / FILE).is_file():
            store = stack.enter_context(CaseStore.open(data, read_only=dry_run))
        pseudonyms = (
            Pseudonyms.unkept() if dry_run and not (data / "pseudonym.key").is_file() else Pseudonyms.open(data)
        )
        place = replace(_named(root, store.sources() if store else (), pseudonyms), as_given=as_given)
        known = {path: KnownFile(*about) for path, about in (store.known_files(place.name) if store else {}).items()}
        items = _items(place, reports, pseudonyms, known)
        if dry_run or store is None:
            return _Run(place, store, dry_run=True, keep_reports=not reports).all(items, progress)
        broken = set_broken_aside(data)
        store.put_source(place.name, place.kind, str(place.root), AS_GIVEN if as_given else BY_RULES)
        summary = _Run(place, store, dry_run=False, keep_reports=not reports).all(items, progress)
        store.replace_refused(place.name, summary.refused)
        store.checkpoint()
        return replace(summary, notes=(*broken, *summary.notes))


class _Run:
    """One pass over a source's items."""

    def __init__(self, place: _Source, store: CaseStore | None, *, dry_run: bool, keep_reports: bool) -> None:
        self._place = place
        self._store = store
        self._dry_run = dry_run
        self._keep_reports = keep_reports
        self._counts = {"added": 0, "changed": 0, "unchanged": 0}
        self._reported = 0
        self._refused: list[Refused] = []
        self._notes = [place.note] if place.note else []
        self._keys: set[str] = set()
        self._unknown: list[str] = []

    def all(self, items: Iterator[Draft | Refused | str], progress: Progress) -> IngestSummary:
        found = 0
        batch: list[Draft] = []
        for item in items:
            if isinstance(item, str):
                self._notes.append(item)
            elif isinstance(item, Refused):
                self._refused.append(item)
            else:
                found += 1
                batch += self._usable(item)
                progress(found, 0, item.participant)
            if len(batch) == BATCH:
                self._put(batch)
                batch = []
        self._put(batch)
        progress(found, found)
        if not found:
            self._complain()
        self._look_for_missing()
        self._tell_unknown()
        return IngestSummary(
            source=self._place.name,
            **self._counts,
            reported=self._reported if self._dry_run or not self._store else self._store.reported(self._place.name),
            refused=tuple(self._refused),
            notes=tuple(dict.fromkeys(self._notes)),
            dry_run=self._dry_run,
        )

    def _usable(self, draft: Draft) -> list[Draft]:
        """The draft, unless nothing of it can be read and nothing is said of it."""
        self._keys.add(draft.key)
        item = " ".join(filter(None, (draft.participant, draft.session)))
        for one in draft.series:
            if one.problem:
                self._refused.append(Refused(_plain(self._shown(one)), *one.problem))
        readable = [one for one in draft.series if one.problem is None]
        self._unknown += [self._shown(one) for one in readable if one.sequence is None]
        if not readable and draft.report is None:
            found = "none could be read" if draft.series else "there are none"
            self._refused.append(Refused(item, "no_series", f"Expected a series in this examination; {found}."))
            return []
        if not self._place.as_given:
            try:
                draft = deidentified(draft)
            except NotDeidentified as error:
                self._refused.append(Refused(draft.origin or item, error.code, str(error)))
                return []
        return [replace(draft, keep_report=self._keep_reports)]

    def _shown(self, series: DraftSeries) -> str:
        return series.shown or series.path.relative_to(self._place.root).as_posix()

    def _put(self, batch: list[Draft]) -> None:
        if self._dry_run or self._store is None:
            for draft in batch:
                self._foresee(draft)
            return
        with self._store.connections.writing():
            for draft in batch:
                self._counts[self._store.put(draft)] += 1

    def _foresee(self, draft: Draft) -> None:
        self._reported += draft.report is not None
        if self._store is None or draft.key not in self._store.keys_of(self._place.name):
            self._counts["added"] += 1
            return
        with self._store.connections.reading() as database:
            self._counts["unchanged" if is_unchanged(database, draft) else "changed"] += 1

    def _complain(self) -> None:
        hint = "Expected a BIDS dataset, or NIfTI files (.nii, .nii.gz), one folder an examination."
        reasons = "; ".join(f"{one.item}: {one.message}" for one in self._refused[:3])
        message = f"No examinations were found{f' ({reasons})' if reasons else ''}."
        raise SourceError("no_examinations", message, hint)

    def _tell_unknown(self) -> None:
        if self._unknown:
            self._notes.append(
                f"{len(self._unknown)} series are kept but cannot be searched by scan, since nothing says their MR"
                f" sequence: {', '.join(_plain(name) for name in self._unknown[:5])}. Put it into the file's name, such"
                " as scan_FLAIR.nii.gz, or into a JSON file beside it."
            )

    def _look_for_missing(self) -> None:
        kept = len(self._store.keys_of(self._place.name) - self._keys) if self._store else 0
        if kept:
            self._notes.append(
                f"{kept} examinations taken in before are gone from this source; they are kept. `neurorecall remove`"
                " takes them out."
            )


def _root(source: str | Path) -> Path:
    if str(source).startswith("dicomweb:"):
        raise SourceError("not_in_this_build", "DICOMweb sources are not in this build.", "Give a folder of NIfTI.")
    root = Path(source)
    if not root.is_dir():
        found = "a file" if root.is_file() else "nothing"
        raise SourceError("source_missing", f"Expected a folder, found {found}.", "Name a BIDS or NIfTI folder.")
    return root.resolve()


def _named(root: Path, sources: tuple[tuple[str, str, str], ...], pseudonyms: Pseudonyms) -> _Source:
    """What the store calls the source: by its place, else by its name; another place with that name gets a number.

    A folder that seems to be called after a person gets a pseudonym.
    """
    kind = "bids" if bids.is_bids(root) else "folder"
    for name, known_kind, location in sources:
        if location == str(root):
            return _Source(name, known_kind, root)
    wanted = _plain(bids.dataset_name(root) if kind == "bids" else root.name) or "source"
    if kind == "folder" and names_something(wanted):
        wanted = pseudonyms.name("source-", wanted)
    taken = {name: Path(location) for name, _, location in sources}
    if wanted in taken and not taken[wanted].is_dir():
        return _Source(wanted, kind, root, f"The source {wanted} has moved; its examinations keep their keys.")
    name, count = wanted, 2
    while name in taken:
        name, count = f"{wanted} ({count})", count + 1
    return _Source(name, kind, root)


def _items(
    place: _Source, reports: Path | None, pseudonyms: Pseudonyms, known: Mapping[str, KnownFile]
) -> Iterator[Draft | Refused | str]:
    if place.kind == "bids":
        return bids.examinations(place.root, place.name, reports, known)
    return folder.examinations(folder.FolderSource(place.root, place.name, pseudonyms, known), reports)


def _plain(text: str) -> str:
    """A name without control characters, short enough to show."""
    kept = "".join(c for c in unicodedata.normalize("NFC", text) if c.isprintable())
    return re.sub(r"\s+", " ", kept.encode("utf-8", "replace").decode("utf-8")).strip()[:LONGEST_NAME]
