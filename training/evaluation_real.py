"""What a bundle's networks reach on a BIDS dataset of real scans: areas under the curve, and the pointing game.

In public sets diagnosis goes with source, MR sequence and skull-stripping. So diagnoses are told apart within an MR
sequence, every scan is scored a second time with all but the brain masked, and whole heads and stripped brains are
counted apart. Series are not independent: intervals are over people.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoders.bundle import Bundle, EncodingError
from encoders.preprocess import NetworkInput
from encoders.sequences import MRSequence
from encoders.vision import VisionOutput, lesion_probability
from encoders.volume import Volume, read_volume
from training.brain_mask import brain_only
from training.evaluation_pictures import Tile, axial
from training.evaluation_tables import areas_table
from training.evaluation_vision import Figures, Progress, area, unit_rows

Array = NDArray[np.float32]
STRIPPED_AIR = 0.5  # share of voxels that hold exactly the least value, from which on a volume counts as skull-stripped
NORMALS = ("normal", "no known abnormality")
DIAGNOSIS_OF = {
    "glioma": "glioma",
    "white_matter_lesions": "multiple sclerosis",
    "infarct": "ischaemic stroke",
    "small_vessel_disease": "small vessel disease",
    "meningioma": "meningioma",
    "hydrocephalus": "hydrocephalus",
    "haemorrhage": "haemorrhage",
}
AGAINST_NORMAL = ("white_matter_lesions", "glioma")
LARGE_ML = 5.0
EXAMINATIONS = "examinations, all series together"
WAYS = ("whole", "brain")


@dataclass(frozen=True, slots=True)
class Seen:
    """What networks say of S network inputs: embeddings (S, D) unit, mean findings logits (F,), if the peak hits."""

    embeddings: Array
    findings: Array
    pointed: bool | None


@dataclass(frozen=True, slots=True)
class SeenSeries:
    """One series, or all of an examination together: what is known of it, and what is said of all and of the brain.

    `tile` shows where the true lesion lies and where the network's peak.
    """

    group: str
    participant: str
    session: str
    sequences: tuple[MRSequence, ...]
    stripped: bool
    partial: bool
    lesion_ml: float | None
    whole: Seen
    brain: Seen
    tile: Tile | None = None

    @property
    def sequence(self) -> str:
        return ", ".join(self.sequences)


def evaluate_real(bundle: Bundle, dataset: Path, progress: Progress) -> Figures:
    """Areas and pointing game on every series of a BIDS dataset whose MR sequence has a network; slabs are left out."""
    return real_figures(bundle, see_dataset(bundle, dataset, progress))


def real_figures(bundle: Bundle, seen: Sequence[SeenSeries]) -> Figures:
    """The figures of series that were seen; slabs are left out."""
    series = [item for item in seen if not item.partial]
    whole = _examinations(series)
    people = len({item.participant for item in series})
    figures: Figures = {"n": len(series), "people": people, "examinations": len(whole)}
    for way in ("whole", "brain"):
        pairs = [(item, getattr(item, way)) for item in series]
        parts = [*_parts(pairs), (EXAMINATIONS, [(item, getattr(item, way)) for item in whole])]
        figures[way] = _areas(bundle, parts)
        figures[f"{way}, pointing"] = _pointing(pairs)
    return figures


def _examinations(series: Sequence[SeenSeries]) -> list[SeenSeries]:
    """The series of each session together, as a user gives them."""
    found: dict[tuple[str, str], list[SeenSeries]] = {}
    for item in series:
        found.setdefault((item.participant, item.session), []).append(item)
    together = []
    for items in found.values():
        sequences = tuple(item.sequences[0] for item in items)
        whole, brain = (_together([getattr(item, way) for item in items]) for way in WAYS)
        together.append(replace(items[0], sequences=sequences, whole=whole, brain=brain, tile=None))
    return together


def _together(seen: Sequence[Seen]) -> Seen:
    embeddings = np.concatenate([one.embeddings for one in seen])
    return Seen(embeddings, np.mean([one.findings for one in seen], axis=0), None)


def see_dataset(bundle: Bundle, dataset: Path, progress: Progress) -> list[SeenSeries]:
    """Every series of a BIDS dataset that a network takes, with its lesion mask's verdict where there is one."""
    known = diagnoses(dataset)
    paths = sorted(dataset.glob("sub-*/**/*.nii.gz"))
    series = []
    for number, path in enumerate(paths):
        volume = read_volume(path)
        progress(number + 1, len(paths))
        truth = _mask_of(dataset, path)
        try:
            output, prepared = bundle.see(volume)
        except EncodingError:
            continue
        masked = replace(prepared, voxels=brain_only(prepared.voxels))
        participant = path.name.split("_")[0]
        series.append(
            SeenSeries(
                group=known[participant],
                participant=participant,
                session=path.name.partition("_ses-")[2].partition("_")[0],
                sequences=() if volume.sequence is None else (volume.sequence,),
                stripped=float((volume.voxels == volume.voxels.min()).mean()) > STRIPPED_AIR,
                partial=prepared.partial,
                lesion_ml=None if truth is None else _millilitres(truth),
                whole=_seen(bundle, output, prepared, truth),
                brain=_seen(bundle, bundle.see_input(volume, masked), masked, truth),
                tile=None if truth is None else _tile(bundle, path.name, output, prepared, truth),
            )
        )
    return series


def diagnoses(dataset: Path) -> dict[str, str]:
    """The diagnosis of every participant of a BIDS dataset."""
    with (dataset / "participants.tsv").open(encoding="utf-8") as file:
        return {row["participant_id"]: row["diagnosis"] for row in csv.DictReader(file, delimiter="\t")}


def real_table(figures: Figures) -> str:
    """The figures as Markdown: the areas of both ways, then the pointing game."""
    lines = [
        f"n = {figures['n']} series of {figures['people']} people in {figures['examinations']} examinations; "
        "positives/n. Scores by text are calibrated for the MR sequences that they are of."
    ]
    for way, title in (("whole", "As they are"), ("brain", "Masked to the brain")):
        lines += ["", f"{title}:", "", areas_table(figures[way])]
    lines += ["", "| pointing game | as they are | masked to the brain |", "|---|---|---|"]
    for name, (hits, total) in figures["whole, pointing"].items():
        again, _ = figures["brain, pointing"][name]
        lines.append(f"| {name} | {hits} of {total} | {again} of {total} |")
    return "\n".join(lines)


def _areas(bundle: Bundle, parts: Sequence[tuple[str, Sequence[tuple[SeenSeries, Seen]]]]) -> Figures:
    groups: Figures = {}
    for part, items in parts:
        table = {}
        for name, finding, chosen, is_positive in _questions():
            asked = [(item, said) for item, said in items if chosen(item)]
            truth = np.array([is_positive(item) for item, _ in asked], np.bool_)
            if not 0 < truth.sum() < len(truth) or finding not in bundle.finding_names:
                continue
            column = bundle.finding_names.index(finding)
            people = [item.participant for item, _ in asked]
            table[name] = {
                "text": area(_scores(bundle, finding, asked), truth, people),
                "head": area(np.array([said.findings[column] for _, said in asked]), truth, people),
            }
        if table:
            groups[part] = table
    return groups


def _scores(bundle: Bundle, finding: str, asked: Sequence[tuple[SeenSeries, Seen]]) -> NDArray[np.float64]:
    """Scores (N,) on one scale: calibrated by each one's MR sequences where all can be, and raw ones else."""
    row = [known.name for known in bundle.findings].index(finding)
    raw = np.array([float(bundle.weighed_scores(said.embeddings, item.sequences)[row]) for item, said in asked])
    calibrations = [bundle.calibrations(item.sequences).get(finding) for item, _ in asked]
    scaled = [one.score(value) for one, value in zip(calibrations, raw, strict=True) if one is not None]
    return np.array(scaled) if len(scaled) == len(raw) else raw


def _tile(bundle: Bundle, name: str, output: VisionOutput, prepared: NetworkInput, truth: Volume) -> Tile:
    """The axial slice of the network's input through the peak, with the heat and the true lesion."""
    from scipy.ndimage import affine_transform, zoom

    lesion = lesion_probability(output.masks, bundle.mask_classes)[0].numpy()
    index = 2 * int(np.unravel_index(int(lesion.argmax()), lesion.shape)[2])
    to_truth = np.linalg.inv(truth.affine) @ prepared.affine
    shape = prepared.voxels.shape
    mask = affine_transform(truth.voxels, to_truth[:3, :3], to_truth[:3, 3], output_shape=shape, order=1)
    heat = zoom(lesion[:, :, index // 2], 2, order=1)
    title = name.removeprefix("sub-").removesuffix(".nii.gz")[:34]
    return Tile(
        title, axial(prepared.voxels, index), axial((mask > 0).astype(np.float32), index), axial(heat[:, :, None], 0)
    )


def _questions() -> list[tuple[str, str, Callable[[SeenSeries], bool], Callable[[SeenSeries], bool]]]:
    """(name, finding, which series are asked of, which are positive)."""
    questions: list[tuple[str, str, Callable[[SeenSeries], bool], Callable[[SeenSeries], bool]]] = [
        ("abnormal", "abnormal", lambda _: True, lambda item: item.group not in NORMALS)
    ]
    for finding, diagnosis in DIAGNOSIS_OF.items():

        def positive(item: SeenSeries, diagnosis: str = diagnosis) -> bool:
            return item.group == diagnosis

        def or_normal(item: SeenSeries, diagnosis: str = diagnosis) -> bool:
            return item.group in (diagnosis, *NORMALS)

        if finding in AGAINST_NORMAL:
            questions.append((f"{diagnosis} against normal", finding, or_normal, positive))
        questions.append((f"{diagnosis} against the rest", finding, lambda _: True, positive))
    return questions


def _parts(seen: Sequence[tuple[SeenSeries, Seen]]) -> list[tuple[str, list[tuple[SeenSeries, Seen]]]]:
    parts = [("all", list(seen))]
    parts += [
        (name, [pair for pair in seen if pair[0].sequence == name]) for name in sorted({i.sequence for i, _ in seen})
    ]
    parts.append(("skull-stripped", [pair for pair in seen if pair[0].stripped]))
    parts.append(("whole heads", [pair for pair in seen if not pair[0].stripped]))
    return parts


def _pointing(seen: Sequence[tuple[SeenSeries, Seen]]) -> Figures:
    figures: Figures = {}
    masked = [(item, said) for item, said in seen if said.pointed is not None]
    groups: list[tuple[str, Callable[[SeenSeries], bool]]] = [("all with a mask", lambda _: True)]
    groups += [
        (f"lesions of {LARGE_ML:g} ml and more", lambda item: (item.lesion_ml or 0) >= LARGE_ML),
        ("smaller lesions", lambda item: (item.lesion_ml or 0) < LARGE_ML),
    ]
    groups += [(name, lambda item, name=name: item.group == name) for name in sorted({i.group for i, _ in masked})]  # type: ignore[misc]
    groups += [
        (name, lambda item, name=name: item.sequence == name)  # type: ignore[misc]
        for name in sorted({i.sequence for i, _ in masked})
    ]
    for name, belongs in groups:
        hits = [bool(said.pointed) for item, said in masked if belongs(item)]
        if hits:
            figures[name] = (sum(hits), len(hits))
    return figures


def _seen(bundle: Bundle, output: VisionOutput, prepared: NetworkInput, truth: Volume | None) -> Seen:
    lesion = lesion_probability(output.masks, bundle.mask_classes)[0].numpy()
    pointed = None if truth is None else _points_at_lesion(lesion, prepared, truth)
    return Seen(unit_rows(output.embedding.numpy()), output.findings[0].numpy(), pointed)


def _mask_of(dataset: Path, scan: Path) -> Volume | None:
    path = dataset / "derivatives" / "lesions" / scan.relative_to(dataset)
    path = path.with_name(path.name.replace(".nii.gz", "_mask.nii.gz"))
    return read_volume(path) if path.exists() else None


def _millilitres(mask: Volume) -> float:
    return float((mask.voxels > 0).sum() * abs(np.linalg.det(mask.affine[:3, :3])) / 1000)


def _points_at_lesion(lesion: Array, prepared: NetworkInput, truth: Volume) -> bool:
    """Whether the cell (two input voxels wide) of the surest lesion touches the true mask."""
    surest = np.unravel_index(int(lesion.argmax()), lesion.shape)
    place = prepared.affine @ np.array([*(2.0 * np.array(surest) + 0.5), 1.0])
    voxel = (np.linalg.inv(truth.affine) @ place)[:3]
    reach = np.linalg.norm(prepared.affine[:3, :3], axis=0) / np.array(truth.spacing)
    low = np.maximum(np.floor(voxel - reach), 0).astype(int)
    high = np.minimum(np.ceil(voxel + reach) + 1, truth.voxels.shape).astype(int)
    return bool(truth.voxels[tuple(slice(first, last) for first, last in zip(low, high, strict=True))].any())
