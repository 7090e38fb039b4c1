"""Heat maps: on the grid of the network, hottest where the lesion is, and in step with what the network pools."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from encoders.bundle import Bundle, load
from encoders.explain import CLASSES_OF, ExplainError, HeatMap, explain_finding, explain_sentences, occlusion
from encoders.sequences import MRSequence
from encoders.vision import SequenceNetwork, VisionConfig
from encoders.volume import Volume
from training.phantoms import Pathology, Phantom, make_phantom, render

SECONDS = 20.0  # what an explanation may take on one thread


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    torch.set_num_threads(1)
    return load()


@pytest.fixture(scope="module")
def glioma() -> Phantom:
    return make_phantom(900, pathologies=(Pathology.HIGH_GRADE_GLIOMA,))


@pytest.fixture(scope="module")
def flair(glioma: Phantom) -> Volume:
    return Volume.from_voxels(*render(glioma, MRSequence.FLAIR, 0), MRSequence.FLAIR)


def hits(heat: HeatMap, phantom: Phantom, *masks: str) -> bool:
    """Whether the peak lies in a mask, or beside it."""
    place = np.round((np.linalg.inv(phantom.affine) @ (*heat.peak, 1.0))[:3]).astype(int)
    near = tuple(slice(max(0, at - 1), at + 2) for at in place)
    return any(bool(phantom.mask(name)[near].any()) for name in masks)


def test_a_finding_is_shown_where_its_lesion_is(bundle: Bundle, glioma: Phantom, flair: Volume) -> None:
    heat = explain_finding(bundle, flair, "glioma")
    assert heat.heat.shape == bundle.preprocessing.shape
    assert heat.heat.min() >= 0
    assert heat.heat.max() == pytest.approx(heat.strength, abs=0.05)  # a probability, a little smoothed
    assert 0 < heat.strength <= 1
    assert hits(heat, glioma, "tumour", "oedema")


def test_any_sentence_is_explained_in_time(bundle: Bundle, glioma: Phantom, flair: Volume) -> None:
    began = time.monotonic()
    heat = explain_sentences(bundle, flair, ("there is a high grade glioma",))
    assert time.monotonic() - began < SECONDS
    assert heat.strength > 0
    assert hits(heat, glioma, "tumour", "oedema")


def test_an_unknown_finding_is_refused(bundle: Bundle, flair: Volume) -> None:
    with pytest.raises(ExplainError, match="Expected one of abnormal"):
        explain_finding(bundle, flair, "gout")


def test_mask_classes_of_the_findings_are_those_of_the_bundle(bundle: Bundle) -> None:
    assert {name for names in CLASSES_OF.values() for name in names} <= set(bundle.mask_classes)


def test_what_is_occluded_is_what_is_pooled() -> None:
    torch.manual_seed(5)
    config = VisionConfig(("abnormal",), ("mass",), channels=(8, 8, 16, 16), blocks=(1, 1, 1, 1), embedding_dim=8)
    network = SequenceNetwork(config).eval()
    voxels = torch.rand(1, 1, 32, 48, 32)
    with torch.inference_mode():
        parts = occlusion(network, voxels, torch.rand(8))
        levels, masks = network.look(voxels)
        pooled = network.pool(levels[-1], levels[-2], torch.sigmoid(masks))
        assert torch.allclose(pooled, network(voxels).features)
    assert parts.shape == levels[-2].shape[2:]
    assert torch.isfinite(parts).all()
    assert parts.abs().max() > 0
