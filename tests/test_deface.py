"""De-facing: the face of a phantom head goes, its brain stays; brains without a skull are left whole."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from encoders.sequences import MRSequence
from encoders.volume import Volume, VolumeError, read_volume
from search_api.deface import deface_series, face_mask
from training.phantoms import make_phantom, render
from training.phantoms.head_shells import HEAD_LABELS

# Real series that show a brain without skull or scalp: whatever is not background there is brain.
STRIPPED = ("deepmebrats", "brainlTCGA", "brainlBraTS", "openmcspatient", "hypermtestcase", "isles2")


def rendered(seed: int, sequence: MRSequence, *, stripped: bool) -> tuple[Volume, NDArray[np.uint8]]:
    """A series of a phantom, and the head label of each of its voxels."""
    phantom = make_phantom(seed, pathologies=(), stripped=stripped)
    volume = Volume.from_voxels(*render(phantom, sequence, seed), sequence)
    to_phantom = np.linalg.inv(phantom.affine) @ volume.affine
    places = np.stack(np.meshgrid(*(np.arange(n) for n in volume.voxels.shape), indexing="ij"), axis=-1)
    found = np.rint(places @ to_phantom[:3, :3].T + to_phantom[:3, 3]).astype(int)
    inside = ((found >= 0) & (found < phantom.shape)).all(axis=-1)
    labels = np.zeros(volume.voxels.shape, np.uint8)
    labels[inside] = phantom.head.numpy()[tuple(found[inside].T)]
    return volume, labels


@pytest.mark.parametrize(("seed", "sequence"), [(3, MRSequence.T1W), (8, MRSequence.FLAIR)])
def test_a_phantom_loses_its_face_and_keeps_its_brain(seed: int, sequence: MRSequence) -> None:
    volume, labels = rendered(seed, sequence, stripped=False)
    removed = face_mask(volume)
    of_brain = removed[labels == HEAD_LABELS.index("inside")]
    assert of_brain.mean() < 1e-4
    heads = labels != HEAD_LABELS.index("air")
    assert 0.01 < removed[heads].mean() < 0.25


def test_a_brain_without_skull_is_left_whole() -> None:
    volume, _ = rendered(5, MRSequence.T1W, stripped=True)
    brain = volume.voxels > 0.15 * np.percentile(volume.voxels, 99)
    assert not face_mask(volume)[brain].any()


def test_the_new_file_holds_the_voxels_the_affine_and_nothing_else() -> None:
    volume, _ = rendered(3, MRSequence.T1W, stripped=False)
    made = deface_series(volume)
    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(made.content))
    np.testing.assert_allclose(image.affine, volume.affine, atol=1e-4)
    voxels, removed = np.asarray(image.dataobj), face_mask(volume)
    assert not voxels[removed].any()
    np.testing.assert_allclose(
        voxels[~removed], volume.voxels[~removed], atol=float(np.abs(volume.voxels).max()) / 30_000
    )
    assert made.removed == pytest.approx(removed.mean())
    assert bytes(image.header["descrip"].tobytes()).strip(b"\0") == b""
    assert len(image.header.extensions) == 0
    np.testing.assert_array_equal(read_volume(made.content).voxels > 0, np.asarray(image.dataobj) > 0)


@pytest.mark.shared
def test_no_voxel_of_the_real_stripped_brains_is_removed(shared_mri: Path) -> None:
    people = [folder for folder in sorted(shared_mri.glob("sub-*")) if any(name in folder.name for name in STRIPPED)]
    files = [next(iter(sorted(folder.rglob("*.nii.gz")))) for folder in people]
    looked_at = 0
    for path in files:
        try:
            volume = read_volume(path)
        except VolumeError:
            continue
        brain = volume.voxels > 0.15 * np.percentile(volume.voxels, 99)
        assert face_mask(volume)[brain].mean() < 1e-4, path.name
        looked_at += 1
    assert looked_at >= 8


@pytest.mark.shared
def test_no_voxel_of_a_real_lesion_is_removed(shared_mri: Path) -> None:
    looked_at = 0
    for path in sorted((shared_mri / "derivatives" / "lesions").rglob("*.nii.gz")):
        mask = nibabel.as_closest_canonical(nibabel.load(path))
        folder = shared_mri / path.relative_to(shared_mri / "derivatives" / "lesions").parent
        for series in sorted(folder.glob("*.nii.gz"))[:1] if looked_at < 6 else ():
            volume = read_volume(series, frame=None)
            if volume.voxels.shape == mask.shape and np.allclose(volume.affine, mask.affine, atol=1e-2):
                assert not face_mask(volume)[np.asarray(mask.dataobj) > 0].any(), series.name
                looked_at += 1
    assert looked_at >= 5
