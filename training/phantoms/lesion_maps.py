"""Real lesions of people with multiple sclerosis, as places and shapes for plaques; optional, and never shipped.

A folder of lesion masks in MNI space (NIfTI) is read once. A draw takes one person's lesions, mirrors and moves them,
and leaves out what lies in some part of the brain, so that few maps give many patterns. Without a folder `diffuse`
draws ovoid plaques by its own rules.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from training.phantoms.anatomy import noise_at

SPACING_MM = 2.0
LOW_MM, HIGH_MM = (-92.0, -128.0, -74.0), (92.0, 92.0, 110.0)  # the box that maps are kept on
LEAST_ML = 0.3  # a map with less says little
_LEAST_CELLS = LEAST_ML * 1000 / SPACING_MM**3
_EDGE = 0.35  # share of a 2 mm cell from which on a lesion is drawn
_SHARPNESS = 18.0


class LesionMapsError(ValueError):
    """A folder without usable lesion maps."""


class LesionMaps:
    """Lesion shares (M, X, Y, Z), 0-1, on a grid of template mm."""

    def __init__(self, shares: Tensor) -> None:
        self.shares = shares

    def save(self, path: Path) -> None:
        """Write as .npz, for a machine that has no reader of NIfTI."""
        np.savez_compressed(path, shares=(self.shares * 255).round().byte().numpy())

    def draw(self, points: Tensor, rng: np.random.Generator) -> Tensor:
        """How much of each template point (N, 3) is lesion, (N,) 0-1."""
        chosen = self.shares[int(rng.integers(len(self.shares)))].to(points.device)
        mirrored = points.new_tensor((-1.0 if rng.random() < 0.5 else 1.0, 1.0, 1.0))
        scale = points.new_tensor(np.exp(rng.normal(0, 0.05, 3)).astype(np.float32))
        moved = points * mirrored * scale + points.new_tensor(rng.normal(0, 2.0, 3).astype(np.float32))
        low, high = points.new_tensor(LOW_MM), points.new_tensor(HIGH_MM)
        grid = ((moved - low) / (high - low) * 2 - 1).flip(-1)[None, :, None, None]
        share = F.grid_sample(chosen[None, None].float(), grid, mode="bilinear", align_corners=True)[0, 0, :, 0, 0]
        kept = noise_at(points, 34, rng) > float(rng.uniform(-1.6, 0.3))
        return torch.sigmoid((share - _EDGE) * _SHARPNESS) * (share > 0.1) * kept


@lru_cache(maxsize=2)
def load_lesion_maps(path: str) -> LesionMaps:
    """Read a folder of NIfTI masks in MNI space, or the file that `save` wrote of one.

    Raises
    ------
    LesionMapsError
        where there is no map with lesions
    """
    found = Path(path)
    if found.suffix == ".npz":
        with np.load(found, allow_pickle=False) as stored:
            return LesionMaps(torch.from_numpy(stored["shares"]).float() / 255)
    shares = [share for share in map(_share, sorted(found.glob("*.nii*"))) if float(share.sum()) >= _LEAST_CELLS]
    if not shares:
        raise LesionMapsError(f"Expected lesion masks in MNI space in {found.name}, found none with lesions")
    return LesionMaps(torch.stack(shares))


def _share(file: Path) -> Tensor:
    """One mask as shares of the cells of the box."""
    from encoders.sequences import MRSequence
    from encoders.volume import VolumeError, read_volume

    try:
        mask = read_volume(file, sequence=MRSequence.FLAIR)
    except VolumeError as error:
        if error.code == "not_brain_mri":  # nothing but zeros: a person without a lesion
            return torch.zeros(1)
        raise LesionMapsError(f"Expected lesion masks in MNI space, but {error}") from error
    steps = [torch.arange(low, high + 1, SPACING_MM / 2) for low, high in zip(LOW_MM, HIGH_MM, strict=True)]
    points = torch.stack(torch.meshgrid(*steps, indexing="ij"), -1).reshape(-1, 3).numpy()
    inverse = np.linalg.inv(mask.affine)
    places = np.round(points @ inverse[:3, :3].T + inverse[:3, 3]).astype(int)
    inside = ((places >= 0) & (places < mask.voxels.shape)).all(1)
    values = np.zeros(len(places), np.float32)
    values[inside] = mask.voxels[tuple(places[inside].T)] > 0.5
    fine = torch.from_numpy(values).reshape([len(step) for step in steps])
    return F.avg_pool3d(F.pad(fine[None, None], (1,) * 6), 3, stride=2)[0, 0]
