"""Retrieved cases as a cohort on disk: a table for spreadsheets, or a BIDS dataset with the files.

Both go with `export.json`, which says what was asked, of which generation, and what the cohort may be used for.
Volumes go out voxel for voxel, without the texts and extensions of their headers. They are not de-faced: a cohort stays
inside the trusted zone.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TextIO

from encoders.bare_nifti import bare_nifti
from encoders.nifti import VolumeError
from encoders.sequences import MRSequence
from indexer.case_store import CaseStore
from indexer.cases import CaseMissing, Examination
from search_api.answers import BANNER, Answer, Hit

# A cell that begins with one of these is a formula to a spreadsheet.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_BIDS_NAMES = {
    MRSequence.T1W: ("anat", "T1w"),
    MRSequence.T1W_POST: ("anat", "ce-GAD_T1w"),
    MRSequence.T2W: ("anat", "T2w"),
    MRSequence.FLAIR: ("anat", "FLAIR"),
    MRSequence.PDW: ("anat", "PDw"),
    MRSequence.T2STAR: ("anat", "T2starw"),
    MRSequence.SWI: ("swi", "swi"),
    MRSequence.DWI: ("dwi", "dwi"),
    MRSequence.ADC: ("dwi", "ADC"),
}
_IDENTITY = ("rank", "score", "key", "participant", "session", "source")
_COLUMNS = (*_IDENTITY, "sequences", "age", "sex", "date", "diagnosis", "reported", "partial", "evidence", "report")
_NO_VALUE = "n/a"


class ExportError(ValueError):
    """A cohort that cannot be written."""


class Format(StrEnum):
    CSV = "csv"
    BIDS = "bids"


@dataclass(frozen=True, slots=True)
class ExportSummary:
    """What was written, and the series that could not be, each with its reason."""

    cases: int
    series: int
    left_out: tuple[str, ...]


def export(answers: Sequence[Answer], store: CaseStore, folder: Path, form: Format) -> ExportSummary:
    """Write the hits of one question's pages into a new or empty folder; all of it or nothing.

    Raises
    ------
    ExportError
        the folder holds something already, or there is nothing to export
    """
    hits = [hit for answer in answers for hit in answer.hits]
    if not hits:
        raise ExportError("Expected cases to export, the search retrieved none")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportError(f"Expected a new or empty folder, '{folder.name}' holds something already")
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        if form is Format.CSV:
            with (aside / "cases.csv").open("w", encoding="utf-8", newline="") as file:
                write_csv(hits, store, file)
            summary = ExportSummary(len(hits), 0, ())
        else:
            summary = _write_bids(hits, store, aside)
        _write_json(aside / "export.json", _provenance(answers, summary))
        if folder.exists():
            folder.rmdir()
        aside.chmod(0o755)
        aside.rename(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return summary


def write_csv(hits: Sequence[Hit], store: CaseStore, file: TextIO) -> None:
    """One line a case, with its report; no cell is a formula."""
    writer = csv.writer(file)
    writer.writerow(_COLUMNS)
    for hit in hits:
        examination = hit.examination
        row = {
            "rank": hit.rank,
            "score": hit.score,
            "key": hit.key,
            "participant": examination.participant,
            "session": examination.session,
            "source": examination.source,
            "sequences": "; ".join(examination.sequences),
            "age": examination.age,
            "sex": examination.sex,
            "date": examination.date,
            "diagnosis": examination.diagnosis,
            "reported": "yes" if examination.reported else "no",
            "partial": "yes" if examination.partial else "no",
            "evidence": next((item.text for item in hit.evidence if item.text), None),
            "report": _report_text(store, hit.key),
        }
        writer.writerow([safe_cell(row[column]) for column in _COLUMNS])


def safe_cell(value: object) -> str:
    """A cell's text that no spreadsheet takes for a formula.

    >>> safe_cell("=cmd()"), safe_cell(0.5), safe_cell(None)
    ("'=cmd()", '0.5', '')
    """
    text = "" if value is None else str(value)
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def _report_text(store: CaseStore, key: str) -> str | None:
    try:
        report = store.examination(key).report
    except CaseMissing:
        return None
    return report.text if report else None


def _write_bids(hits: Sequence[Hit], store: CaseStore, folder: Path) -> ExportSummary:
    labels: dict[tuple[str, str], str] = {}
    participants: dict[str, list[object]] = {}
    reports: list[list[object]] = []
    left_out: list[str] = []
    copied = 0
    for hit in hits:
        examination = store.examination(hit.key)
        subject = _subject(examination, labels)
        # Two examinations of a person without a session each would share their file names.
        session = _label(examination.session or hit.key)
        for number in range(len(examination.series)):
            problem = _copy_series(examination, number, store, folder / f"sub-{subject}" / f"ses-{session}")
            left_out += [problem] if problem else []
            copied += problem is None
        row: list[object] = [
            f"sub-{subject}",
            examination.age,
            examination.sex,
            examination.diagnosis,
            examination.source,
        ]
        participants.setdefault(subject, row)
        if examination.report is not None:
            report = examination.report
            reports.append([f"sub-{subject}", f"ses-{session}", report.text, report.provenance])
    _write_tsv(
        folder / "participants.tsv", ["participant_id", "age", "sex", "diagnosis", "source"], participants.values()
    )
    _write_tsv(folder / "reports.tsv", ["participant_id", "session_id", "text", "provenance"], reports)
    _write_json(
        folder / "dataset_description.json",
        {
            "Name": "Cases retrieved by NeuroRecall",
            "BIDSVersion": "1.10.0",
            "DatasetType": "raw",
            "GeneratedBy": [{"Name": "NeuroRecall"}],
            "Acknowledgements": BANNER,
        },
    )
    return ExportSummary(len(hits), copied, tuple(left_out))


def _copy_series(examination: Examination, number: int, store: CaseStore, folder: Path) -> str | None:
    """Copy one series under its BIDS name; the reason where it cannot be."""
    series = examination.series[number]
    if series.sequence is None:
        return f"{examination.key} series {series.number}: its MR sequence is not known"
    kind, suffix = _BIDS_NAMES[series.sequence]
    stored = store.series_file(examination.key, series.number)
    extension = "".join(part for part in stored.suffixes[-2:] if part in {".nii", ".gz"})
    if not stored.is_file() or not extension:
        return f"{examination.key} series {series.number}: its file is not there any more"
    subject, session = folder.parent.name, folder.name
    entities, _, ending = suffix.rpartition("_")
    name = "_".join(part for part in (subject, session, entities, f"run-{series.number}", ending) if part)
    target = folder / kind / f"{name}{extension}"
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.write_bytes(bare_nifti(stored.read_bytes()))
    except VolumeError as error:
        return f"{examination.key} series {series.number}: {error}"
    return None


def _subject(examination: Examination, labels: dict[tuple[str, str], str]) -> str:
    """A BIDS label for the person: their own where it is free, else with a number behind."""
    person = (examination.source, examination.participant)
    if person not in labels:
        wanted = _label(re.sub(r"^sub-", "", examination.participant))
        taken = set(labels.values())
        labels[person] = next(
            label for number in range(len(taken) + 1) if (label := f"{wanted}{number or ''}") not in taken
        )
    return labels[person]


def _label(text: str) -> str:
    """Letters and digits only, as BIDS wants a label."""
    return re.sub(r"[^0-9A-Za-z]", "", re.sub(r"^ses-", "", text)) or "x"


def _write_tsv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([_NO_VALUE if value is None else safe_cell(value) for value in row])


def _write_json(path: Path, document: object) -> None:
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _provenance(answers: Sequence[Answer], summary: ExportSummary) -> dict[str, object]:
    first = answers[0]
    return {
        "notice": BANNER,
        "query": first.query,
        "expanded": list(first.expanded),
        "generation": first.generation,
        "encoder_id": first.encoder_id,
        "passing_the_filters": first.total,
        "good_match": first.good_match,
        "cases": summary.cases,
        "series": summary.series,
        "left_out": list(summary.left_out),
        "de_faced": False,
    }
