"""Small datasets for the indexer's tests: NIfTI files of a few kilobytes in a BIDS dataset or a plain folder."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel
import numpy as np
from scipy.ndimage import zoom

SHAPE = (20, 22, 18)


def write_scan(path: Path, seed: int = 0, shape: tuple[int, ...] = SHAPE, spacing: float = 8.0) -> Path:
    """A NIfTI of smooth blobs inside an empty margin, different for every seed."""
    generator = np.random.default_rng(seed)
    coarse = generator.random((5, 5, 5)) * 900 + 100
    voxels = zoom(coarse, [length / 5 for length in shape[:3]], order=1).astype(np.int16)
    voxels[0], voxels[-1], voxels[:, 0], voxels[:, -1] = 0, 0, 0, 0
    if len(shape) == 4:
        voxels = np.stack([voxels + frame for frame in range(shape[3])], axis=-1)
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([spacing, spacing, spacing, 1.0])), path)
    return path


def write_with_nan(path: Path) -> Path:
    voxels = np.ones(SHAPE, np.float32)
    voxels[3:9, 3:9, 3:9] = np.nan
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), path)
    return path


def write_singular(path: Path) -> Path:
    """A scan whose affine puts every voxel into one plane."""
    image = nibabel.Nifti1Image(np.ones(SHAPE, np.float32) * np.arange(SHAPE[0])[:, None, None], np.eye(4))
    image.header["sform_code"], image.header["qform_code"] = 2, 0
    image.header["srow_x"], image.header["srow_y"] = (1, 0, 0, 0), (1, 0, 0, 0)
    content = bytearray(image.to_bytes())
    content[280:344] = image.header["srow_x"].tobytes() + image.header["srow_y"].tobytes() + b"\0" * 16 + b"\0" * 16
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(bytes(content)))
    return path


def cut_in_half(path: Path) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


def write_table(path: Path, rows: Sequence[Mapping[str, str]], delimiter: str = "\t") -> Path:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [delimiter.join(columns), *(delimiter.join(row.get(name, "") for name in columns) for row in rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def write_bids(root: Path, participants: int = 3, sequences: Sequence[str] = ("T1w", "FLAIR")) -> Path:
    """`participants` people; the first has two sessions. `reports.tsv` says something of each."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset_description.json").write_text('{"Name": "small", "BIDSVersion": "1.10.0"}', "utf-8")
    people, reports = [], []
    for number in range(1, participants + 1):
        person = f"sub-{number:02d}"
        people.append({"participant_id": person, "age": str(30 + number), "sex": "FM"[number % 2], "secret": "x"})
        for visit, session in enumerate(("ses-1", "ses-2") if number == 1 else ("",)):
            stem = "_".join(filter(None, (person, session)))
            folder = root / person / session / "anat"
            for place, sequence in enumerate(sequences):
                write_scan(folder / f"{stem}_{sequence}.nii.gz", 100 * number + 10 * visit + place)
            reports.append(
                {
                    "participant_id": person,
                    "session_id": session,
                    "findings": f"A mass of {number}.5 mm. No haemorrhage.",
                    "impression": f"Lesion number {number}.",
                }
            )
    write_table(root / "participants.tsv", people)
    write_table(root / "reports.tsv", reports)
    return root
