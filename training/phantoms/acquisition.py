"""From ideal signal to a series as a hospital stores it: coil shading, slices, resolution, motion, noise, axes, scale.

Resampling is separable: one small matrix an axis holds slice profile, gap, blur and field of view at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from encoders.sequences import MRSequence

SHARE_VOLUME = {MRSequence.T1W: 0.45, MRSequence.T1W_POST: 0.45, MRSequence.FLAIR: 0.3, MRSequence.SWI: 0.3}
SHARE_MOTION = 0.08
SHARE_INTEGER_STEPS = 0.5  # files whose scanner stored small integers


@dataclass(frozen=True, slots=True)
class Sampling:
    """Spacing and width of a voxel along each axis of the working grid, in mm; which axis the slices follow."""

    spacing: tuple[float, float, float]
    width: tuple[float, float, float]
    through: int


@dataclass(frozen=True, slots=True)
class Scene:
    """Where the signal lies: affine of the working grid, first and last position along each axis, stripped or not."""

    affine: NDArray[np.float64]
    box: tuple[tuple[int, int], ...]
    stripped: bool


def acquire(
    volume: Tensor, scene: Scene, sequence: MRSequence, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Scan a signal volume (X, Y, Z) on a RAS+ grid; returns voxels in file order and their affine."""
    volume = volume * _shading(volume.shape, rng, volume.device)
    sampling = draw_sampling(sequence, rng)
    sampled, placed = _resample(volume, scene, sampling, rng)
    if rng.random() < SHARE_MOTION:
        sampled = _ghost(sampled, sampling.through, rng)
    sampled = _noisy(sampled, sequence, scene.stripped, rng)
    if sequence is not MRSequence.ADC:
        sampled = sampled.clamp_min(0) ** float(np.exp(rng.normal(0, 0.08)))
    scale = 1000.0 if sequence is MRSequence.ADC else float(np.exp(rng.uniform(np.log(80), np.log(1500))))
    voxels = (sampled * scale).cpu().numpy().astype(np.float32)
    if rng.random() < SHARE_INTEGER_STEPS:
        voxels = np.round(voxels)
    return _store(voxels, placed, sampling.through, rng)


def draw_sampling(sequence: MRSequence, rng: np.random.Generator) -> Sampling:
    """Draw slice direction, thickness, gap and in-plane resolution."""
    if rng.random() < SHARE_VOLUME.get(sequence, 0.05):
        edge = float(rng.uniform(1.2, 2.0))
        return Sampling((edge,) * 3, (edge,) * 3, int(rng.integers(3)))
    through = 2 if rng.random() < 0.85 or sequence in (MRSequence.DWI, MRSequence.ADC) else int(rng.integers(2))
    thick = float(rng.uniform(2.5, 6.0))
    gap = float(rng.choice((0.0, 0.0, 0.1, 0.2))) * thick
    coarse = sequence in (MRSequence.DWI, MRSequence.ADC)
    plane = float(rng.uniform(1.6, 2.4) if coarse else rng.uniform(1.0, 1.7))
    spacing, width = [plane] * 3, [plane * (1.2 if coarse else 1.0)] * 3
    spacing[through], width[through] = thick + gap, thick
    return Sampling((spacing[0], spacing[1], spacing[2]), (width[0], width[1], width[2]), through)


def _shading(shape: torch.Size, rng: np.random.Generator, device: torch.device) -> Tensor:
    """Multiplicative bias field of the coil, smooth, mean about one."""
    strength = abs(rng.normal(0, 0.18))
    knots = torch.from_numpy(rng.standard_normal((1, 1, 4, 4, 4)).astype(np.float32)).to(device)
    coarse = F.interpolate(knots * strength, size=(24, 28, 26), mode="trilinear", align_corners=True)
    coarse = F.avg_pool3d(F.pad(coarse, (2,) * 6, mode="replicate"), 5, stride=1).exp()
    return F.interpolate(coarse, size=tuple(shape), mode="trilinear", align_corners=True)[0, 0]


def _resample(
    volume: Tensor, scene: Scene, sampling: Sampling, rng: np.random.Generator
) -> tuple[Tensor, NDArray[np.float64]]:
    """Integrate over voxels along each axis, inside a randomly cropped field of view."""
    placed = scene.affine.copy()
    # The slices' axis first: there the volume shrinks most.
    for axis in sorted(range(3), key=lambda axis: axis != sampling.through):
        step = float(scene.affine[axis, axis])
        low, high = scene.box[axis]
        first, last = _field_of_view(axis, low * step, high * step, sampling, rng)
        count = max(int((last - first) / sampling.spacing[axis]) + 1, 8)
        centres = first + np.arange(count) * sampling.spacing[axis]
        weights = torch.from_numpy(_weights(centres, sampling.width[axis], step, volume.shape[axis])).to(volume)
        volume = torch.movedim(torch.tensordot(weights, volume, dims=([1], [axis])), 0, axis)
        placed[axis, 3] = scene.affine[axis, 3] + first
        placed[axis, axis] = sampling.spacing[axis]
    return volume, placed


def _field_of_view(
    axis: int, low: float, high: float, sampling: Sampling, rng: np.random.Generator
) -> tuple[float, float]:
    """First and last voxel centre in mm from the grid's corner: margins in plane, slices over the brain."""
    if axis != 2:
        margin = rng.uniform(-1, 14, 2)
        return low - margin[0], high + margin[1]
    top = high + rng.uniform(-6, 8)
    if rng.random() < 0.06:
        top -= rng.uniform(5, 20)  # the vertex missed
    reach = rng.uniform(138, 175) if sampling.through == 2 else rng.uniform(150, 215)
    return max(low - 4, top - reach), top


def _weights(centres: NDArray[np.floating], width: float, step: float, count: int) -> NDArray[np.float32]:
    """Weights (M, count) of a smooth-edged box of `width` mm about each centre, over grid points `step` mm apart."""
    distance = np.abs(np.arange(count) * step - centres[:, None])
    reach = max(width, step) / 2
    weights = np.clip((reach + step / 2 - distance) / step, 0, 1)
    # Voxels outside of the grid see air: do not renormalise what fell off its edge.
    return np.asarray(weights * (step / (2 * reach)), np.float32)


def _ghost(volume: Tensor, through: int, rng: np.random.Generator) -> Tensor:
    """Motion: faint shifted copies along the phase-encoding axis, and a little blur."""
    phase = [axis for axis in range(3) if axis != through][int(rng.integers(2))]
    shift = int(rng.integers(4, max(volume.shape[phase] // 3, 5)))
    strength = float(rng.uniform(0.03, 0.12))
    copies = torch.roll(volume, shift, phase) + torch.roll(volume, -shift, phase)
    near = torch.roll(volume, 1, phase) + torch.roll(volume, -1, phase)
    return (1 - strength) * (0.6 * volume + 0.2 * near) + strength * 0.5 * copies


def _noisy(volume: Tensor, sequence: MRSequence, stripped: bool, rng: np.random.Generator) -> Tensor:
    """Rician noise; an ADC map is computed, so there it is Gaussian inside the head and nothing outside."""
    generator = torch.Generator(device=volume.device).manual_seed(int(rng.integers(2**31)))
    level = float(np.exp(rng.normal(np.log(0.03), 0.5)))
    if sequence in (MRSequence.DWI, MRSequence.ADC):
        level *= 1.6
    noise = torch.randn(volume.shape, generator=generator, device=volume.device) * level
    if sequence is MRSequence.ADC:
        return (volume + noise * (volume > 0.1)).clamp_min(0)
    # The imaginary part is the same noise elsewhere: independent for every eye, at half the cost.
    noisy = torch.hypot(volume + noise, noise.roll((3, 5), (0, 1)))
    # A stripped file holds exact zeros outside of the brain; a whole head holds noise there.
    return noisy * (volume > 1e-6) if stripped else noisy


def _store(
    voxels: NDArray[np.float32], affine: NDArray[np.float64], through: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Put axes into the order and direction in which a file may hold them; the affine says so."""
    order = [axis for axis in range(3) if axis != through] + [through]
    if rng.random() < 0.3:
        order = list(rng.permutation(3))
    placed = affine[:, [*order, 3]].copy()
    voxels = voxels.transpose(order)
    for axis in range(3):
        if rng.random() < 0.5:
            voxels = np.flip(voxels, axis)
            placed[:3, 3] += placed[:3, axis] * (voxels.shape[axis] - 1)
            placed[:3, axis] *= -1
    return np.ascontiguousarray(voxels), placed
