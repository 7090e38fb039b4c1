"""What every brain shows and no report calls abnormal: vessels, choroid plexus, the pituitary gland, faint caps.

These are the hard normals: what enhances, voids or shines in health must not be learned as a lesion.
"""

from __future__ import annotations

import torch

from training.phantoms.anatomy import noise_at
from training.phantoms.canvas import Canvas


def paint_normal_signs(canvas: Canvas, age: int) -> None:
    """Paint vessels, choroid plexus, pituitary gland and periventricular caps."""
    _paint_vessels(canvas)
    _paint_gland(canvas)
    _paint_choroid(canvas)
    _paint_caps(canvas, age)


def _paint_vessels(canvas: Canvas) -> None:
    """Sagittal and transverse sinuses, carotid, basilar and middle cerebral arteries, veins in the sulci."""
    x, y, z = canvas.points.unbind(1)
    depth = canvas.regions["skull_depth"]
    sagittal = (x.abs() < 3.6) & (depth < 4.5) & (z > -5)
    transverse = (depth < 4.5) & ((z - (-14 - 0.12 * x.abs())).abs() < 3.2) & (y < -62)
    basilar = (torch.hypot(x, y + 12 - 0.32 * (z + 30)) < 1.8) & (z > -42) & (z < -14)
    carotid = (torch.hypot(x.abs() - 11, y - 6) < 2.4) & (z > -34) & (z < -12)
    middle = (torch.hypot(y - 4, z + 14 - 0.08 * x.abs()) < 1.5) & (x.abs() > 10) & (x.abs() < 40)
    # Where two random fields vanish together they trace curves: in the sulci these are veins.
    space = (canvas.fractions["csf"] > 0.35) & (canvas.regions["ventricles"] < 0.2) & (depth < 30)
    here = torch.nonzero(space).squeeze(1)
    veins = torch.zeros_like(depth)
    if len(here):
        found = canvas.points[here]
        veins[here] = (torch.hypot(noise_at(found, 16, canvas.rng), noise_at(found, 16, canvas.rng)) < 0.26) * 1.0
    canvas.paint("vein", torch.maximum((sagittal | transverse) * 0.85, veins * 0.85))
    canvas.paint("artery", (basilar | carotid | middle) * 0.7)


def _paint_gland(canvas: Canvas) -> None:
    """A flat body in the fossa and its stalk, which enhance; nothing where a mass has taken their place."""
    x, y, z = canvas.points.unbind(1)
    body = ((x / 6.5) ** 2 + ((y - 4) / 4.5) ** 2 + ((z + 29) / 3.2) ** 2) < 1
    stalk = (torch.hypot(x, y - 3) < 1.3) & (z > -27) & (z < -18)
    canvas.paint("gland", (body | stalk) * canvas.fractions["csf"] * 0.9)


def _paint_choroid(canvas: Canvas) -> None:
    """Strands in the trigones, which enhance."""
    x, y, z = canvas.origin.unbind(1)
    strand = torch.hypot(x.abs() - 22 - 0.2 * (y + 35), z - 8 - 0.5 * (y + 38)) < 2.6
    where = strand & (y > -44) & (y < -26) & (canvas.regions["ventricles"] > 0.3)
    canvas.paint("choroid", where * 0.7)


def _paint_caps(canvas: Canvas, age: int) -> None:
    """A pencil-thin line along the ventricles, thicker at the horns and with age."""
    near = canvas.regions["ventricle_distance"]
    horns = torch.sigmoid((canvas.origin[:, 1] - 22) / 3) + torch.sigmoid((-40 - canvas.origin[:, 1]) / 3)
    width = float(canvas.rng.uniform(0.6, 1.4)) * (1 + 1.2 * horns) * (1 + max(age - 50, 0) / 60)
    strength = float(canvas.rng.uniform(0.05, 0.4))
    line = torch.sigmoid((width - near) * 3) * torch.sigmoid((near + 0.5) * 3) * (canvas.origin[:, 2] > -5)
    canvas.paint("transependymal", line * strength * (canvas.fractions["white"] * 1.2).clamp(0, 1))
