"""Lesion maps of real people as places for plaques: read, kept, drawn, and left alone where there are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from training.phantoms.facts import Pathology
from training.phantoms.lesion_maps import LesionMaps, LesionMapsError, load_lesion_maps
from training.phantoms.pathology import make_phantom

nibabel = pytest.importorskip("nibabel")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One map with a lesion of 20 mm beside the left ventricle, one that is empty."""
    affine = np.diag((2.0, 2.0, 2.0, 1.0))
    affine[:3, 3] = (-90, -126, -72)
    mask = np.zeros((91, 109, 91), np.uint8)
    x, y, z = np.round(np.linalg.inv(affine) @ (-26.0, -20.0, 24.0, 1.0))[:3].astype(int)
    mask[x - 5 : x + 5, y - 5 : y + 5, z - 5 : z + 5] = 1
    for name, voxels in (("one", mask), ("none", np.zeros_like(mask))):
        nibabel.save(nibabel.Nifti1Image(voxels, affine), tmp_path / f"{name}.nii.gz")
    return tmp_path


def test_maps_are_read_once_and_kept_as_one_file(folder: Path, tmp_path: Path) -> None:
    maps = load_lesion_maps(str(folder))
    assert len(maps.shares) == 1  # the empty map says nothing
    assert float(maps.shares.sum()) * 8 / 1000 == pytest.approx(8.0, rel=0.05)  # ml
    maps.save(tmp_path / "maps.npz")
    assert torch.allclose(load_lesion_maps(str(tmp_path / "maps.npz")).shares, maps.shares, atol=0.01)


def test_a_folder_without_lesions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LesionMapsError, match="found none with lesions"):
        load_lesion_maps(str(tmp_path))


def test_lesions_lie_where_the_map_has_them_on_either_side(folder: Path) -> None:
    maps = load_lesion_maps(str(folder))
    points = torch.tensor([[-26.0, -20.0, 24.0], [26.0, -20.0, 24.0], [0.0, 60.0, 24.0]])
    drawn = torch.stack([maps.draw(points, np.random.default_rng(seed)) for seed in range(40)])
    assert drawn[:, 2].max() == 0
    assert (drawn[:, 0] > 0.5).any()
    assert (drawn[:, 1] > 0.5).any()
    assert not ((drawn[:, 0] > 0.5) & (drawn[:, 1] > 0.5)).any()


def test_half_of_the_phantoms_with_multiple_sclerosis_follow_the_maps(folder: Path) -> None:
    maps = load_lesion_maps(str(folder))
    apart = []
    for seed in range(6):
        with_maps, without = (
            make_phantom(seed, pathologies=(Pathology.MULTIPLE_SCLEROSIS,), spacing_mm=4.0, lesion_maps=given)
            for given in (maps, None)
        )
        assert with_maps.mask("white_matter_lesion").any()
        assert with_maps.facts.abnormalities[0].volume_ml
        apart.append(not torch.equal(with_maps.mask("white_matter_lesion"), without.mask("white_matter_lesion")))
    assert any(apart)


@pytest.mark.shared
def test_the_shared_maps_give_realistic_amounts(shared_mri: Path) -> None:
    maps = load_lesion_maps(str(shared_mri.parent / "mri_priors" / "ms_lesions_mni"))
    assert isinstance(maps, LesionMaps)
    assert len(maps.shares) > 20
    millilitres = maps.shares.sum(dim=(1, 2, 3)) * 8 / 1000
    assert float(millilitres.min()) > 0.3
    assert 5 < float(millilitres.median()) < 30
