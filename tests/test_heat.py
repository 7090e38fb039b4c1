"""Heat maps as pictures: where the heat is, in the convention of the slices, and served for a stored series."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import nibabel
import numpy as np
import pytest
from fastapi.testclient import TestClient
from http_cases import ADDRESS, assert_refused, serving
from PIL import Image
from search_cases import build_archive

from encoders.bundle import load
from encoders.explain import HeatMap
from encoders.sequences import MRSequence
from encoders.volume import Volume
from indexer.ingest import ingest
from indexer.rebuild import rebuild
from search_api.app import build_app
from search_api.heat import ShownHeat, draw_heat, heat_volume, hottest
from search_api.settings import Settings
from search_api.slices import Plane, SliceMissing, Window, draw, make_picture
from training.phantoms import Pathology, make_phantom, render

SHAPE = (30, 40, 20)
PEAK = (6, 30, 12)  # the patient's left, front, above the middle


@pytest.fixture
def shown() -> ShownHeat:
    """Heat around one voxel of a series of 3 x 3 x 6 mm, on a grid of 4 mm that is shifted against it."""
    series = np.diag((3.0, 3.0, 6.0, 1.0))
    grid = np.diag((4.0, 4.0, 4.0, 1.0))
    grid[:3, 3] = (-4.0, -4.0, -4.0)
    places = np.stack(np.meshgrid(*(np.arange(n) for n in (26, 34, 34)), indexing="ij"), -1) @ grid[:3, :3].T
    distance = np.linalg.norm(places + grid[:3, 3] - np.array(PEAK) * (3, 3, 6), axis=-1)
    heat = np.exp(-((distance / 8) ** 2)).astype(np.float32)
    map_ = HeatMap(heat, grid, (18.0, 90.0, 72.0), 0.9)
    return ShownHeat(map_, SHAPE, (3.0, 3.0, 6.0), np.linalg.inv(grid) @ series)


@pytest.mark.parametrize("plane", Plane, ids=str)
def test_the_overlay_fits_the_slice_and_is_hot_where_the_heat_is(shown: ShownHeat, plane: Plane) -> None:
    overlay = np.asarray(Image.open(io.BytesIO(draw_heat(shown, plane, None))))
    volume = np.ones(SHAPE, np.float32)
    volume[PEAK] = 100.0
    picture = make_picture(Volume(volume, np.diag((3.0, 3.0, 6.0, 1.0)), None))
    shot = np.asarray(Image.open(io.BytesIO(draw(picture, plane, PEAK[plane.axis], Window.FULL))))
    assert overlay.shape[:2] == shot.shape
    bright = np.array(np.unravel_index(int(shot.argmax()), shot.shape))
    hot = np.array(np.unravel_index(int(overlay[..., 3].argmax()), shot.shape))
    assert np.abs(bright - hot).max() <= 3
    assert overlay[0, 0, 3] == 0


def test_the_hottest_voxel_is_that_of_the_series(shown: ShownHeat) -> None:
    assert np.abs(np.array(hottest(shown)) - PEAK).max() <= 1
    with pytest.raises(SliceMissing):
        draw_heat(shown, Plane.AXIAL, SHAPE[2])


def test_the_volume_lies_on_its_own_grid(shown: ShownHeat) -> None:
    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(heat_volume(shown)))
    voxels = image.get_fdata()
    assert voxels.max() == pytest.approx(255, abs=40)
    place = nibabel.affines.apply_affine(image.affine, np.unravel_index(int(voxels.argmax()), voxels.shape))
    assert np.abs(place - np.array(PEAK) * (3, 3, 6)).max() <= 4


def test_an_encoder_that_explains_nothing_says_so(tmp_path: Path) -> None:
    with serving(build_archive(tmp_path)) as client:
        key = client.get("/api/search?q=glioma").json()["hits"][0]["key"]
        heat = f"/api/examinations/{key}/series/1/heat"
        assert_refused(client.get(f"{heat}/axial/key.png?finding=glioma"), 400, "no_heat_map")
        assert_refused(client.get(f"{heat}/axial/key.png"), 400, "one_of_two")
        assert_refused(client.get(f"{heat}.nii.gz?finding=glioma&q=glioma"), 400, "one_of_two")
        assert_refused(client.get(f"{heat}/axial/key.png?q=%20"), 400, "one_of_two")


@pytest.mark.slow
def test_heat_of_a_stored_series_is_served(tmp_path: Path) -> None:
    voxels, affine = render(make_phantom(900, pathologies=(Pathology.HIGH_GRADE_GLIOMA,)), MRSequence.FLAIR, 0)
    scan = tmp_path / "bids" / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz"
    scan.parent.mkdir(parents=True)
    nibabel.save(nibabel.Nifti1Image(voxels, affine), scan)
    data, bundle = tmp_path / "data", load()
    ingest(tmp_path / "bids", data)
    rebuild(data, bundle)
    with TestClient(build_app(Settings(data=data), encoder=bundle), base_url=ADDRESS) as client:
        key = client.get("/api/triage").json()["entries"][0]["examination"]["key"]
        series = f"/api/examinations/{key}/series/1"
        for asked in ("finding=glioma", "q=there is a high grade glioma"):
            overlay = client.get(f"{series}/heat/axial/key.png?{asked}&width=128")
            assert overlay.status_code == 200, overlay.text
            shot = client.get(f"{series}/slices/axial/0.png?width=128")
            pictures = [Image.open(io.BytesIO(answer.content)) for answer in (overlay, shot)]
            assert pictures[0].size == pictures[1].size
            assert pictures[0].mode == "RGBA"
            assert np.asarray(pictures[0])[..., 3].max() > 100
            assert 0 < float(overlay.headers["heat-strength"]) <= 1
        assert_refused(client.get(f"{series}/heat/axial/key.png?finding=gout"), 400, "unknown_finding")
        assert_refused(client.get(f"{series}/heat/axial/key.png?q=%E2%80%8B"), 400, "no_words")
        assert client.get(f"{series}/heat.nii.gz?finding=glioma").headers["content-type"] == "application/gzip"
