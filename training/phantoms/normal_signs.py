"""What every brain shows and no report calls abnormal: vessels, choroid plexus, the pituitary gland, faint caps.

These are the hard normals: what enhances, voids or shines in health must not be learned as a lesion.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.phantoms.anatomy import noise_at
from training.phantoms.canvas import Canvas

Place = tuple[float, float, float]


def paint_normal_signs(canvas: Canvas, age: int) -> None:
    """Paint vessels, falx, choroid plexus, pituitary gland and periventricular caps."""
    _paint_falx(canvas)
    _paint_vessels(canvas)
    _paint_gland(canvas)
    _paint_choroid(canvas)
    _paint_caps(canvas, age)


def _paint_falx(canvas: Canvas) -> None:
    """The dural fold between the hemispheres, which enhances a little."""
    x, _, z = canvas.points.unbind(1)
    fold = (x.abs() < 1.0) & (z > 12) & (canvas.regions["skull_depth"] < 32)
    canvas.paint("dura", fold * canvas.fractions["csf"] * 0.6)


def _paint_vessels(canvas: Canvas) -> None:
    """Dural sinuses, deep veins, veins in the sulci; carotid, basilar and middle cerebral arteries."""
    x, y, z = canvas.points.unbind(1)
    depth = canvas.regions["skull_depth"]
    basilar = (torch.hypot(x, y + 12 - 0.32 * (z + 30)) < 1.8) & (z > -42) & (z < -14)
    carotid = (torch.hypot(x.abs() - 11, y - 6) < 2.4) & (z > -34) & (z < -12)
    middle = (torch.hypot(y - 4, z + 14 - 0.08 * x.abs()) < 1.5) & (x.abs() > 10) & (x.abs() < 40)
    # Where two random fields vanish together they trace curves: in the sulci these are veins.
    space = (canvas.fractions["csf"] > 0.35) & (canvas.regions["ventricles"] < 0.2) & (depth < 30)
    here = torch.nonzero(space).squeeze(1)
    veins = torch.zeros_like(depth)
    if len(here):
        found = canvas.points[here]
        width = float(canvas.rng.uniform(0.2, 0.38))
        veins[here] = (torch.hypot(noise_at(found, 16, canvas.rng), noise_at(found, 16, canvas.rng)) < width) * 1.0
    canvas.paint("vein", torch.maximum((_sinuses(canvas) | _deep_veins(canvas)) * 0.85, veins * 0.85))
    canvas.paint("artery", (basilar | carotid | middle) * 0.7)


def _sinuses(canvas: Canvas) -> Tensor:
    """Sagittal, straight, transverse and sigmoid sinuses; one side is often the wider one."""
    x, y, z = canvas.points.unbind(1)
    depth = canvas.regions["skull_depth"]
    reach = float(canvas.rng.uniform(3.5, 7.5))
    found = (x.abs() < canvas.rng.uniform(2.8, 5.0)) & (depth < reach) & (z > -5)
    found |= _tube(canvas, (0.0, -46.0, 4.0), (0.0, -86.0, -12.0), float(canvas.rng.uniform(1.2, 2.4)))
    for side in (-1, 1):
        width = float(canvas.rng.uniform(1.5, 5.0))
        transverse = (depth < reach) & ((z - (-14 - 0.12 * x.abs())).abs() < width) & (y < -56) & (x * side >= 0)
        sigmoid = _tube(canvas, (side * 50.0, -58.0, -20.0), (side * 34.0, -42.0, -46.0), width)
        found |= transverse | (sigmoid & (depth < 2 * reach))
    return found


def _deep_veins(canvas: Canvas) -> Tensor:
    """Internal cerebral veins and the vein of Galen."""
    left, right = (_tube(canvas, (side * 2.0, -6.0, 10.0), (side * 1.5, -38.0, 10.0), 1.1) for side in (-1, 1))
    return left | right | _tube(canvas, (0.0, -38.0, 9.0), (0.0, -47.0, 6.0), 2.0)


def _tube(canvas: Canvas, start: Place, end: Place, radius: float) -> Tensor:
    """Points within `radius` mm of a line."""
    first, last = canvas.points.new_tensor(start), canvas.points.new_tensor(end)
    along = ((canvas.points - first) @ (last - first) / ((last - first) ** 2).sum()).clamp(0, 1)
    distance: Tensor = (canvas.points - first - along[:, None] * (last - first)).norm(dim=1)
    return distance < radius


def _paint_gland(canvas: Canvas) -> None:
    """A flat body in the fossa and its stalk, which enhance; nothing where a mass has taken their place."""
    x, y, z = canvas.points.unbind(1)
    body = ((x / 6.5) ** 2 + ((y - 4) / 4.5) ** 2 + ((z + 29) / 3.2) ** 2) < 1
    stalk = (torch.hypot(x, y - 3) < 1.3) & (z > -27) & (z < -18)
    canvas.paint("gland", (body | stalk) * canvas.fractions["csf"] * 0.9)


def _paint_choroid(canvas: Canvas) -> None:
    """Strands in the trigones and along the floors of the bodies, thick or thin, which enhance."""
    x, y, z = canvas.origin.unbind(1)
    width = float(canvas.rng.uniform(1.6, 3.6))
    trigone = torch.hypot(x.abs() - 22 - 0.2 * (y + 35), z - 8 - 0.5 * (y + 38)) < width
    body = torch.hypot(x.abs() - 8 + 0.4 * (y + 5), z - 14) < 0.5 * width
    where = (trigone & (y > -44) & (y < -26)) | (body & (y > -26) & (y < 0))
    canvas.paint("choroid", (where & (canvas.regions["ventricles"] > 0.3)) * 0.7)


def _paint_caps(canvas: Canvas, age: int) -> None:
    """A pencil-thin line along the ventricles, thicker at the horns and with age, and a faint halo behind them."""
    near = canvas.regions["ventricle_distance"]
    y, z = canvas.origin[:, 1], canvas.origin[:, 2]
    horns = torch.sigmoid((y - 22) / 3) + torch.sigmoid((-40 - y) / 3)
    width = float(canvas.rng.uniform(0.6, 1.4)) * (1 + 1.2 * horns) * (1 + max(age - 50, 0) / 60)
    strength = float(canvas.rng.uniform(0.05, 0.55))
    line = torch.sigmoid((width - near) * 3) * torch.sigmoid((near + 0.5) * 3) * (z > -5)
    # The terminal zones of myelination, beside and behind the trigones, stay a little brighter for life.
    halo = (-(((near - 5) / 4) ** 2)).exp() * torch.sigmoid((-32 - y) / 4) * (z > 0)
    amount = torch.maximum(line * strength, halo * float(canvas.rng.uniform(0, 0.22)))
    canvas.paint("transependymal", amount * (canvas.fractions["white"] * 1.2).clamp(0, 1))
