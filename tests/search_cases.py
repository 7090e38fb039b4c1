"""A small archive with known reports and scans, ingested and indexed with the toy encoder, for the search tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from scipy.ndimage import zoom
from toy_encoder import ToyEncoder

from indexer.ingest import ingest
from indexer.rebuild import rebuild

SHAPE = (24, 26, 22)


@dataclass(frozen=True, slots=True)
class Made:
    """One examination of the archive: who, when, what is said of it, and the seed of its voxels."""

    participant: str
    session: str
    diagnosis: str
    findings: str
    impression: str
    seed: int
    age: int = 50
    sex: str = "F"


CASES = (
    Made("ms01", "1", "multiple sclerosis", "Several white matter lesions.", "Multiple sclerosis.", 1, 31),
    Made("ms01", "2", "multiple sclerosis", "More white matter lesions than before.", "Multiple sclerosis.", 2, 33),
    Made("hy01", "1", "hydrocephalus", "Marked hydrocephalus. No haemorrhage.", "Hydrocephalus.", 3, 71, "M"),
    Made("hy02", "1", "hydrocephalus", "The ventricles are dilated.", "Hydrocephalus.", 4, 66),
    Made("gl01", "1", "glioma", "Right frontal mass with midline shift. No hydrocephalus.", "Glioma.", 5, 58, "M"),
    Made("gl02", "1", "glioma", "Left temporal mass. No midline shift. No hydrocephalus.", "Glioma.", 6, 45),
    Made("me01", "1", "meningioma", "Extra-axial mass.", "Meningioma with hydrocephalus.", 7, 62),
    Made("st01", "1", "stroke", "Restricted diffusion. No haemorrhage.", "Acute ischaemic infarct.", 8, 80, "M"),
    Made("ha01", "1", "haemorrhage", "Left frontal haemorrhage.", "Acute haemorrhage.", 9, 69),
    Made("ha02", "1", "haemorrhage", "Right frontal hemorrhage.", "Acute hemorrhage.", 10, 55, "M"),
    Made("no01", "1", "normal", "Ventricles and sulci are normal for age.", "Normal study.", 11, 25),
    Made("no02", "1", "normal", "Ventricles and sulci are normal for age.", "Normal study.", 12, 28, "M"),
    Made("un01", "1", "unknown", "No lesion is documented for this scan.", "No abnormality documented.", 13, 40),
    Made("nr01", "1", "", "", "", 14, 44),
    Made("nr02", "1", "", "", "", 15, 52, "M"),
)


def write_volume(path: Path, seed: int) -> Path:
    """A NIfTI of smooth blobs, different for every seed."""
    generator = np.random.default_rng(seed)
    coarse = generator.random((6, 6, 6)) * 900 + 100
    voxels = zoom(coarse, [length / 6 for length in SHAPE], order=1).astype(np.int16)
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([4.0, 4.0, 4.0, 1.0])), path)
    return path


def write_dataset(folder: Path, *, reports: bool = True) -> Path:
    """The archive as a BIDS dataset; FLAIR and T1w of everybody."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset_description.json").write_text('{"Name": "archive", "BIDSVersion": "1.10.0"}', "utf-8")
    people = {case.participant: case for case in CASES}
    lines = ["participant_id\tage\tsex\tdiagnosis"]
    lines += [f"sub-{one.participant}\t{one.age}\t{one.sex}\t{one.diagnosis or 'n/a'}" for one in people.values()]
    (folder / "participants.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    if reports:
        lines = ["participant_id\tsession_id\tfindings\timpression"]
        lines += [
            f"sub-{case.participant}\tses-{case.session}\t{case.findings}\t{case.impression}"
            for case in CASES
            if case.findings
        ]
        (folder / "reports.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    for case in CASES:
        scan_of(folder, case, "FLAIR"), scan_of(folder, case, "T1w")
    return folder


def scan_of(folder: Path, case: Made, sequence: str) -> Path:
    """The file of one series; written where it is not there."""
    stem = f"sub-{case.participant}_ses-{case.session}_{sequence}.nii.gz"
    path = folder / f"sub-{case.participant}" / f"ses-{case.session}" / "anat" / stem
    return path if path.exists() else write_volume(path, 10 * case.seed + len(sequence))


def build_archive(folder: Path, *, reports: bool = True) -> Path:
    """Ingest and index the archive; its data directory."""
    dataset = write_dataset(folder / "dataset", reports=reports)
    data = folder / "data"
    ingest(str(dataset), data, reports=dataset / "reports.tsv" if reports else None)
    rebuild(data, ToyEncoder())
    return data
