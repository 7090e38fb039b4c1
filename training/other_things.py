"""Volumes that are no brain MRI, by the kind: noise, solids, limbs, trunks, CT of a head, torn and scrambled heads.

What `out_of_range` learns a brain from, besides phantoms. None of it is measured from anybody. Grids are 2 mm in RAS+
order, values are arbitrary.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from encoders.sequences import MRSequence
from encoders.volume import Volume

Voxels = NDArray[np.float32]
SHAPE = (104, 120, 104)
SPACING_MM = 2.0
_BLOCKS = 6  # along each axis, when a head is shuffled
# Hounsfield units, or near enough, of the head's labels and of tissue.
_CT = {"air": -1000, "csf": 8, "bone": 1100, "marrow": 450, "fat": -90, "muscle": 55, "skin": 60, "dura": 60}
_CT_TISSUE = {"csf": 8, "grey": 37, "white": 30, "blood_acute": 65, "cavity": 10}


def draw_other(seed: int, sequence: MRSequence) -> tuple[str, Volume]:
    """A volume of some kind, said to be of an MR sequence, and the kind's name; the same seed gives the same."""
    rng = np.random.default_rng((seed, 0x0713))
    name = str(rng.choice(list(_KINDS)))
    voxels = _KINDS[name](rng)
    voxels = voxels - voxels.min()
    voxels = voxels + rng.normal(0, 0.02 * float(voxels.max()), voxels.shape).astype(np.float32)
    affine = np.diag((*(SPACING_MM * np.exp(rng.normal(0, 0.12, 3))), 1.0))
    affine[:3, 3] = -np.array(voxels.shape) * SPACING_MM / 2
    return name, Volume.from_voxels(np.abs(voxels).astype(np.float32), affine, sequence)


def _places(rng: np.random.Generator) -> tuple[Voxels, Voxels, Voxels]:
    """X, Y, Z of every voxel in mm about a middle that wanders."""
    axes = [(np.arange(n) - n / 2) * SPACING_MM + rng.normal(0, 8) for n in SHAPE]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    return x.astype(np.float32), y.astype(np.float32), z.astype(np.float32)


def _blurred_noise(rng: np.random.Generator) -> Voxels:
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(rng.standard_normal(SHAPE), float(rng.uniform(1.0, 6.0)))
    return np.asarray(noise / noise.std() + 3, np.float32)


def _solid(rng: np.random.Generator) -> Voxels:
    """A test object: ball, box or cylinder, even or with a grid of holes."""
    x, y, z = _places(rng)
    a, b, c = rng.uniform(45, 90, 3)
    shape = int(rng.integers(3))
    if shape == 0:
        inside = (x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2 < 1
    elif shape == 1:
        inside = (np.abs(x) < a) & (np.abs(y) < b) & (np.abs(z) < c)
    else:
        inside = (np.hypot(x / a, y / b) < 1) & (np.abs(z) < c)
    even = np.where(inside, 1.0, 0.0)
    if rng.random() < 0.5:
        period = float(rng.uniform(14, 34))
        even *= 1 - 0.8 * ((x % period < period / 3) & (y % period < period / 3))
    return np.asarray(even + 0.15 * inside * _texture(rng), np.float32)


def _limb(rng: np.random.Generator) -> Voxels:
    """Skin, fat, muscle, one or two bones with marrow, and perhaps a joint."""
    x, y, z = _places(rng)
    girth = float(rng.uniform(45, 80))
    radius = np.hypot(x, y * rng.uniform(0.8, 1.2)) * (1 + 0.0015 * z * rng.normal())
    fat, muscle, marrow, bone = rng.uniform(0.5, 1.2), rng.uniform(0.25, 0.6), rng.uniform(0.4, 1.1), 0.05
    limb = np.where(radius < girth, fat, 0.0)
    limb = np.where(radius < girth * rng.uniform(0.75, 0.92), muscle, limb)
    for _ in range(int(rng.integers(1, 3))):
        dx, dy = rng.normal(0, girth * 0.25, 2)
        thick = girth * float(rng.uniform(0.22, 0.5)) * (1 + 0.5 * np.exp(-((z / 22) ** 2)))
        away = np.hypot(x - dx, y - dy)
        limb = np.where(away < thick, bone, limb)
        limb = np.where(away < thick - 4, marrow, limb)
    if rng.random() < 0.6:
        joint = np.abs(z + 4 * np.sin(x / 15)) < 4
        limb = np.where(joint & (radius < girth * 0.6), rng.uniform(0.6, 1.4), limb)
    return np.asarray(limb * (1 + 0.12 * _texture(rng)), np.float32)


def _trunk(rng: np.random.Generator) -> Voxels:
    """An oval with a wall of fat and muscle, a few organs, and a spine."""
    x, y, z = _places(rng)
    wide, deep = rng.uniform(80, 104), rng.uniform(55, 85)
    oval = (x / wide) ** 2 + (y / deep) ** 2
    trunk = np.where(oval < 1, rng.uniform(0.6, 1.1), 0.0)
    trunk = np.where(oval < rng.uniform(0.7, 0.85), rng.uniform(0.2, 0.5), trunk)
    for _ in range(int(rng.integers(3, 8))):
        middle = rng.normal(0, 1, 3) * (wide * 0.4, deep * 0.35, 50)
        radii = rng.uniform(14, 48, 3)
        organ = (
            ((x - middle[0]) / radii[0]) ** 2 + ((y - middle[1]) / radii[1]) ** 2 + ((z - middle[2]) / radii[2]) ** 2
        )
        trunk = np.where((organ < 1) & (oval < 0.75), rng.uniform(0.05, 1.2), trunk)
    vertebra = np.hypot(x, y + deep * 0.6)
    trunk = np.where(vertebra < 20, np.where(z % 32 < 8, 0.9, 0.45), trunk)
    trunk = np.where(np.hypot(x, y + deep * 0.6 + 24) < 8, rng.uniform(0.2, 1.4), trunk)
    return np.asarray(trunk * (1 + 0.12 * _texture(rng)), np.float32)


def _computed_tomogram(rng: np.random.Generator) -> Voxels:
    """A head as CT shows it: bone bright, brain even; windowed or not."""
    from training.phantoms.head_shells import HEAD_LABELS
    from training.phantoms.pathology import make_phantom

    phantom = make_phantom(int(rng.integers(2**31)), stripped=False, spacing_mm=SPACING_MM)
    values = np.array([_CT.get(name, 20) for name in HEAD_LABELS], np.float32)
    head = values[phantom.head.numpy().astype(int)]
    tissue = np.array([_CT_TISSUE.get(name, 34) for name in phantom.tissues], np.float32)
    head.reshape(-1)[phantom.inside.numpy()] = tissue @ phantom.fractions.numpy()
    if rng.random() < 0.4:
        low, high = ((0, 80), (-1000, 1000), (-200, 400))[int(rng.integers(3))]
        head = np.clip(head, low, high)
    return np.asarray(head, np.float32)


def _scrambled(rng: np.random.Generator) -> Voxels:
    """A rendered head whose blocks are shuffled, whose slices are, or whose phases are drawn anew."""
    from training.phantoms.contrast import render
    from training.phantoms.pathology import make_phantom

    phantom = make_phantom(int(rng.integers(2**31)), spacing_mm=SPACING_MM)
    voxels, _ = render(phantom, MRSequence.FLAIR, int(rng.integers(2**31)))
    how = int(rng.integers(3))
    if how == 0:
        side = tuple(n // _BLOCKS for n in voxels.shape)
        whole = voxels[tuple(slice(n * _BLOCKS) for n in side)]
        blocks = whole.reshape(_BLOCKS, side[0], _BLOCKS, side[1], _BLOCKS, side[2]).transpose(0, 2, 4, 1, 3, 5)
        mixed = rng.permutation(blocks.reshape(-1, *side)).reshape(blocks.shape)
        return np.ascontiguousarray(mixed.transpose(0, 3, 1, 4, 2, 5).reshape(whole.shape))
    if how == 1:
        return np.asarray(np.take(voxels, rng.permutation(voxels.shape[2]), axis=2))
    spectrum = np.abs(np.fft.rfftn(voxels))
    turned = spectrum * np.exp(2j * np.pi * rng.random(spectrum.shape))
    return np.asarray(np.fft.irfftn(turned, voxels.shape, axes=(0, 1, 2)), np.float32)


def _texture(rng: np.random.Generator) -> Voxels:
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(rng.standard_normal(SHAPE).astype(np.float32), float(rng.uniform(1.5, 5.0)))
    return np.asarray(noise / noise.std(), np.float32)


_KINDS: dict[str, Callable[[np.random.Generator], Voxels]] = {
    "noise": _blurred_noise,
    "solid": _solid,
    "limb": _limb,
    "trunk": _trunk,
    "CT": _computed_tomogram,
    "scrambled": _scrambled,
}
KINDS = tuple(_KINDS)
