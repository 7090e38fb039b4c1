"""Paints what lies between brain and skull: meningioma, schwannoma, pituitary mass, cysts, blood outside of the brain.

Each painter takes the planned abnormality and its place, and gives it back with size and volume as painted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from training.phantoms.anatomy import noise_at
from training.phantoms.canvas import Canvas
from training.phantoms.displacement import Collection, collection_depth
from training.phantoms.facts import Abnormality, Pathology
from training.phantoms.focal import Place, measured, paint_oedema
from training.phantoms.places import side_mask

_BLOOD = {"acute": "blood_acute", "subacute": "blood_subacute", "chronic": "chronic_subdural"}


def paint_meningioma(item: Abnormality, canvas: Canvas, centre: Place) -> Abnormality:
    radius = (item.size_mm or 25) / 2 / canvas.scale
    if "oedema" in item.traits:
        paint_oedema(canvas, centre, radius, float(canvas.rng.uniform(6, 16)))
    distance = canvas.blob(centre, radius, 0.06, 0.08)
    canvas.paint("csf", canvas.edge(distance / 1.1, radius * 1.1, 0.8) * 0.7)
    # The falx keeps it on its side.
    own = torch.sigmoid(canvas.points[:, 0] * (-1.5 if item.side == "left" else 1.5))
    mask = canvas.paint("meningioma", canvas.edge(distance, radius, 0.7) * own, "tumour")
    if "dural tail" in item.traits:
        tail = (canvas.regions["depth"] < 2.6) & (distance < 1.9)
        canvas.paint("meningioma", tail * 0.75)
    return measured(item, canvas, mask)


def paint_schwannoma(item: Abnormality, canvas: Canvas, centre: Place) -> Abnormality:
    """A ball in the angle and a cone into the internal auditory canal."""
    radius = (item.size_mm or 18) / 2 / canvas.scale
    distance = canvas.blob(centre, radius, 0.06, 0.1)
    amount = canvas.edge(distance, radius, 0.7)
    x, y, z = (canvas.points - canvas.points.new_tensor(centre)).unbind(1)
    outwards = x * (-1.0 if item.side == "left" else 1.0)
    along = outwards - 0.5 * radius
    canal = (torch.hypot(y, z) < 3.2 - 0.12 * along.clamp_min(0)) & (along > 0) & (along < 12)
    mask = canvas.paint("schwannoma", torch.maximum(amount, canal * 0.9), "tumour")
    if "cystic" in item.traits:
        canvas.paint("cyst_fluid", amount * (noise_at(canvas.points, max(radius * 0.8, 5), canvas.rng) > 0.6))
    return measured(item, canvas, mask)


def paint_adenoma(item: Abnormality, canvas: Canvas, centre: Place) -> Abnormality:
    """Out of the fossa upwards, waisted where it passes the diaphragm."""
    radius = (item.size_mm or 20) / 2 / canvas.scale
    x, y, z = (canvas.points - canvas.points.new_tensor(centre)).unbind(1)
    waist = 1 + 0.22 * (-(((z + 1.5) / 2.5) ** 2)).exp()
    distance = torch.stack((x * waist, y * waist * 1.1, z * 0.85), 1).norm(dim=1) / radius
    distance = distance * torch.exp(0.06 * noise_at(canvas.points, max(radius, 6), canvas.rng))
    amount = canvas.edge(distance, radius, 0.7)
    mask = canvas.paint("adenoma", amount, "tumour")
    if "cystic" in item.traits:
        canvas.paint("cyst_fluid", canvas.edge(distance / 0.5, radius * 0.5, 1.0) * amount)
    return measured(item, canvas, mask)


def paint_arachnoid_cyst(item: Abnormality, canvas: Canvas, centre: Place) -> Abnormality:
    """CSF that holds the brain off the skull; only where it bulges from, not through the brain."""
    radius = (item.size_mm or 35) / 2 / canvas.scale
    distance = canvas.blob(centre, radius, 0.06, 0.12)
    own = torch.ones_like(distance) if item.site == "posterior fossa" else side_mask(canvas.points, item.side) * 1.0
    return measured(item, canvas, canvas.paint("csf", canvas.edge(distance, radius, 0.8) * own, "other"))


def paint_collection(item: Abnormality, canvas: Canvas, centre: Place) -> Abnormality:
    """Subdural blood as a crescent, extradural blood as a lens."""
    del centre  # its place follows from its side
    collection = collection_of(item, canvas.scale)
    thickness = collection_depth(canvas.points, collection)
    amount = torch.sigmoid((thickness - canvas.regions["skull_depth"]) * 1.6) * (thickness > 0.8)
    return replace(item, volume_ml=canvas.volume_ml(canvas.paint(_BLOOD[item.stage or "acute"], amount, "blood")))


def collection_of(item: Abnormality, scale: float) -> Collection:
    """The collection that a subdural or extradural haematoma is, in template mm."""
    return Collection(item.side, (item.size_mm or 10) / scale, lens=item.pathology is Pathology.EXTRADURAL)


def paint_subarachnoid(item: Abnormality, canvas: Canvas, centre: Place) -> Abnormality:
    """Blood mixed into the CSF of the basal cisterns and Sylvian fissures, or of the sulci of one convexity."""
    del centre
    x, y, z = canvas.points.unbind(1)
    share = {"mild": 0.55, "moderate": 0.82, "severe": 0.95}[item.severity or "moderate"]
    outside = canvas.fractions["csf"] * (canvas.regions["ventricles"] < 0.2)
    if item.site == "basal cisterns":
        basal = torch.sigmoid((2 - z) / 4) * torch.sigmoid((y + 45) / 5) * (x.abs() < 52)
        where = basal + 0.5 * (z > 10) * (x.abs() < 4) * (y > 5)
    else:
        where = torch.sigmoid((z - 8) / 5) * side_mask(canvas.points, item.side) * (x.abs() > 12)
    patchy = torch.sigmoid((noise_at(canvas.points, 22, canvas.rng) + 0.6) * 3)
    amount = outside * where.clamp(0, 1) * patchy * share
    marked = canvas.paint("subarachnoid_blood", amount)
    mask = (amount > 0.22) & (outside > 0.3)
    canvas.masks["blood"] = canvas.masks.get("blood", torch.zeros_like(marked)) | mask
    return replace(item, volume_ml=canvas.volume_ml(mask))


EXTRA_AXIAL: dict[Pathology, Callable[[Abnormality, Canvas, Place], Abnormality]] = {
    Pathology.MENINGIOMA: paint_meningioma,
    Pathology.VESTIBULAR_SCHWANNOMA: paint_schwannoma,
    Pathology.PITUITARY_ADENOMA: paint_adenoma,
    Pathology.ARACHNOID_CYST: paint_arachnoid_cyst,
    Pathology.SUBDURAL: paint_collection,
    Pathology.EXTRADURAL: paint_collection,
    Pathology.SUBARACHNOID: paint_subarachnoid,
}
