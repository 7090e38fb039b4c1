"""Writes a cohort of phantom examinations as a BIDS dataset with participants, sessions, reports and facts.

`write_cohort` is the way in. What happens between two visits of a person is in `follow_up`; sequences are chosen as a
department would for the question at hand. Every byte follows from the seed.
"""

from __future__ import annotations

import gzip
import json
import logging
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.sequences import MRSequence
from training.phantoms.contrast import render
from training.phantoms.facts import Facts, Pathology
from training.phantoms.follow_up import later_facts
from training.phantoms.pathology import make_phantom
from training.phantoms.reports import PhantomReport, write_report
from training.phantoms.scenario import draw_facts

SHARE_TWO_VISITS = 0.06  # of the examinations: second visits
CASES_ALL_REPORTED = 4  # a cohort smaller than this keeps every report
SHARE_UNREPORTED = 0.15
FIRST_DAY, DAYS = np.datetime64("2019-01-07"), 2000
INTEGER_TOP = 700  # stored values stay below this: fewer bits keep files small
NAMES = {
    MRSequence.T1W: ("anat", "T1w"),
    MRSequence.T1W_POST: ("anat", "ce-GAD_T1w"),
    MRSequence.T2W: ("anat", "T2w"),
    MRSequence.FLAIR: ("anat", "FLAIR"),
    MRSequence.DWI: ("dwi", "dwi"),
    MRSequence.ADC: ("dwi", "ADC"),
    MRSequence.T2STAR: ("anat", "T2starw"),
    MRSequence.SWI: ("anat", "swi"),
    MRSequence.PDW: ("anat", "PDw"),
}
# A cohort opens with one of each, so that even a small one has every diagnosis.
OPENING: tuple[tuple[Pathology, ...], ...] = (
    (),
    (Pathology.HYDROCEPHALUS,),
    (Pathology.INFARCT,),
    (Pathology.MULTIPLE_SCLEROSIS,),
    (Pathology.HIGH_GRADE_GLIOMA,),
    (Pathology.MENINGIOMA,),
    (Pathology.HAEMORRHAGE,),
    (Pathology.GLOBAL_ATROPHY,),
    (Pathology.SMALL_VESSEL_DISEASE,),
    (Pathology.METASTASES,),
    (Pathology.SUBDURAL,),
    (Pathology.LACUNAR_INFARCT,),
    (Pathology.LOW_GRADE_GLIOMA,),
    (Pathology.POST_OPERATIVE,),
    (Pathology.ABSCESS,),
    (Pathology.VESTIBULAR_SCHWANNOMA,),
    (Pathology.PITUITARY_ADENOMA,),
    (Pathology.CAVERNOMA,),
    (Pathology.ARACHNOID_CYST,),
    (Pathology.SUBARACHNOID,),
    (Pathology.EXTRADURAL,),
    (Pathology.WATERSHED_INFARCT,),
    (Pathology.NEUROGLIAL_CYST,),
)
_CONTRAST_GIVEN = {
    Pathology.HIGH_GRADE_GLIOMA,
    Pathology.LOW_GRADE_GLIOMA,
    Pathology.METASTASES,
    Pathology.MENINGIOMA,
    Pathology.POST_OPERATIVE,
    Pathology.ABSCESS,
    Pathology.VESTIBULAR_SCHWANNOMA,
    Pathology.PITUITARY_ADENOMA,
}
_BLEEDING = {
    Pathology.HAEMORRHAGE,
    Pathology.SUBDURAL,
    Pathology.EXTRADURAL,
    Pathology.SUBARACHNOID,
    Pathology.CAVERNOMA,
}

_log = logging.getLogger(__name__)


class CohortError(ValueError):
    """A cohort that cannot be written as asked."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One examination to be made: who, when, what, and whether anybody has reported it."""

    participant: str
    session: str | None
    seed: int
    facts: Facts
    date: str
    reported: bool
    spacing_mm: float

    @property
    def folder(self) -> Path:
        return Path(self.participant, self.session) if self.session else Path(self.participant)

    @property
    def stem(self) -> str:
        return f"{self.participant}_{self.session}" if self.session else self.participant


def write_cohort(
    folder: Path,
    cases: int,
    seed: int,
    *,
    spacing_mm: float = 2.0,
    processes: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Visit, ...]:
    """Write `cases` examinations into an empty or absent folder; progress is told (done, total).

    Raises
    ------
    CohortError
        When the folder holds anything already, or fewer than one case is asked for.
    """
    if cases < 1:
        raise CohortError(f"Expected at least one case, got {cases}")
    if folder.exists() and any(folder.iterdir()):
        raise CohortError(f"Expected an empty folder for the cohort, found files in {folder.name}")
    folder.mkdir(parents=True, exist_ok=True)
    visits = plan_cohort(cases, seed, spacing_mm=spacing_mm)
    reports: dict[int, PhantomReport] = {}
    for number, report in _make_all(folder, visits, processes):
        reports[number] = report
        if progress:
            progress(len(reports), cases)
    _write_tables(folder, visits, reports)
    _log.info("wrote %d examinations of %d people", cases, len({visit.participant for visit in visits}))
    return visits


def plan_cohort(cases: int, seed: int, *, spacing_mm: float = 2.0) -> tuple[Visit, ...]:
    """Draw who comes when and with what, before any voxel."""
    rng = np.random.default_rng((seed, 0xC0407))
    again = round(cases * SHARE_TWO_VISITS)
    people = [_first_facts(number, seed) for number in range(cases - again)]
    ill = [number for number, facts in enumerate(people) if facts.labels["abnormal"]]
    returning = set(rng.permutation(ill)[:again].tolist())
    visits: list[Visit] = []
    for person, number in enumerate(rng.permutation(len(people)).tolist(), 1):
        own_seed = seed * 100_003 + number
        facts = _with_sequences(people[number], own_seed)
        day = FIRST_DAY + int(rng.integers(DAYS))
        session = "ses-1" if number in returning else None
        visits.append(
            Visit(f"sub-{person:04d}", session, own_seed, facts, str(day), _is_reported(rng, cases), spacing_mm)
        )
        if session:
            later = str(day + int(rng.integers(40, 400)))
            facts = _with_sequences(later_facts(facts, own_seed), own_seed)
            visits.append(
                replace(visits[-1], session="ses-2", facts=facts, date=later, reported=_is_reported(rng, cases))
            )
    return tuple(visits)


def _is_reported(rng: np.random.Generator, cases: int) -> bool:
    return bool(rng.random() >= SHARE_UNREPORTED) or cases < CASES_ALL_REPORTED


def _first_facts(number: int, seed: int) -> Facts:
    own = seed * 100_003 + number
    if number < len(OPENING):
        return draw_facts(own, pathologies=OPENING[number])
    return draw_facts(own)


def _with_sequences(facts: Facts, seed: int) -> Facts:
    """Add the three or four MR sequences that such a case would be given."""
    rng = np.random.default_rng((seed, 0x5E0))
    found = {item.pathology for item in facts.abnormalities}
    names = [MRSequence.T1W, MRSequence.T2W, MRSequence.FLAIR]
    if found & _CONTRAST_GIVEN:
        names = [MRSequence.T1W, MRSequence.T1W_POST, MRSequence.T2W, MRSequence.FLAIR]
    elif found & {Pathology.INFARCT, Pathology.LACUNAR_INFARCT, Pathology.WATERSHED_INFARCT}:
        names = [MRSequence.T2W, MRSequence.FLAIR, MRSequence.DWI, MRSequence.ADC]
    elif found & _BLEEDING:
        names = [MRSequence.T1W, MRSequence.FLAIR, MRSequence.T2STAR if rng.random() < 0.6 else MRSequence.SWI]
    elif Pathology.MULTIPLE_SCLEROSIS in found and rng.random() < 0.5:
        names = [MRSequence.T2W, MRSequence.FLAIR, MRSequence.T1W_POST]
    elif rng.random() < 0.6:
        names.append(MRSequence.DWI if rng.random() < 0.7 else MRSequence.T2STAR)
    return replace(facts, sequences=tuple(names))


def _make_all(folder: Path, visits: tuple[Visit, ...], processes: int) -> Iterator[tuple[int, PhantomReport]]:
    jobs = [(folder, number, visit) for number, visit in enumerate(visits)]
    if processes < 2 or len(jobs) < 2:
        yield from map(_make_one, jobs)
        return
    # Spawned, not forked: torch's threads do not survive a fork.
    with multiprocessing.get_context("spawn").Pool(processes, initializer=_one_thread) as pool:
        yield from pool.imap_unordered(_make_one, jobs)


def _one_thread() -> None:
    torch.set_num_threads(1)


def _make_one(job: tuple[Path, int, Visit]) -> tuple[int, PhantomReport]:
    folder, number, visit = job
    phantom = make_phantom(visit.seed, facts=visit.facts, spacing_mm=visit.spacing_mm)
    for name in phantom.facts.sequences:
        sequence = MRSequence(name)
        kind, suffix = NAMES[sequence]
        path = folder / visit.folder / kind / f"{visit.stem}_{suffix}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(nifti_bytes(*render(phantom, sequence, visit.seed)))
    facts = {**phantom.facts.to_dict(), "date": visit.date, "skull_stripped": phantom.stripped}
    text = json.dumps(facts, indent=1, ensure_ascii=False)
    (folder / visit.folder / "facts.json").write_text(text + "\n", encoding="utf-8")
    return number, write_report(phantom.facts, visit.seed)


def nifti_bytes(voxels: NDArray[np.float32], affine: NDArray[np.float64]) -> bytes:
    """A gzipped NIfTI file of 16-bit integers, without a time stamp: the same voxels give the same bytes."""
    from nibabel.nifti1 import Nifti1Image

    top = float(voxels.max())
    slope = max(top / INTEGER_TOP, 1e-6)
    stored = np.round(voxels / slope).astype(np.int16)
    image = Nifti1Image(stored, affine)  # type: ignore[no-untyped-call]
    image.header.set_slope_inter(slope, 0)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm")  # type: ignore[no-untyped-call]
    return gzip.compress(image.to_bytes(), compresslevel=1, mtime=0)


def _write_tables(folder: Path, visits: tuple[Visit, ...], reports: dict[int, PhantomReport]) -> None:
    people: dict[str, Visit] = {}
    for visit in visits:
        people.setdefault(visit.participant, visit)
    rows = [(name, visit.facts.age, visit.facts.sex, visit.facts.diagnosis) for name, visit in people.items()]
    _write_tsv(folder / "participants.tsv", ("participant_id", "age", "sex", "diagnosis"), rows)
    header = ("participant_id", "session_id", "findings", "impression", "indication", "technique")
    written = []
    for number, visit in enumerate(visits):
        if visit.reported:
            report = reports[number]
            parts = (report.findings, report.impression, report.indication, report.technique)
            written.append((visit.participant, visit.session or "n/a", *parts))
    _write_tsv(folder / "reports.tsv", header, written)
    for name in people:
        dated = [(visit.session, visit.date) for visit in visits if visit.participant == name and visit.session]
        if dated:
            _write_tsv(folder / name / f"{name}_sessions.tsv", ("session_id", "acq_time"), dated)
    description = {
        "Name": "NeuroRecall phantom cohort",
        "BIDSVersion": "1.10.0",
        "DatasetType": "raw",
        "GeneratedBy": [{"Name": "NeuroRecall phantoms"}],
        "License": "Apache-2.0; anatomy derived from the ICBM 152 template",
    }
    (folder / "dataset_description.json").write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
    (folder / "README").write_text(
        "Phantom brain MRI examinations made by NeuroRecall. No scan is of a person; no report was written by one.\n",
        encoding="utf-8",
    )


def _write_tsv(path: Path, header: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> None:
    lines = ["\t".join(header)]
    lines += ["\t".join(str(cell).replace("\n", " ").replace("\t", " ") for cell in row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
