"""Preprocessing: the same brain lands in the same place, however it was cut, stored and scaled."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from encoders.preprocess import Preprocessing, PreprocessingError, preprocess
from encoders.volume import Volume, read_volume

SETTINGS = Preprocessing()
REAL = Path(__file__).parents[2] / "shared" / "data" / "mri"
SLABS = {"sub-antspilist1", "sub-antspilist25", "sub-antspilist55"}


def head(
    *,
    spacing: tuple[float, float, float] = (1.5, 1.5, 1.5),
    size_mm: tuple[float, float, float] = (210.0, 250.0, 230.0),
    centre_mm: tuple[float, float, float] = (105.0, 125.0, 140.0),
    skull: bool = True,
    noise: float = 0.0,
) -> Volume:
    """A brain of 140 × 170 × 140 mm with a bright spot off its centre, in dark skull, bright scalp and on a neck."""
    shape = tuple(round(length / step) for length, step in zip(size_mm, spacing, strict=True))
    places = [np.arange(n) * step for n, step in zip(shape, spacing, strict=True)]
    x, y, z = np.meshgrid(*[p - c for p, c in zip(places, centre_mm, strict=True)], indexing="ij")
    voxels = np.zeros(shape, np.float32)
    if skull:
        outer = (x / 84) ** 2 + (y / 99) ** 2 + (z / 84) ** 2
        voxels[outer < 1] = 900
        voxels[(x / 79) ** 2 + (y / 94) ** 2 + (z / 79) ** 2 < 1] = 40
        voxels[(x**2 + (y + 15) ** 2 < 55**2) & (z < -75)] = 500
    voxels[(x / 70) ** 2 + (y / 85) ** 2 + (z / 70) ** 2 < 1] = 600
    voxels[(x - 30) ** 2 + (y - 20) ** 2 + (z - 15) ** 2 < 10**2] = 1500
    if noise:
        voxels += np.abs(np.random.default_rng(1).normal(0, noise, shape)).astype(np.float32)
    affine = np.diag((*spacing, 1.0))
    affine[:3, 3] = -np.array(centre_mm)
    return Volume(voxels, affine, None)


def spot(grid: NDArray[np.float32]) -> NDArray[np.float64]:
    """Where the bright spot's centre lies, in grid points."""
    inner = np.zeros(grid.shape, bool)
    inner[12:-12, 16:-16, 18:-16] = True
    return np.array(np.argwhere(inner & (grid > 2.0)).mean(axis=0))


def test_output_is_the_grid_and_is_deterministic() -> None:
    first, second = preprocess(head(noise=20), SETTINGS), preprocess(head(noise=20), SETTINGS)
    assert first.voxels.shape == SETTINGS.shape
    assert first.voxels.dtype == np.float32
    assert first.voxels.flags.c_contiguous
    assert first.voxels.min() >= 0
    assert first.voxels.max() <= 3
    np.testing.assert_array_equal(first.voxels, second.voxels)
    assert not first.partial
    assert first.coverage == 1.0


@pytest.mark.parametrize(
    "other",
    [
        head(skull=False),
        head(noise=40),
        head(skull=False, size_mm=(146.0, 176.0, 146.0), centre_mm=(73.0, 88.0, 73.0)),
        head(spacing=(1.0, 1.0, 1.0), size_mm=(256.0, 256.0, 256.0), centre_mm=(128.0, 128.0, 150.0)),
        head(spacing=(0.9, 0.9, 5.0)),
        head(spacing=(1.0, 1.0, 2.0), size_mm=(220.0, 260.0, 150.0), centre_mm=(110.0, 130.0, 65.0)),
        head(size_mm=(300.0, 300.0, 300.0), centre_mm=(150.0, 150.0, 200.0), noise=15),
    ],
    ids=["stripped", "noisy", "stripped tight", "1 mm", "5 mm slices", "short field of view", "wide field of view"],
)
def test_the_same_brain_is_framed_alike(other: Volume) -> None:
    reference = spot(preprocess(head(), SETTINGS).voxels)
    np.testing.assert_allclose(spot(preprocess(other, SETTINGS).voxels), reference, atol=4.0)


def test_intensity_does_not_depend_on_scale() -> None:
    volume = head()
    brighter = dataclasses.replace(volume, voxels=volume.voxels * np.float32(7.5))
    np.testing.assert_allclose(preprocess(brighter, SETTINGS).voxels, preprocess(volume, SETTINGS).voxels, atol=1e-5)
    assert np.median(preprocess(volume, SETTINGS).voxels[32:48, 32:52, 38:48]) == pytest.approx(1.0, abs=0.02)


def test_left_stays_left() -> None:
    volume = head()
    mirrored = dataclasses.replace(volume, voxels=np.ascontiguousarray(volume.voxels[::-1]))
    assert spot(preprocess(volume, SETTINGS).voxels)[0] > 47
    assert spot(preprocess(mirrored, SETTINGS).voxels)[0] < 33


def test_the_affine_leads_back_to_the_scanner() -> None:
    prepared = preprocess(head(), SETTINGS)
    place = prepared.affine @ np.array([*spot(prepared.voxels), 1.0])
    np.testing.assert_allclose(place[:3], (30.0, 20.0, 15.0), atol=1.5)


def test_a_slab_is_partial() -> None:
    volume = head(skull=False)
    slab = dataclasses.replace(volume, voxels=np.ascontiguousarray(volume.voxels[:, :, 90:102]))
    prepared = preprocess(slab, SETTINGS)
    assert prepared.partial
    assert 0 < prepared.coverage < 0.3
    assert np.isfinite(prepared.voxels).all()


def test_odd_volumes_still_give_a_finite_input() -> None:
    for shape in ((8, 8, 8), (16, 400, 9), (300, 10, 10)):
        ramp = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) - 100
        prepared = preprocess(Volume(ramp, np.diag((1.0, 1.0, 1.0, 1.0)), None), SETTINGS)
        assert np.isfinite(prepared.voxels).all()
        assert 0 <= prepared.coverage <= 1


def test_the_digest_knows_every_setting() -> None:
    assert Preprocessing().digest() == SETTINGS.digest()
    for change in (
        {"spacing_mm": 1.5},
        {"shape": (64, 64, 64)},
        {"clip": 4.0},
        {"top_margin_mm": 10.0},
        {"partial_below": 0.5},
    ):
        assert dataclasses.replace(SETTINGS, **change).digest() != SETTINGS.digest()


def test_settings_survive_json() -> None:
    import json

    assert Preprocessing.from_dict(json.loads(json.dumps(SETTINGS.to_dict()))) == SETTINGS
    with pytest.raises(PreprocessingError, match="colour"):
        Preprocessing.from_dict({"colour": 1})


@pytest.mark.shared
@pytest.mark.skipif(not REAL.is_dir(), reason="the shared real scans are not beside the checkout")
def test_real_scans_all_read_and_only_the_slabs_are_partial() -> None:
    files = sorted(REAL.glob("sub-*/**/*.nii.gz"))
    assert len(files) >= 68
    partial = {file.name.split("_")[0] for file in files if preprocess(read_volume(file), SETTINGS).partial}
    assert partial == SLABS


def test_values_near_the_end_of_float32_do_not_overflow() -> None:
    volume = head()
    large = dataclasses.replace(volume, voxels=volume.voxels * np.float32(2e38 / 1500))
    np.testing.assert_allclose(preprocess(large, SETTINGS).voxels, preprocess(volume, SETTINGS).voxels, atol=1e-3)


def test_a_volume_with_nothing_in_it_is_refused() -> None:
    volume = head()
    with pytest.raises(PreprocessingError, match="nothing that stands out"):
        preprocess(dataclasses.replace(volume, voxels=np.full_like(volume.voxels, 7.0)), SETTINGS)
