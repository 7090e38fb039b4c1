"""The brain out of a network input: whole heads lose skull and scalp, stripped brains hardly change."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from encoders.preprocess import Preprocessing, preprocess
from encoders.sequences import MRSequence
from encoders.volume import Volume
from training.brain_mask import brain_mask, brain_only
from training.phantoms import make_phantom, render


@pytest.mark.parametrize("sequence", [MRSequence.T1W, MRSequence.T2W, MRSequence.FLAIR], ids=str)
def test_a_whole_head_is_left_with_its_brain(sequence: MRSequence) -> None:
    torch.set_num_threads(1)
    phantom = make_phantom(12, pathologies=(), stripped=False)
    prepared = preprocess(Volume.from_voxels(*render(phantom, sequence, 1), sequence), Preprocessing())
    tissue = phantom.fractions[phantom.tissues.index("grey")] + phantom.fractions[phantom.tissues.index("white")]
    whole = torch.zeros(phantom.shape)  # 0 outside of the skull, 1 fluid inside, 2 brain
    whole.view(-1)[phantom.inside] = 1 + (tissue > 0.5).float()
    places = np.stack(np.meshgrid(*(np.arange(n) for n in prepared.voxels.shape), indexing="ij"), -1).reshape(-1, 3)
    world = places @ prepared.affine[:3, :3].T + prepared.affine[:3, 3]
    inverse = np.linalg.inv(phantom.affine)
    voxels = np.round(world @ inverse[:3, :3].T + inverse[:3, 3]).astype(int)
    inside = ((voxels >= 0) & (voxels < phantom.shape)).all(1)
    kinds = np.zeros(len(places))
    kinds[inside] = whole.numpy()[tuple(voxels[inside].T)]
    kinds = kinds.reshape(prepared.voxels.shape)
    mask = brain_mask(prepared.voxels)
    assert (mask & (kinds == 2)).sum() > 0.9 * (kinds == 2).sum()
    assert (mask & (kinds == 0)).sum() < 0.22 * mask.sum()  # bone with islands of marrow, scalp and face
    assert brain_only(prepared.voxels)[~mask].max() == 0


def test_a_stripped_brain_hardly_changes() -> None:
    phantom = make_phantom(13, pathologies=(), stripped=True)
    volume = Volume.from_voxels(*render(phantom, MRSequence.T1W, 1), MRSequence.T1W)
    voxels = preprocess(volume, Preprocessing()).voxels
    kept = brain_only(voxels)
    assert kept.sum() > 0.96 * voxels.sum()


def test_an_empty_input_stays_empty() -> None:
    assert brain_only(np.zeros((80, 96, 80), np.float32)).max() == 0
