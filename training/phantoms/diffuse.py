"""Paints diffuse and small multiple lesions: demyelination, small vessel disease, hydrocephalic rims, incidental foci.

Solid lesions are left to `focal`; what is shape alone (atrophy, dilatation) to `anatomy` and `displacement`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from training.phantoms.anatomy import noise_at
from training.phantoms.canvas import Canvas
from training.phantoms.facts import Abnormality, Pathology
from training.phantoms.lesion_maps import LesionMaps

SHARE_MAPPED = 0.5  # of those with multiple sclerosis: real lesions, where maps are given
_LEAST_MAPPED_ML, _FEWEST_POINTS = 0.5, 6
_KINDS = ("periventricular", "juxtacortical", "callosal", "infratentorial")


def paint_multiple_sclerosis(item: Abnormality, canvas: Canvas) -> Abnormality:
    """Plaques as real lesion maps have them, or ovoid ones; those by the ventricles point away from them."""
    if canvas.lesion_maps is not None and canvas.rng.random() < SHARE_MAPPED:
        mapped = _paint_mapped(item, canvas, canvas.lesion_maps)
        if mapped is not None:
            return mapped
    before = torch.zeros_like(canvas.points[:, 0], dtype=torch.bool)
    largest = (item.size_mm or 10) / 2 / canvas.scale
    for number in range(item.count):
        place = _kind_of_plaque(item, number, canvas.rng)
        weight = _plaque_weight(place, canvas)
        centre = canvas.points[_draw(weight, canvas.rng)]
        shrink = {"infratentorial": 0.75, "juxtacortical": 0.8}.get(place, 1.0)
        radius = largest * (1.0 if number == 0 else float(canvas.rng.uniform(0.35, 0.95)) * shrink)
        amount = _ovoid(canvas, centre, max(radius, 2.0), elongated=place in ("periventricular", "callosal"))
        amount = amount * (canvas.brain() * 1.1).clamp(0, 0.95)
        active = "enhancing" in item.traits and (number == 0 or canvas.rng.random() < 0.15)
        before |= canvas.paint("active_plaque" if active else "plaque", amount, "white_matter_lesion")
    return replace(item, volume_ml=canvas.volume_ml(before))


def _paint_mapped(item: Abnormality, canvas: Canvas, maps: LesionMaps) -> Abnormality | None:
    """Real lesions, with number and traits as they turn out; None where next to nothing of the map is left."""
    share = maps.draw(canvas.origin, canvas.rng) * (canvas.brain() * 1.1).clamp(0, 0.95)
    if "enhancing" in item.traits:
        active = noise_at(canvas.points, 20, canvas.rng) > 0.8
        canvas.paint("active_plaque", share * active, "white_matter_lesion")
        share = share * ~active
    mask = canvas.paint("plaque", share, "white_matter_lesion") | canvas.masks["white_matter_lesion"]
    volume = canvas.volume_ml(mask)
    if volume < _LEAST_MAPPED_ML:
        del canvas.masks["white_matter_lesion"]
        return None
    there = tuple(kind for kind in _KINDS if int((mask & (_plaque_weight(kind, canvas) > 0)).sum()) >= _FEWEST_POINTS)
    traits = there or ("periventricular",)
    traits += ("enhancing",) * ("enhancing" in item.traits)
    # A lesion of a map has about a third of a millilitre.
    return replace(item, volume_ml=volume, count=max(3, round(volume / 0.3)), traits=traits)


def _kind_of_plaque(item: Abnormality, number: int, rng: np.random.Generator) -> str:
    kinds = [trait for trait in item.traits if trait != "enhancing"]
    if 0 < number < len(kinds):
        return kinds[number]  # each that is stated occurs
    shares = np.array([{"periventricular": 0.6, "juxtacortical": 0.2}.get(kind, 0.1) for kind in kinds])
    return kinds[int(rng.choice(len(kinds), p=shares / shares.sum()))] if number else "periventricular"


def _plaque_weight(kind: str, canvas: Canvas) -> Tensor:
    white = (canvas.fractions["white"] - 0.3).clamp(0, 1)
    region = canvas.regions
    x, _, z = canvas.origin.unbind(1)
    near = region["ventricle_distance"]
    if kind == "infratentorial":
        where = (region["stem"] + region["cerebellum"] > 0.5) & (z > -50) & (x.abs() < 30)
        return where * ((canvas.fractions["white"] + canvas.fractions.get("stem", white)) > 0.5) * 1.0
    above = (region["stem"] + region["cerebellum"] < 0.2) & (z > -20)
    if kind == "juxtacortical":
        return above * white * (canvas.fractions["grey"] > 0.1) * (region["depth"] < 16)
    if kind == "callosal":
        return above * white * (x.abs() < 9) * (near > -1) * (near < 7) * (z > 4) * (z < 34)
    # Most plaques lie beside the bodies, horns and trigones of the lateral ventricles, few beside the third.
    lateral = (x.abs() > 8) & (z > 0) & (z < 36)
    return above * white * lateral * (near > 0) * (-near / 4.5).exp()


def _draw(weight: Tensor, rng: np.random.Generator) -> int:
    total = weight.double().cumsum(0)
    if float(total[-1]) <= 0:
        return int(rng.integers(len(weight)))
    return int(torch.searchsorted(total, float(rng.random()) * float(total[-1])).clamp(max=len(weight) - 1))


def _ovoid(canvas: Canvas, centre: Tensor, radius: float, *, elongated: bool) -> Tensor:
    offset = canvas.points - centre
    near = torch.nonzero((offset.abs() < 3 * radius + 4).all(1)).squeeze(1)
    local = offset[near]
    if elongated:
        # Along the medullary veins: outwards and up from the ventricle.
        axis = centre - centre.new_tensor((0.0, float(centre[1]) * 0.9, 4.0))
        axis = axis / axis.norm().clamp_min(1e-3)
        along = local @ axis
        local = local - (along * 0.4)[:, None] * axis
    distance = local.norm(dim=1) / radius
    distance = distance * torch.exp(0.12 * noise_at(canvas.points[near], max(radius, 4), canvas.rng))
    amount = torch.zeros_like(canvas.points[:, 0])
    amount[near] = canvas.edge(distance, radius, 0.9)
    return amount


def paint_small_vessel(item: Abnormality, canvas: Canvas) -> Abnormality:
    """Caps and rims by the ventricles, foci or confluence in the deep white matter, perhaps microbleeds."""
    severity = item.severity or "moderate"
    reach = {"mild": 1.2, "moderate": 2.0, "severe": 3.9}[severity]
    near = canvas.regions["ventricle_distance"]
    white = (canvas.fractions["white"] * 1.3 - 0.2).clamp(0, 1)
    x, y, z = canvas.origin.unbind(1)
    above = (canvas.regions["stem"] + canvas.regions["cerebellum"] < 0.3) & (z > -8) & (x.abs() > 6)
    caps = 1 + 0.9 * torch.sigmoid((y - 18) / 4) + 0.9 * torch.sigmoid((-34 - y) / 4)
    ragged = near / (reach * caps) * torch.exp(0.35 * noise_at(canvas.points, 11, canvas.rng))
    rim = torch.sigmoid((1 - ragged) * 6) * (near > -1.5)
    level = {"mild": 2.7, "moderate": 2.3, "severe": 1.75}[severity]
    deep = noise_at(canvas.points, 9, canvas.rng) + 0.6 * noise_at(canvas.points, 18, canvas.rng)
    patches = torch.sigmoid((deep - level) * 5) * (near < 26) * (canvas.regions["depth"] > 9)
    amount = torch.maximum(rim, patches) * white * above * 0.95
    mask = canvas.paint("white_matter_hyperintensity", amount, "white_matter_lesion")
    if "microbleeds" in item.traits:
        for _ in range(int(canvas.rng.integers(3, 9))):
            spot = _ovoid(canvas, canvas.points[_draw(canvas.brain() * above, canvas.rng)], 1.8, elongated=False)
            canvas.paint("haemosiderin", spot)
    return replace(item, volume_ml=canvas.volume_ml(mask))


def paint_hydrocephalus(item: Abnormality, canvas: Canvas) -> Abnormality:
    """The dilatation itself is movement; here the mask of the ventricles, and the rim of transependymal fluid."""
    near = canvas.regions["ventricle_distance"]
    if "transependymal oedema" in item.traits:
        width = float(canvas.rng.uniform(1.5, 3.5))
        rim = torch.sigmoid((width - near) * 2) * torch.sigmoid((near + 1) * 2)
        white = (canvas.fractions["white"] * 1.3).clamp(0, 1)
        canvas.paint("transependymal", rim * white * 0.85)
    mask = (canvas.regions["ventricles"] > 0.45) & (canvas.origin[:, 2] > -18)
    canvas.masks["ventricles"] = mask
    return replace(item, volume_ml=canvas.volume_ml(mask))


def paint_foci(item: Abnormality, canvas: Canvas) -> Abnormality:
    """Tiny foci that mean nothing: a hard negative, so they go into no mask."""
    z = canvas.origin[:, 2]
    white = (canvas.fractions["white"] > 0.8) * (z > 8) * (canvas.regions["ventricle_distance"] > 8) * 1.0
    for _ in range(item.count):
        spot = _ovoid(
            canvas, canvas.points[_draw(white, canvas.rng)], (item.size_mm or 4) / 2 / canvas.scale, elongated=False
        )
        canvas.paint("white_matter_hyperintensity", spot * 0.7 * canvas.brain())
    return item


def paint_perivascular(item: Abnormality, canvas: Canvas) -> Abnormality:
    x, _, z = canvas.origin.unbind(1)
    where = (canvas.regions["striatum"] > 0.4) * (z < 6) * (x.abs() > 14) * 1.0
    for _ in range(item.count):
        spot = _ovoid(canvas, canvas.points[_draw(where, canvas.rng)], 1.4, elongated=False)
        canvas.paint("csf", spot * 0.8)
    return item


def paint_nothing(item: Abnormality, canvas: Canvas) -> Abnormality:
    """For what is shape alone (atrophy, asymmetry) or lies outside the brain (sinus disease)."""
    del canvas
    return item


DIFFUSE: dict[Pathology, Callable[[Abnormality, Canvas], Abnormality]] = {
    Pathology.MULTIPLE_SCLEROSIS: paint_multiple_sclerosis,
    Pathology.SMALL_VESSEL_DISEASE: paint_small_vessel,
    Pathology.HYDROCEPHALUS: paint_hydrocephalus,
    Pathology.NONSPECIFIC_FOCI: paint_foci,
    Pathology.PERIVASCULAR_SPACES: paint_perivascular,
    Pathology.GLOBAL_ATROPHY: paint_nothing,
    Pathology.HIPPOCAMPAL_ATROPHY: paint_nothing,
    Pathology.SINUS_DISEASE: paint_nothing,
    Pathology.VENTRICULAR_ASYMMETRY: paint_nothing,
}
