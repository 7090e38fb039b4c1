"""Where in the head things happen: the places that facts name as masks over template points, and centres in them.

Borders are rounded MNI coordinates; they are good enough to say "left frontal lobe" truthfully, no more.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

DURAL_CENTRES = {
    "frontal convexity": ((46.0, 36.0, 34.0), 14.0),
    "parietal convexity": ((46.0, -46.0, 50.0), 14.0),
    "parasagittal region": ((15.0, -8.0, 68.0), 22.0),
    "sphenoid wing": ((36.0, 22.0, -20.0), 7.0),
    "posterior fossa": ((36.0, -48.0, -42.0), 12.0),
}
# Where something lies whose place hardly varies: centre on the right, and how far it wanders (mm).
FIXED_CENTRES = {
    "cerebellopontine angle": ((22.0, -33.0, -38.0), 1.5),
    "sellar region": ((0.0, 5.0, -23.0), 1.0),
    "middle cranial fossa": ((40.0, 14.0, -30.0), 4.0),
    "frontal convexity": ((40.0, 40.0, 30.0), 9.0),
    "posterior fossa": ((14.0, -84.0, -42.0), 6.0),
}


def side_mask(points: Tensor, side: str) -> Tensor:
    """Points of one side; all of them for both and midline."""
    if side == "left":
        return points[:, 0] < -3
    return points[:, 0] > 3 if side == "right" else torch.ones_like(points[:, 0], dtype=torch.bool)


def site_mask(points: Tensor, site: str, regions: dict[str, Tensor]) -> Tensor:
    """Points (N, 3) of a named site, both sides."""
    x, y, z = points.unbind(1)
    side = x.abs()
    above = (regions["cerebellum"] < 0.3) & (regions["stem"] < 0.3)
    temporal = (z < 6 - 0.25 * (y + 20).clamp_min(0)) & (y > -48) & (y < 22) & (side > 22) & above
    occipital = (y < -68) & above
    frontal = (y > -12 - 0.35 * (z - 20)) & ~temporal & above & ((z > -5) | (y > 12))
    anterior = above & (side < 20) & (y > -35) & (z > 14)
    posterior = above & ((y < -64) | ((z < 2) & (y < -42)))
    masks = {
        "frontal lobe": frontal & (side > 8),
        "temporal lobe": temporal,
        "occipital lobe": occipital,
        "parietal lobe": above & ~frontal & ~temporal & ~occipital & (z > 10) & (side > 8),
        "cerebellar hemisphere": (regions["cerebellum"] > 0.6) & (side > 10),
        "middle cerebral artery territory": above & (side > 22) & ~posterior & (z > -14) & (y < 50),
        "anterior cerebral artery territory": anterior | (above & (side < 18) & (y > 20)),
        "posterior cerebral artery territory": posterior & (side > 4),
        # Between the territories: a wedge before and behind over the convexity, and a string beside the ventricles.
        "superficial border zone": above & (side > 18) & (side < 42) & (z > 18) & ((y > 22) | (y < -44)),
        "internal border zone": above & (side > 20) & (side < 32) & (z > 14) & (z < 40) & (y > -45) & (y < 25),
        "thalamus": regions["thalamus"] > 0.6,
        "basal ganglia": regions["striatum"] + regions["pallidum"] > 0.6,
        "internal capsule": above & (side > 15) & (side < 24) & (y > -22) & (y < 12) & (z > 0) & (z < 16),
        "corona radiata": above & (side > 20) & (side < 34) & (y > -35) & (y < 20) & (z > 18) & (z < 32),
        "pons": (regions["stem"] > 0.7) & (z > -42) & (z < -22) & (side > 3),
        "hippocampus": regions["hippocampus"] > 0.4,
    }
    return masks[site]


def draw_centre(
    points: Tensor, where: Tensor, rng: np.random.Generator, margin_mm: float
) -> tuple[float, float, float]:
    """A point of the mask, away from its border: the best of a few draws, by distance to the mask's own middle."""
    found = torch.nonzero(where).squeeze(1)
    if not len(found):
        found = torch.arange(len(points), device=points.device)
    chosen = points[found[torch.from_numpy(rng.integers(len(found), size=8)).to(points.device)]]
    middle = points[found].mean(0)
    spread = (chosen - middle).norm(dim=1)
    # A large lesion needs a central place, a small one may lie anywhere.
    keep = int(np.clip(round(7 * (1 - margin_mm / 30)), 0, 7))
    x, y, z = chosen[spread.argsort()[keep]].tolist()
    return x, y, z
