"""From facts to a diseased brain: where each lesion lies, what it pushes, what it is made of; and the finished Phantom.

`make_phantom` is the way in. Words are left to `reports`, signal to `contrast`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.phantoms.anatomy import (
    TISSUE_MAPS,
    Individual,
    Shape,
    age_sulci,
    brain_tissue,
    draw_individual,
    load_maps,
    noise_at,
    sample,
)
from training.phantoms.canvas import MASK_CLASSES, Canvas
from training.phantoms.diffuse import DIFFUSE
from training.phantoms.displacement import Mass, Movement, draw_push, trace_back
from training.phantoms.extra_axial import EXTRA_AXIAL, collection_of
from training.phantoms.facts import Abnormality, Facts, Pathology
from training.phantoms.focal import FOCAL, Place
from training.phantoms.head_shells import HEAD_LABELS
from training.phantoms.lesion_maps import LesionMaps
from training.phantoms.normal_signs import paint_normal_signs
from training.phantoms.places import DURAL_CENTRES, FIXED_CENTRES, draw_centre, side_mask, site_mask
from training.phantoms.scenario import draw_facts

SHARE_STRIPPED = 0.4
WORKING_SPACING_MM = 2.0
_PUSHING = {
    Pathology.HIGH_GRADE_GLIOMA: (0.35, 0.65),
    Pathology.LOW_GRADE_GLIOMA: (0.1, 0.3),
    Pathology.METASTASES: (0.3, 0.6),
    Pathology.MENINGIOMA: (0.75, 0.95),
    Pathology.HAEMORRHAGE: (0.4, 0.7),
    Pathology.ABSCESS: (0.4, 0.65),
    Pathology.NEUROGLIAL_CYST: (0.5, 0.8),
    Pathology.VESTIBULAR_SCHWANNOMA: (0.75, 0.95),
    Pathology.PITUITARY_ADENOMA: (0.6, 0.9),
    Pathology.ARACHNOID_CYST: (0.75, 0.95),
}
_LOCAL = {**FOCAL, **EXTRA_AXIAL}
_PLACELESS = (Pathology.SUBDURAL, Pathology.EXTRADURAL, Pathology.SUBARACHNOID)


@dataclass(frozen=True, slots=True)
class Phantom:
    """A person in the scanner: tissue fractions at every point inside the skull, labels outside, facts, masks.

    affine turns voxels of the (X, Y, Z) working grid into world mm, RAS+. fractions are (K, N) over tissues; inside
    (N,) are flat positions on the grid. head are labels of head_shells.HEAD_LABELS. keep (N,) is False where
    skull-stripping cut the brain; None for a whole head.
    """

    facts: Facts
    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    tissues: tuple[str, ...]
    fractions: Tensor
    inside: Tensor
    head: Tensor
    keep: Tensor | None
    texture: Tensor  # (2, N) fine and coarse unevenness of tissue, unit variance
    box: tuple[tuple[int, int], ...]  # first and last grid position with signal along each axis
    masks: dict[str, Tensor]

    @property
    def labels(self) -> dict[str, bool]:
        return self.facts.labels

    @property
    def stripped(self) -> bool:
        return self.keep is not None

    @property
    def intracranial(self) -> Tensor:
        """Boolean volume (X, Y, Z) of what lies inside the skull, less what skull-stripping cut away."""
        volume = torch.zeros(self.shape, dtype=torch.bool, device=self.inside.device)
        volume.view(-1)[self.inside] = True if self.keep is None else self.keep
        return volume

    def mask(self, name: str) -> Tensor:
        """Boolean volume (X, Y, Z) of one of MASK_CLASSES; all False when there is no such lesion."""
        if name not in MASK_CLASSES:
            raise ValueError(f"Expected one of {', '.join(MASK_CLASSES)}, got {name!r}")
        volume = torch.zeros(self.shape, dtype=torch.bool, device=self.inside.device)
        if name in self.masks:
            volume.view(-1)[self.inside] = self.masks[name]
        return volume


def make_phantom(
    seed: int,
    *,
    pathologies: Sequence[Pathology] | None = None,
    facts: Facts | None = None,
    spacing_mm: float = WORKING_SPACING_MM,
    stripped: bool | None = None,
    device: str = "cpu",
    lesion_maps: LesionMaps | None = None,
) -> Phantom:
    """Make one phantom; the same seed and arguments give the same phantom.

    With `facts` those are painted (sizes are then measured anew), otherwise they are drawn, with `pathologies` if
    given. With `lesion_maps` half of those with multiple sclerosis have real lesions' places and shapes.
    """
    facts = facts or draw_facts(seed, pathologies=pathologies)
    rng = np.random.default_rng((seed, 0xA7A))
    individual = draw_individual(rng, spacing_mm, device, _fossa(facts))
    cut = rng.random() < SHARE_STRIPPED if stripped is None else stripped
    canvas, centres = _lay_canvas(facts, individual, spacing_mm, rng)
    canvas.lesion_maps = lesion_maps
    measured = [
        DIFFUSE[item.pathology](item, canvas) if item.pathology in DIFFUSE else None for item in facts.abnormalities
    ]
    painted = tuple(
        done or _LOCAL[item.pathology](item, canvas, centre)
        for item, done, centre in zip(facts.abnormalities, measured, centres, strict=True)
    )
    paint_normal_signs(canvas, facts.age)
    names = tuple(canvas.fractions)
    keep = _strip(canvas) if cut else None
    head = _thicken_sinus(individual.head, facts)
    return Phantom(
        facts=replace(facts, abnormalities=painted),
        shape=individual.shape,
        affine=individual.affine,
        tissues=names,
        fractions=torch.stack([canvas.fractions[name] for name in names]),
        inside=individual.inside,
        head=head,
        keep=keep,
        texture=torch.stack([noise_at(canvas.points, 6, rng), noise_at(canvas.points, 30, rng)]),
        box=_box(head, individual, keep),
        masks=canvas.masks,
    )


def _lay_canvas(
    facts: Facts, individual: Individual, spacing_mm: float, rng: np.random.Generator
) -> tuple[Canvas, list[Place]]:
    points, scale = individual.points, individual.scale
    maps = load_maps(str(points.device))
    depth = sample(maps.fields[:1], points, maps)[0]
    regions = {"depth": depth}
    if any(item.pathology in _LOCAL for item in facts.abnormalities):
        regions |= dict(zip(TISSUE_MAPS, sample(maps.tissue, points, maps), strict=True))
    centres = [_centre(item, points, regions, scale, rng) for item in facts.abnormalities]
    movement = _movement(facts, centres, scale, rng)
    origin = trace_back(points, movement)
    fractions, found = brain_tissue(origin, _shape(facts, rng), rng)
    found["skull_depth"] = depth
    return Canvas(points, origin, fractions, found, rng, scale, spacing_mm**3 / 1000), centres


def _centre(
    item: Abnormality, points: Tensor, regions: dict[str, Tensor], scale: float, rng: np.random.Generator
) -> Place:
    if item.pathology not in _LOCAL or item.pathology in _PLACELESS:
        return (0.0, 0.0, 0.0)
    radius = (item.size_mm or 10) / 2 / scale
    sign = -1.0 if item.side == "left" else 1.0
    if item.site in FIXED_CENTRES and item.pathology is not Pathology.MENINGIOMA:
        (x, y, z), wander = FIXED_CENTRES[item.site]
        dx, dy, dz = rng.normal(0, wander, 3)
        # Out of its fossa the larger mass reaches further up.
        up = 0.55 * max(radius - 6, 0) if item.pathology is Pathology.PITUITARY_ADENOMA else 0.0
        return sign * x + dx * 0.3, y + dy, z + dz * 0.5 + up
    if item.pathology is Pathology.MENINGIOMA:
        (x, y, z), spread = DURAL_CENTRES[item.site]
        target = np.array((sign * x, y, z)) + rng.normal(0, spread / 2, 3) * (0.3, 1.0, 1.0)
        near = (points - points.new_tensor(target.astype(np.float32))).norm(dim=1)
        # The middle lies deeper the larger the tumour, so that it keeps a broad base on the dura.
        off = (regions["depth"] - 0.55 * radius).abs() * 4 + near
        off = torch.where(points[:, 0] * sign > min(0.6 * radius, 12), off, off + 1000)
        x, y, z = points[off.argmin()].tolist()
        return x, y, z
    where = site_mask(points, item.site, regions) & side_mask(points, item.side)
    if item.pathology is Pathology.INFARCT:
        where &= (regions["depth"] > 4) & (regions["depth"] < 26)
    elif item.pathology in (Pathology.METASTASES, Pathology.POST_OPERATIVE, Pathology.ABSCESS):
        where &= (regions["depth"] > 6) & (regions["depth"] < 20)
    elif item.site.endswith("lobe"):
        where &= (regions["white"] > 0.4) & (regions["depth"] > min(0.6 * radius, 14))
    return draw_centre(points, where, rng, radius)


def _movement(facts: Facts, centres: list[Place], scale: float, rng: np.random.Generator) -> Movement:
    masses, shift, collection = [], 0.0, None
    age_swelling = 0.2 + 2.2 * max(facts.age - 45, 0) / 45 + rng.normal(0, 0.5)
    swelling = np.array([age_swelling, age_swelling])
    fourth = 0.0
    for item, centre in zip(facts.abnormalities, centres, strict=True):
        own = 0 if item.side == "left" else 1
        if item.pathology in _PUSHING and item.stage != "chronic":
            radius = (item.size_mm or 0) / 2 / scale
            masses.append(Mass(centre, radius, draw_push(rng, *_PUSHING[item.pathology])))
        shift += item.shift_mm / scale * (1 if item.side == "left" else -1)
        if "ventricular effacement" in item.effects:
            swelling[own] -= 3.5
        if "midline shift" in item.effects:
            swelling[own] -= 1.2
        if item.pathology in (Pathology.SUBDURAL, Pathology.EXTRADURAL):
            collection = collection_of(item, scale)
        if item.stage == "chronic" and item.pathology is Pathology.INFARCT and "cerebral" in item.site:
            swelling[own] += 2.0
        if item.pathology is Pathology.VENTRICULAR_ASYMMETRY:
            swelling[own] += 2.0
        if item.pathology is Pathology.HYDROCEPHALUS:
            low, high = {"mild": (4.0, 6.0), "moderate": (6.5, 9.5), "severe": (10.0, 15.0)}[
                item.severity or "moderate"
            ]
            swelling += rng.uniform(low, high)
            fourth = 2.5 if "communicating" in item.traits else 0.0
        if item.pathology is Pathology.GLOBAL_ATROPHY:
            swelling += {"moderate": 3.0, "severe": 5.0}[item.severity or "moderate"]
    return Movement(tuple(masses), shift, (float(swelling[0]), float(swelling[1])), fourth, collection)


def _fossa(facts: Facts) -> float:
    """How much wider than normal the pituitary fossa is."""
    masses = (item for item in facts.abnormalities if item.pathology is Pathology.PITUITARY_ADENOMA)
    return next((1.2 + (item.size_mm or 15) / 60 for item in masses), 1.0)


def _shape(facts: Facts, rng: np.random.Generator) -> Shape:
    sulci = age_sulci(facts.age) + rng.normal(0, 0.2)
    hippocampus = np.array([1.0, 1.0]) - 0.15 * max(facts.age - 60, 0) / 30
    for item in facts.abnormalities:
        if item.pathology is Pathology.HYDROCEPHALUS and "effaced sulci" in item.traits:
            sulci -= 1.6
        if item.pathology is Pathology.GLOBAL_ATROPHY:
            sulci += {"moderate": 1.1, "severe": 1.9}[item.severity or "moderate"]
            hippocampus -= 0.2
        if item.pathology is Pathology.HIPPOCAMPAL_ATROPHY:
            left = {"moderate": 0.45, "severe": 0.25}[item.severity or "moderate"]
            hippocampus[[0, 1] if item.side == "both" else [int(item.side == "right")]] = left
            sulci += 0.3
    return Shape(float(sulci), (float(hippocampus[0]), float(hippocampus[1])))


def _strip(canvas: Canvas) -> Tensor:
    """Points that an imperfect skull-stripping leaves."""
    ragged = noise_at(canvas.points, 25, canvas.rng) * 1.2 + noise_at(canvas.points, 9, canvas.rng) * 0.5
    cut = float(canvas.rng.uniform(-1.0, 3.0))
    kept = canvas.regions["skull_depth"] > cut + ragged
    return kept & (canvas.points[:, 2] > -72 + 4 * canvas.rng.normal())


def _box(head: Tensor, individual: Individual, keep: Tensor | None) -> tuple[tuple[int, int], ...]:
    """Where there is anything to see, for the field of view."""
    if keep is None:
        seen = head > 0
        found = [
            torch.nonzero(seen.flatten(1).any(1) if axis == 0 else seen.transpose(0, axis).flatten(1).any(1))
            for axis in range(3)
        ]
        return tuple((int(one[0]), int(one[-1])) for one in found)
    places = torch.unravel_index(individual.inside[keep], individual.shape)
    return tuple((int(axis.min()), int(axis.max())) for axis in places)


def _thicken_sinus(head: Tensor, facts: Facts) -> Tensor:
    """Mucosal thickening: the lower part of the air in one maxillary sinus becomes mucosa."""
    item = next((item for item in facts.abnormalities if item.pathology is Pathology.SINUS_DISEASE), None)
    if item is None:
        return head
    air, mucosa = HEAD_LABELS.index("air"), HEAD_LABELS.index("mucosa")
    middle = head.shape[0] // 2
    where = torch.zeros_like(head, dtype=torch.bool)
    where[:middle] = item.side == "left"
    where[middle:] = item.side == "right"
    # Air that has mucosa within a few voxels below it is the floor of a cavity.
    floor = torch.zeros_like(where)
    for step in range(1, 4):
        floor[:, :, step:] |= head[:, :, :-step] == mucosa
    changed = head.clone()
    changed[where & floor & (head == air)] = mucosa
    return changed
