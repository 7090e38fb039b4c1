"""Where in a scan a score comes from: a heat map over the network's grid, for a finding or for any sentence.

A finding that the network has lesion masks for is shown by those. A sentence is explained by occlusion of what the
network pools (Zeiler and Fergus 2014, on feature maps): a window is taken out of the deep levels and the masks, and
what the nearness to the sentence loses by it is the window's part. That takes seconds; occluding voxels takes minutes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from encoders.bundle import Bundle
from encoders.findings import Finding
from encoders.preprocess import NetworkInput
from encoders.vision import LESION, VENTRICLES, SequenceNetwork, VisionOutput, mask_probabilities
from encoders.volume import Volume

# Which lesion masks show a finding, or what it is a kind of; what is not listed is explained as a sentence.
CLASSES_OF = {
    "infarct": ("infarct",),
    "white_matter_lesions": ("white_matter_lesion",),
    "small_vessel_disease": ("white_matter_lesion",),
    "glioma": ("tumour", "oedema"),
    "metastases": ("tumour",),
    "lymphoma": ("tumour",),
    "craniopharyngioma": ("tumour",),
    "posterior_fossa_tumour": ("tumour",),
    "pineal_mass": ("tumour",),
    "meningioma": ("tumour",),
    "schwannoma": ("tumour",),
    "pituitary_mass": ("tumour",),
    "haemorrhage": ("blood",),
    "cavernoma": ("blood",),
    "abscess": ("other", "oedema"),
    "cyst": ("other",),
    "hydrocephalus": ("ventricles",),
    "oedema": ("oedema",),
    "abnormal": (LESION,),
}
WINDOW = 2  # cells of the level above the deepest: 16 mm each
_TOGETHER = 24  # windows a pass


SURE = 0.5  # probability from which a lesion's side is spoken of
MARGIN = 0.3  # by which the other side must lie below


class ExplainError(ValueError):
    """A finding that the bundle does not know."""


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Heat (X, Y, Z) 0-1 on the grid of the network's input, with `affine` (4, 4) to mm of the scanner.

    Heat of a finding with masks is a lesion's probability; that of a sentence is a part of the hottest. `peak` is the
    hottest point in mm; `strength` what the hottest place is worth: the probability, or a difference of cosines.
    """

    heat: NDArray[np.float32]
    affine: NDArray[np.float64]
    peak: tuple[float, float, float]
    strength: float


def mask_classes_of(finding: Finding) -> tuple[str, ...]:
    """Which lesion masks show a finding, by its own name or by what it is a kind of; none for many."""
    return CLASSES_OF.get(finding.name) or CLASSES_OF.get(finding.kind_of or "", ())


def has_side(finding: Finding) -> bool:
    """Whether masks show a finding, and others than the ventricles, which everybody has."""
    return bool({*mask_classes_of(finding)} - {VENTRICLES})


def side_of(finding: Finding, lesions: Mapping[str, tuple[float, float]]) -> Literal["left", "right"] | None:
    """On which side of a series a finding lies by its masks' surest places; None where that is not clear.

    `lesions` is that of SeriesEncoding. Ventricles have no side.
    """
    shown = [lesions[name] for name in mask_classes_of(finding) if name in lesions and name != VENTRICLES]
    if not shown:
        return None
    left, right = (max(pair[half] for pair in shown) for half in (0, 1))
    if max(left, right) < SURE or abs(left - right) < MARGIN:
        return None
    return "left" if left > right else "right"


def explain_finding(
    bundle: Bundle, volume: Volume, finding: str, seen: tuple[VisionOutput, NetworkInput] | None = None
) -> HeatMap:
    """Where the network sees a finding of the bundle's catalogue; `seen` is what `Bundle.see` says, if known.

    Raises
    ------
    ExplainError
        for a finding that is not in the catalogue
    EncodingError
        as Bundle.encode_series
    """
    known = {item.name: item for item in bundle.findings}
    if finding not in known:
        raise ExplainError(f"Expected one of {', '.join(known)} as finding, got {finding!r}")
    rows = [bundle.mask_classes.index(name) for name in mask_classes_of(known[finding]) if name in bundle.mask_classes]
    if not rows:
        return explain_sentences(bundle, volume, known[finding].present, known[finding].absent)
    output, prepared = seen or bundle.see(volume)
    shares = mask_probabilities(output.masks, bundle.mask_classes)[0, rows].amax(dim=0)
    return _on_grid(shares, prepared, scale=1.0)


def explain_sentences(bundle: Bundle, volume: Volume, present: Sequence[str], absent: Sequence[str] = ()) -> HeatMap:
    """What brings the scan nearer to the sentences in `present`, and away from those in `absent`."""
    direction = bundle.encode_texts(present).mean(axis=0)
    if absent:
        direction = direction - bundle.encode_texts(absent).mean(axis=0)
    network, prepared = bundle.network_and_input(volume)
    with torch.inference_mode():
        parts = occlusion(network, torch.from_numpy(prepared.voxels)[None, None], torch.from_numpy(direction))
    return _on_grid(parts.clamp(min=0), prepared, scale=float(parts.max()))


def occlusion(network: SequenceNetwork, voxels: Tensor, direction: Tensor) -> Tensor:
    """What the cosine to `direction` (D,) loses by each cell of one volume (1, 1, D, H, W).

    Returns
    -------
    (d, h, w) on the level above the deepest: the mean over the windows that hold the cell
    """
    levels, masks = network.look(voxels)
    deep, above = levels[-1].float(), levels[-2].float()
    shares = mask_probabilities(masks, network.config.mask_classes)
    grid = above.shape[2:]
    starts = torch.cartesian_prod(*(torch.arange(length - WINDOW + 1) for length in grid))

    def nearness(kept: Tensor) -> Tensor:
        """Cosines (B,) with the cells left that `kept` (B, 1, d, h, w) marks with one."""
        coarse = F.interpolate(kept, size=deep.shape[2:], mode="area")
        fine = F.interpolate(kept, size=shares.shape[2:], mode="nearest")
        features = network.pool(deep * coarse, above * kept, shares * fine)
        return F.cosine_similarity(network.embedding_head(features), direction[None], dim=1)

    whole = nearness(torch.ones(1, 1, *grid))
    lost, seen = torch.zeros(grid), torch.zeros(grid)
    for first in range(0, len(starts), _TOGETHER):
        places = [[slice(at, at + WINDOW) for at in start] for start in starts[first : first + _TOGETHER].tolist()]
        kept = torch.ones(len(places), 1, *grid)
        for row, (x, y, z) in enumerate(places):
            kept[row, 0, x, y, z] = 0
        for part, (x, y, z) in zip((whole - nearness(kept)).tolist(), places, strict=True):
            lost[x, y, z] += part
            seen[x, y, z] += 1
    return lost / seen


def _on_grid(parts: Tensor, prepared: NetworkInput, scale: float) -> HeatMap:
    """Heat at the network input's resolution, in units of `scale`, and its hottest point."""
    fine = F.interpolate(parts[None, None].float(), size=prepared.voxels.shape, mode="trilinear", align_corners=False)
    heat = fine[0, 0].numpy() * (prepared.voxels > 0)
    strength = float(parts.max())
    place = np.unravel_index(int(heat.argmax()), heat.shape)
    x, y, z = (prepared.affine @ np.array([*place, 1.0]))[:3].tolist()
    heat = np.clip(heat / scale if scale > 0 else heat, 0, 1).astype(np.float32)
    return HeatMap(heat, prepared.affine, (x, y, z), strength)
