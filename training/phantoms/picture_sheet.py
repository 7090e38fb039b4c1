"""Draws the picture sheet of the phantoms: every pathology in every MR sequence; beside real scans, for looking only.

Run `python -m training.phantoms.picture_sheet OUT.png [BIDS-FOLDER]`. With a folder of real scans a second block shows
them in the same windows; such a sheet is for the eye of whoever changes the phantoms and is never shipped.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from encoders.sequences import MRSequence, recognise_sequence
from training.phantoms.contrast import render
from training.phantoms.facts import INCIDENTAL, Pathology
from training.phantoms.pathology import Phantom, make_phantom

SEQUENCES = tuple(sequence for sequence in MRSequence if sequence is not MRSequence.PDW)
SEED = 11
INCH = 1.25  # edge of one picture
ADC_TOP = 2600.0  # 1e-6 mm2/s


def write_sheet(path: Path, real: Path | None = None) -> None:
    """Write the sheet as PNG; `real` is a BIDS folder whose scans fill a block below."""
    from matplotlib.figure import Figure

    rows: list[tuple[str, dict[MRSequence, tuple[NDArray[np.float32], float]]]] = [
        (title, _phantom_row(phantom, number)) for number, (title, phantom) in enumerate(_phantoms())
    ]
    if real is not None:
        rows += _real_rows(real)
    figure = Figure(figsize=(INCH * len(SEQUENCES) + 1.2, INCH * 1.12 * len(rows) + 0.3))
    grid: Any = figure.subplots(len(rows), len(SEQUENCES), squeeze=False)
    for line, (title, pictures) in zip(grid, rows, strict=True):
        for axis, sequence in zip(line, SEQUENCES, strict=True):
            axis.set_axis_off()
            if sequence in pictures:
                picture, aspect = pictures[sequence]
                axis.imshow(picture.T[:, ::-1], origin="lower", cmap="gray", vmin=0, vmax=1, aspect=aspect)
        line[0].text(-0.08, 0.5, title, transform=line[0].transAxes, ha="right", va="center", fontsize=6)
    for axis, sequence in zip(grid[0], SEQUENCES, strict=True):
        axis.set_title(sequence, fontsize=7)
    figure.subplots_adjust(left=1.1 / figure.get_figwidth(), right=1, bottom=0, top=1 - 0.3 / figure.get_figheight())
    figure.subplots_adjust(wspace=0.02, hspace=0.02)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=105, facecolor="white")
    path.parent.mkdir(parents=True, exist_ok=True)
    # Sixty-four greys are enough to look at and half the size.
    Image.open(drawn).convert("L").quantize(64).save(path, optimize=True)


def _phantoms() -> list[tuple[str, Phantom]]:
    """Normal, then each pathology; those with stages once a stage."""
    found = [("normal", make_phantom(SEED, pathologies=(), stripped=False))]
    wanted = {Pathology.INFARCT: ("acute", "chronic"), Pathology.HAEMORRHAGE: ("acute", "subacute", "chronic")}
    for number, pathology in enumerate(item for item in Pathology if item not in INCIDENTAL):
        for stage in wanted.get(pathology, ("",)):
            phantom = _first(pathology, stage, SEED + 40 * number)
            item = phantom.facts.abnormalities[0]
            words = " ".join(filter(None, (item.stage or item.severity, item.side if item.side != "both" else "")))
            found.append((f"{pathology.replace(' ', chr(10), 1)}\n{words}", phantom))
    return found


def _first(pathology: Pathology, stage: str, seed: int) -> Phantom:
    """The first phantom from a seed on that has the stage, is not mild, and large enough to be seen in one slice."""
    from training.phantoms.scenario import draw_facts

    while True:
        item = draw_facts(seed, pathologies=(pathology,)).abnormalities[0]
        if item.severity != "mild" and (item.stage == stage or not stage):
            return make_phantom(seed, pathologies=(pathology,), spacing_mm=1.5)
        seed += 1


def _phantom_row(phantom: Phantom, seed: int) -> dict[MRSequence, tuple[NDArray[np.float32], float]]:
    height = _height(phantom)
    return {sequence: _slice(*render(phantom, sequence, seed), sequence, height) for sequence in SEQUENCES}


def _height(phantom: Phantom) -> float:
    """World z of the slice that shows most of the lesion, not of its oedema; of the ventricles where there is none."""
    masks = [phantom.mask(name) for name in phantom.masks if name not in ("ventricles", "oedema")]
    if any(item.pathology is Pathology.HIPPOCAMPAL_ATROPHY for item in phantom.facts.abnormalities):
        return -14.0
    if not masks:
        return 14.0
    areas = sum(mask.sum((0, 1)) for mask in masks)
    return float(np.argmax(np.asarray(areas)) * phantom.affine[2, 2] + phantom.affine[2, 3])


def _slice(
    voxels: NDArray[np.float32], affine: NDArray[np.float64], sequence: MRSequence, height: float
) -> tuple[NDArray[np.float32], float]:
    """Axial slice nearest to a height, windowed to 0-1, and the aspect of its pixels."""
    from nibabel.funcs import as_closest_canonical
    from nibabel.nifti1 import Nifti1Image

    image = as_closest_canonical(Nifti1Image(voxels, affine))  # type: ignore[no-untyped-call]
    turned = np.asarray(image.dataobj, np.float32)
    placed = image.affine
    number = int(np.clip(round((height - placed[2, 3]) / placed[2, 2]), 0, turned.shape[2] - 1))
    middle = turned[turned.shape[0] // 4 : -turned.shape[0] // 4, turned.shape[1] // 4 : -turned.shape[1] // 4]
    top = ADC_TOP if sequence is MRSequence.ADC else 1.1 * float(np.percentile(middle[middle > 0], 99.7))
    return np.clip(turned[:, :, number] / top, 0, 1), float(abs(placed[1, 1] / placed[0, 0]))


def _real_rows(folder: Path) -> list[tuple[str, dict[MRSequence, tuple[NDArray[np.float32], float]]]]:
    from encoders.volume import read_volume

    rows: dict[str, dict[MRSequence, tuple[NDArray[np.float32], float]]] = {}
    for path in sorted(folder.glob("sub-*/**/*.nii.gz")):
        sequence = recognise_sequence(path.name)
        if sequence in SEQUENCES and len(rows) < 14:
            volume = read_volume(path, sequence=sequence, frame="mean")
            height = float(volume.affine[2, 3] + volume.affine[2, 2] * volume.voxels.shape[2] * 0.55)
            name = f"real\n{path.name.split('_')[0][4:16]}"
            rows.setdefault(name, {})[sequence] = _slice(volume.voxels, volume.affine, sequence, height)
    return list(rows.items())


def main() -> None:
    """Draw every pathology in every MR sequence, and real scans below where a folder of them is given."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("out", type=Path, help="the PNG file to write")
    parser.add_argument("real", type=Path, nargs="?", help="BIDS folder of real scans")
    asked = parser.parse_args()
    write_sheet(asked.out, asked.real)


if __name__ == "__main__":
    main()
