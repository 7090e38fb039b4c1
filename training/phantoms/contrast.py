"""The scanner's physics: signal of every tissue in every MR sequence, from relaxation times and a randomised protocol.

`render` is the way in: it draws a protocol, fills the working grid with signal, and hands it to `acquisition` for coil,
sampling, noise and file layout. The equations are the standard spin-echo, inversion-recovery, gradient-echo and
diffusion ones (e.g. Bernstein, King, Zhou: Handbook of MRI Pulse Sequences, 2004).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from encoders.sequences import MRSequence
from encoders.volume import Volume
from training.phantoms.acquisition import Scene, acquire
from training.phantoms.head_shells import HEAD_LABELS
from training.phantoms.pathology import Phantom
from training.phantoms.relaxation import TISSUES, Tissue

SHARE_UNUSUAL = 0.15  # renders whose tissues vary three times as much, in the spirit of domain randomisation
UPTAKE_SPREAD = 0.35  # SD of the logarithm: what enhances, enhances anywhere from faintly to brightly
AROUND_SPREAD = 0.35  # the same of fat, marrow, muscle and mucosa, whose signal says nothing about the brain
DIFFUSION_WEIGHTED = (MRSequence.DWI, MRSequence.ADC)
FAT_SUPPRESSED = 0.12  # signal left of fat where it is suppressed
INFLOW = 0.5  # of white matter: the most that moving CSF shines in a FLAIR, at one SD of the field above 0.8


@dataclass(frozen=True, slots=True)
class Protocol:
    """Settings of one series. Times in ms, b in 1e3 s/mm2; inversion 0 means none."""

    repetition: float
    echo: float
    inversion: float = 0.0
    flip: float = 0.0  # degrees of a spoiled gradient echo; 0 for a spin echo
    b_value: float = 0.0
    contrast: float = 0.0  # dose as relaxation rate per unit of uptake, 1/s
    fat_suppressed: bool = False


def render(phantom: Phantom, sequence: MRSequence, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Acquire one series of a phantom.

    Returns
    -------
    voxels : (X, Y, Z) float32 in the file's own axis order
    affine : (4, 4) voxel to world mm, RAS+ world as in NIfTI
    """
    rng = np.random.default_rng((seed, list(MRSequence).index(sequence), 0xC0))
    protocol = draw_protocol(sequence, rng)
    spread = 0.18 if rng.random() < SHARE_UNUSUAL else 0.055
    signal = {name: tissue_signal(tissue, sequence, protocol, rng, spread) for name, tissue in TISSUES.items()}
    return acquire(
        _fill(phantom, sequence, signal, rng), Scene(phantom.affine, phantom.box, phantom.stripped), sequence, rng
    )


def scan(phantom: Phantom, sequence: MRSequence, seed: int) -> Volume:
    """`render` as a volume, as a reader of files would give it."""
    return Volume.from_voxels(*render(phantom, sequence, seed), sequence)


def draw_protocol(sequence: MRSequence, rng: np.random.Generator) -> Protocol:
    """Draw a plausible protocol of an MR sequence."""
    vary = rng.uniform
    if sequence in (MRSequence.T1W, MRSequence.T1W_POST):
        dose = vary(2.5, 5.5) if sequence is MRSequence.T1W_POST else 0.0
        suppressed = bool(rng.random() < 0.15)
        if rng.random() < 0.5:  # inversion-prepared volume, as MPRAGE
            return Protocol(vary(1700, 2300), vary(2.5, 4.5), vary(850, 1050), contrast=dose, fat_suppressed=suppressed)
        return Protocol(vary(420, 680), vary(8, 15), contrast=dose, fat_suppressed=suppressed)
    if sequence is MRSequence.T2W:
        return Protocol(vary(3500, 6000), vary(85, 115), fat_suppressed=bool(rng.random() < 0.2))
    if sequence is MRSequence.PDW:
        return Protocol(vary(2500, 4000), vary(14, 30))
    if sequence is MRSequence.FLAIR:
        repetition = vary(7500, 10500)
        null = TISSUES["csf"].t1 * np.log(2 / (1 + np.exp(-repetition / TISSUES["csf"].t1)))
        return Protocol(repetition, vary(95, 130), null * vary(0.95, 1.04), fat_suppressed=bool(rng.random() < 0.6))
    if sequence in DIFFUSION_WEIGHTED:
        return Protocol(vary(4500, 8000), vary(70, 100), b_value=1.0, fat_suppressed=True)
    if sequence is MRSequence.SWI:
        return Protocol(vary(28, 50), vary(20, 38), flip=vary(10, 18))
    return Protocol(vary(450, 900), vary(17, 27), flip=vary(15, 28))


def tissue_signal(
    tissue: Tissue, sequence: MRSequence, protocol: Protocol, rng: np.random.Generator, spread: float
) -> float:
    """Signal of one tissue whose parameters are varied by `spread` (SD of their logarithms)."""
    vary = np.exp(rng.normal(0, spread, 4))
    t1, t2, density = tissue.t1 * vary[0], tissue.t2 * vary[1], tissue.density * vary[2] ** 0.5
    diffusion = tissue.diffusion * vary[3]
    if sequence is MRSequence.ADC:
        return float(diffusion) if tissue.density > 0.2 else 0.0
    if protocol.contrast:
        uptake = tissue.uptake * np.exp(rng.normal(0, UPTAKE_SPREAD))
        t1 = 1 / (1 / t1 + protocol.contrast * uptake / 1000)
    recovery = 1 - np.exp(-protocol.repetition / t1)
    if protocol.inversion:
        recovery = abs(1 - 2 * np.exp(-protocol.inversion / t1) + np.exp(-protocol.repetition / t1))
    if protocol.flip:
        angle, left = np.deg2rad(protocol.flip), np.exp(-protocol.repetition / t1)
        recovery = np.sin(angle) * (1 - left) / (1 - np.cos(angle) * left)
    decay = np.exp(-protocol.echo / (tissue.t2_star * vary[1] if protocol.flip else t2))
    signal = density * recovery * decay * np.exp(-protocol.b_value * diffusion)
    is_fat = tissue in (TISSUES["fat"], TISSUES["marrow"])
    return float(signal * (FAT_SUPPRESSED if is_fat and protocol.fat_suppressed else 1.0))


def _fill(phantom: Phantom, sequence: MRSequence, signal: dict[str, float], rng: np.random.Generator) -> Tensor:
    """Signal on the working grid, scaled so that white matter is about one (ADC: 1e-3 mm2/s)."""
    device = phantom.fractions.device
    whole = phantom.keep is None
    volume = _around(phantom, signal, rng) if whole else torch.zeros(phantom.head.numel(), device=device)
    weights = torch.tensor([signal[name] for name in phantom.tissues], device=device)
    brain = weights @ phantom.fractions
    fine, coarse = rng.uniform(0.01, 0.045), rng.uniform(-0.05, 0.05)
    brain = brain * (1 + fine * phantom.texture[0] + coarse * phantom.texture[1])
    if sequence is MRSequence.FLAIR:
        # Fluid that has moved since the inversion is not nulled: bright clouds in cisterns and ventricles.
        moved = (phantom.texture[1] - 0.8).clamp_min(0) * rng.uniform(0, INFLOW)
        brain = brain + signal["white"] * moved * phantom.fractions[phantom.tissues.index("csf")]
    if phantom.keep is not None:
        brain = brain * phantom.keep
    volume[phantom.inside] = brain
    unit = 1.0 if sequence is MRSequence.ADC else max(signal["white"], 1e-4)
    return volume.reshape(phantom.shape) / unit


def _around(phantom: Phantom, signal: dict[str, float], rng: np.random.Generator) -> Tensor:
    """Flat signal of what lies around the brain: uneven, and with islands of marrow in the bone, as in a skull base."""
    head = phantom.head.reshape(-1).int()
    spread = np.exp(rng.normal(0, AROUND_SPREAD, len(HEAD_LABELS)))
    around = [signal[name] * spread[row] if name != "inside" else 0.0 for row, name in enumerate(HEAD_LABELS)]
    table = torch.tensor(around, dtype=torch.float32, device=head.device)
    knots = torch.from_numpy(rng.standard_normal((1, 2, 14, 16, 15)).astype(np.float32)).to(head.device)
    coarse, fine = F.interpolate(knots, size=phantom.shape, mode="trilinear", align_corners=True)[0].flatten(1)
    bone, marrow = HEAD_LABELS.index("bone"), HEAD_LABELS.index("marrow")
    head = torch.where((head == bone) & (fine > rng.uniform(0.3, 1.5)), marrow, head)
    uneven: Tensor = table.index_select(0, head) * (AROUND_SPREAD * coarse).exp()
    return uneven
