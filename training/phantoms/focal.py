"""Paints focal lesions of the brain itself: tumours with their oedema, infarcts, blood, abscess, what surgery leaves.

Each painter takes the planned abnormality and its place, and gives it back with size and volume as painted. What lies
between brain and skull is `extra_axial`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from training.phantoms.anatomy import noise_at
from training.phantoms.canvas import Canvas
from training.phantoms.facts import Abnormality, Pathology
from training.phantoms.places import draw_centre, side_mask, site_mask

Place = tuple[float, float, float]


def measured(item: Abnormality, canvas: Canvas, mask: Tensor) -> Abnormality:
    """The abnormality with size and volume as painted."""
    return replace(item, size_mm=canvas.extent_mm(mask), volume_ml=canvas.volume_ml(mask))


def paint_oedema(canvas: Canvas, centre: Place, radius: float, reach: float) -> None:
    """Vasogenic oedema: fingers through white matter, sparing cortex."""
    distance = canvas.blob(centre, radius + reach, 0.35)
    white = canvas.fractions["white"].clamp(0, 1)
    amount = canvas.edge(distance, radius + reach, 4.0) * (white * 1.4 - 0.1).clamp(0, 0.95)
    canvas.paint("oedema", amount, "oedema")


def paint_high_grade(item: Abnormality, canvas: Canvas, centre: Place) -> Abnormality:
    radius = (item.size_mm or 30) / 2 / canvas.scale
    paint_oedema(canvas, centre, radius, float(canvas.rng.uniform(4, 20)))
    distance = canvas.blob(centre, radius, 0.22, 0.18)
    whole = canvas.edge(distance, radius) * (canvas.brain() + 0.3).clamp(0, 1)
    mask = canvas.paint("enhancing_tumour", whole, "tumour")
    # Enhancement is patchy more often than not.
    patches = noise_at(canvas.points, max(radius * 0.7, 6), canvas.rng) < float(canvas.rng.uniform(-2.0, 0.2))
    canvas.paint("low_grade_tumour", whole * patches)
    rim = float(canvas.rng.uniform(0.5, 0.9))
    ragged = distance / rim * torch.exp(0.18 * noise_at(canvas.points, max(radius * 0.6, 5), canvas.rng))
    canvas.paint("necrosis", canvas.edge(ragged, radius * rim, 1.6) * whole)
    if "haemorrhagic" in item.traits:
        spots = (noise_at(canvas.points, 7, canvas.rng) > 1.2) & (distance < 0.95)
        canvas.paint("blood_acute", spots * 0.8 * whole)
    return measured(item, canvas, mask)


def paint_low_grade(item: Abnormality, canvas: Canvas, centre: Place) -> Abnormality:
    radius = (item.size_mm or 40) / 2 / canvas.scale
    distance = canvas.blob(centre, radius, 0.25, 0.2)
    amount = canvas.edge(distance, radius, 3.0) * canvas.brain() * 0.92
    return measured(item, canvas, canvas.paint("low_grade_tumour", amount, "tumour"))


def paint_metastases(item: Abnormality, canvas: Canvas, centre: Place) -> Abnormality:
    largest = (item.size_mm or 15) / 2 / canvas.scale
    first: Tensor | None = None
    for number in range(item.count):
        radius = largest if number == 0 else largest * float(canvas.rng.uniform(0.35, 0.9))
        place = centre
        if number:
            junction = (canvas.fractions["white"] > 0.25) & (canvas.fractions["grey"] > 0.2)
            place = draw_centre(canvas.points, junction, canvas.rng, 0)
        if radius > 3:
            paint_oedema(canvas, place, radius, float(canvas.rng.uniform(4, 14)))
        distance = canvas.blob(place, radius, 0.08, 0.08)
        whole = canvas.edge(distance, radius, 0.9) * (canvas.brain() + 0.3).clamp(0, 1)
        mask = canvas.paint("enhancing_tumour", whole, "tumour")
        first = mask if first is None else first
        if radius > 6:
            canvas.paint("necrosis", canvas.edge(distance / 0.65, radius * 0.65, 1.2) * whole)
    return measured(item, canvas, first) if first is not None else item


def paint_infarct(item: Abnormality, canvas: Canvas, centre: Place) -> Abnormality:
    radius = (item.size_mm or 45) / 2 / canvas.scale
    # Borders between territories wander by a centimetre from person to person.
    wander = [
        7 * noise_at(canvas.points, 28, canvas.rng) + 2 * noise_at(canvas.points, 9, canvas.rng) for _ in range(3)
    ]
    territory = site_mask(canvas.origin + torch.stack(wander, 1), item.site, canvas.regions)
    territory &= side_mask(canvas.points, item.side)
    distance = canvas.blob(centre, radius * 1.1, 0.22, 0.25)
    amount = canvas.edge(distance, radius, 1.6) * territory
    if item.stage == "acute":
        affected = amount * canvas.brain() * (0.8 + 0.2 * canvas.fractions["grey"])
        return measured(item, canvas, canvas.paint("acute_infarct", affected, "infarct"))
    return measured(item, canvas, _cavity(canvas, distance, radius, amount))


def _cavity(canvas: Canvas, distance: Tensor, radius: float, amount: Tensor) -> Tensor:
    """Fluid with a gliotic rim: what an old infarct leaves."""
    mask = canvas.paint("gliosis", amount * canvas.brain() * 0.9, "infarct")
    core = canvas.edge(distance / 0.78, radius * 0.78, 1.6) * (amount > 0.3)
    patchy = (1 + 0.45 * noise_at(canvas.points, 9, canvas.rng)).clamp(0, 1)
    canvas.paint("cavity", core * patchy)
    return mask


def paint_lacune(item: Abnormality, canvas: Canvas, centre: Place) -> Abnormality:
    radius = (item.size_mm or 9) / 2 / canvas.scale
    distance = canvas.blob(centre, radius, 0.1, 0.15)
    amount = canvas.edge(distance, radius, 0.9) * canvas.brain()
    if item.stage == "acute":
        return measured(item, canvas, canvas.paint("acute_infarct", amount, "infarct"))
    mask = canvas.paint("gliosis", amount * 0.9, "infarct")
    canvas.paint("cavity", canvas.edge(distance / 0.7, radius * 0.7, 0.8))
    return measured(item, canvas, mask)


def paint_haemorrhage(item: Abnormality, canvas: Canvas, centre: Place) -> Abnormality:
    radius = (item.size_mm or 30) / 2 / canvas.scale
    if "oedema" in item.traits:
        paint_oedema(canvas, centre, radius, float(canvas.rng.uniform(3, 8)))
    distance = canvas.blob(centre, radius, 0.14, 0.2)
    whole = canvas.edge(distance, radius, 0.9) * (canvas.brain() + 0.4).clamp(0, 1)
    rim = 1 - 2.4 / max(radius, 4)
    if item.stage == "acute":
        mask = canvas.paint("blood_acute", whole, "blood")
    else:
        mask = canvas.paint("haemosiderin", whole, "blood")
        inner = "blood_subacute" if item.stage == "subacute" else "cavity"
        canvas.paint(inner, canvas.edge(distance / rim, radius * rim, 0.9) * whole)
    return measured(item, canvas, mask)


def paint_abscess(item: Abnormality, canvas: Canvas, centre: Place) -> Abnormality:
    """Pus, whose diffusion is restricted, in a smooth thin capsule, and much oedema."""
    radius = (item.size_mm or 25) / 2 / canvas.scale
    paint_oedema(canvas, centre, radius, float(canvas.rng.uniform(10, 22)))
    distance = canvas.blob(centre, radius, 0.07, 0.1)
    whole = canvas.edge(distance, radius, 0.8) * (canvas.brain() + 0.3).clamp(0, 1)
    mask = canvas.paint("capsule", whole, "other")
    core = 1 - float(canvas.rng.uniform(2.0, 3.2)) / radius
    canvas.paint("pus", canvas.edge(distance / core, radius * core, 0.8) * whole)
    return measured(item, canvas, mask)


def paint_cavernoma(item: Abnormality, canvas: Canvas, centre: Place) -> Abnormality:
    """Lobules of old and recent blood in a complete rim of haemosiderin, without oedema."""
    radius = (item.size_mm or 14) / 2 / canvas.scale
    distance = canvas.blob(centre, radius, 0.12, 0.1)
    whole = canvas.edge(distance, radius, 0.7) * canvas.brain()
    mask = canvas.paint("haemosiderin", whole, "blood")
    core = max(1 - 1.8 / radius, 0.35)
    lobules = noise_at(canvas.points, max(radius * 0.7, 3.0), canvas.rng)
    inner = canvas.edge(distance / core, radius * core, 0.6) * whole
    canvas.paint("blood_subacute", inner * (lobules > -0.2))
    canvas.paint("blood_acute", inner * (lobules <= -0.8))
    return measured(item, canvas, mask)


def paint_neuroglial_cyst(item: Abnormality, canvas: Canvas, centre: Place) -> Abnormality:
    """Fluid with a smooth border, and nothing around it."""
    radius = (item.size_mm or 20) / 2 / canvas.scale
    distance = canvas.blob(centre, radius, 0.04, 0.08)
    return measured(item, canvas, canvas.paint("cyst_fluid", canvas.edge(distance, radius, 0.8), "other"))


def paint_watershed(item: Abnormality, canvas: Canvas, centre: Place) -> Abnormality:
    """A string or wedge of small infarcts along the border of two territories."""
    radius = (item.size_mm or 40) / 2 / canvas.scale
    zone = site_mask(canvas.origin, item.site, canvas.regions) & side_mask(canvas.points, item.side)
    near = canvas.edge(canvas.blob(centre, radius * 1.15, 0.15, 0.3), radius, 2.5) * zone
    spots = torch.sigmoid((noise_at(canvas.points, 10, canvas.rng) + 0.35) * 4)
    amount = near * spots * canvas.brain()
    if item.stage == "acute":
        return measured(item, canvas, canvas.paint("acute_infarct", amount, "infarct"))
    mask = canvas.paint("gliosis", amount * 0.9, "infarct")
    canvas.paint("cavity", amount * (spots > 0.85) * 0.8)
    return measured(item, canvas, mask)


def paint_post_operative(item: Abnormality, canvas: Canvas, centre: Place) -> Abnormality:
    radius = (item.size_mm or 30) / 2 / canvas.scale
    distance = canvas.blob(centre, radius, 0.12, 0.15)
    if "oedema" in item.traits:
        paint_oedema(canvas, centre, radius, float(canvas.rng.uniform(6, 14)))
    canvas.paint("gliosis", canvas.edge(distance / 1.15, radius * 1.15, 1.8) * canvas.brain() * 0.9, "other")
    mask = canvas.paint("cavity", canvas.edge(distance, radius, 1.0), "other")
    if "residual" in item.traits:
        shell = canvas.edge(distance / 1.12, radius * 1.12, 0.8) * (distance > 0.95) * canvas.brain()
        there = noise_at(canvas.points, 12, canvas.rng) > float(canvas.rng.uniform(-1, 1.5))
        canvas.paint("enhancing_tumour", shell * there, "tumour")
        lump = canvas.points.new_tensor(canvas.rng.normal(0, 1, 3).astype("float32"))
        lump = canvas.points.new_tensor(centre) + lump / lump.norm() * radius * 1.05
        x, y, z = lump.tolist()
        size = max(radius * float(canvas.rng.uniform(0.35, 0.6)), 4.5)
        nodule = canvas.edge(canvas.blob((x, y, z), size, 0.2, 0.2), size, 1.0)
        canvas.paint("enhancing_tumour", nodule * (distance > 0.85) * canvas.brain().clamp_min(0.4), "tumour")
    return measured(item, canvas, mask)


FOCAL: dict[Pathology, Callable[[Abnormality, Canvas, Place], Abnormality]] = {
    Pathology.HIGH_GRADE_GLIOMA: paint_high_grade,
    Pathology.LOW_GRADE_GLIOMA: paint_low_grade,
    Pathology.METASTASES: paint_metastases,
    Pathology.INFARCT: paint_infarct,
    Pathology.LACUNAR_INFARCT: paint_lacune,
    Pathology.WATERSHED_INFARCT: paint_watershed,
    Pathology.HAEMORRHAGE: paint_haemorrhage,
    Pathology.ABSCESS: paint_abscess,
    Pathology.CAVERNOMA: paint_cavernoma,
    Pathology.NEUROGLIAL_CYST: paint_neuroglial_cyst,
    Pathology.POST_OPERATIVE: paint_post_operative,
}
