"""The scanner of the phantoms: signal of tissues and lesions in every MR sequence, by the physics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_phantoms import one_thread, phantom_of, phantom_with

from encoders.sequences import MRSequence
from training.phantoms.contrast import render
from training.phantoms.facts import Pathology
from training.phantoms.pathology import Phantom

__all__ = ["one_thread"]  # the fixture


def on_grid(phantom: Phantom, sequence: MRSequence, seed: int = 3) -> torch.Tensor:
    """A rendered series brought back to the phantom's own points (N,) by its affine."""
    voxels, affine = render(phantom, sequence, seed)
    places = torch.stack(torch.unravel_index(phantom.inside, phantom.shape), 1).numpy()
    world = places @ phantom.affine[:3, :3].T + phantom.affine[:3, 3]
    inverse = np.linalg.inv(affine)
    nearest = np.round(world @ inverse[:3, :3].T + inverse[:3, 3]).astype(int)
    seen = ((nearest >= 0) & (nearest < voxels.shape)).all(1)
    values = np.full(len(nearest), np.nan, np.float32)
    values[seen] = voxels[tuple(nearest[seen].T)]
    return torch.from_numpy(values)


def median_in(phantom: Phantom, values: torch.Tensor, tissue: str) -> float:
    share = phantom.fractions[phantom.tissues.index(tissue)]
    return float(values[share > 0.85 * share.max()].nanmedian())


@pytest.mark.parametrize("sequence", MRSequence, ids=str)
def test_every_sequence_renders_a_plausible_volume(sequence: MRSequence) -> None:
    voxels, affine = render(phantom_of(2), sequence, 4)
    assert voxels.dtype == np.float32
    assert voxels.ndim == 3
    assert np.isfinite(voxels).all()
    assert voxels.std() > 0
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    assert (spacing > 0.9).all()
    assert (spacing < 8).all()
    assert (np.array(voxels.shape) * spacing > 100).all()


@pytest.mark.parametrize(
    ("sequence", "brighter", "darker"),
    [
        (MRSequence.T1W, "white", "csf"),
        (MRSequence.T2W, "csf", "white"),
        (MRSequence.FLAIR, "white", "csf"),
        (MRSequence.FLAIR, "grey", "white"),
        (MRSequence.ADC, "csf", "white"),
        (MRSequence.DWI, "white", "csf"),
    ],
)
def test_healthy_tissue_has_the_order_of_its_sequence(sequence: MRSequence, brighter: str, darker: str) -> None:
    phantom = phantom_of(2)
    values = on_grid(phantom, sequence)
    assert median_in(phantom, values, brighter) > median_in(phantom, values, darker)


PHYSICS = [
    (Pathology.INFARCT, "acute", None, "acute_infarct", MRSequence.DWI, 1.25),
    (Pathology.INFARCT, "acute", None, "acute_infarct", MRSequence.ADC, -0.75),
    (Pathology.INFARCT, "acute", None, "acute_infarct", MRSequence.FLAIR, 1.1),
    (Pathology.INFARCT, "chronic", None, "cavity", MRSequence.FLAIR, -0.8),
    (Pathology.INFARCT, "chronic", None, "cavity", MRSequence.T2W, 1.3),
    (Pathology.INFARCT, "chronic", None, "cavity", MRSequence.ADC, 1.5),
    (Pathology.MULTIPLE_SCLEROSIS, None, None, "plaque", MRSequence.FLAIR, 1.2),
    (Pathology.MULTIPLE_SCLEROSIS, None, None, "plaque", MRSequence.T1W, -0.95),
    (Pathology.SMALL_VESSEL_DISEASE, None, "confluent", "white_matter_hyperintensity", MRSequence.FLAIR, 1.2),
    (Pathology.HIGH_GRADE_GLIOMA, None, None, "oedema", MRSequence.FLAIR, 1.2),
    (Pathology.HIGH_GRADE_GLIOMA, None, None, "oedema", MRSequence.T1W, -0.95),
    (Pathology.LOW_GRADE_GLIOMA, None, None, "low_grade_tumour", MRSequence.T2W, 1.3),
    (Pathology.MENINGIOMA, None, None, "meningioma", MRSequence.T1W_POST, 1.2),
    (Pathology.HAEMORRHAGE, "acute", None, "blood_acute", MRSequence.T2STAR, -0.6),
    (Pathology.HAEMORRHAGE, "acute", None, "blood_acute", MRSequence.SWI, -0.6),
    (Pathology.HAEMORRHAGE, "subacute", None, "blood_subacute", MRSequence.T1W, 1.05),
    (Pathology.SUBDURAL, "chronic", None, "chronic_subdural", MRSequence.T2W, 1.3),
    (Pathology.EXTRADURAL, "acute", None, "blood_acute", MRSequence.SWI, -0.6),
    (Pathology.SUBARACHNOID, None, None, "subarachnoid_blood", MRSequence.FLAIR, 1.2),
    (Pathology.ABSCESS, None, None, "pus", MRSequence.DWI, 1.3),
    (Pathology.ABSCESS, None, None, "pus", MRSequence.ADC, -0.8),
    (Pathology.CAVERNOMA, None, None, "haemosiderin", MRSequence.SWI, -0.6),
    (Pathology.VESTIBULAR_SCHWANNOMA, None, None, "schwannoma", MRSequence.T1W_POST, 1.2),
    (Pathology.VESTIBULAR_SCHWANNOMA, None, None, "schwannoma", MRSequence.T2W, 1.2),
    (Pathology.PITUITARY_ADENOMA, None, None, "adenoma", MRSequence.T1W_POST, 1.1),
    (Pathology.NEUROGLIAL_CYST, None, None, "cyst_fluid", MRSequence.FLAIR, -0.8),
    (Pathology.NEUROGLIAL_CYST, None, None, "cyst_fluid", MRSequence.ADC, 1.5),
    (Pathology.WATERSHED_INFARCT, "acute", None, "acute_infarct", MRSequence.DWI, 1.2),
]


@pytest.mark.parametrize(("pathology", "stage", "trait", "tissue", "sequence", "ratio"), PHYSICS)
def test_lesions_have_the_signal_that_physics_gives_them(
    pathology: Pathology, stage: str | None, trait: str | None, tissue: str, sequence: MRSequence, ratio: float
) -> None:
    """Ratio to white matter: above a positive one, below a negative one; the middle of several protocols."""
    phantom = phantom_with(pathology, stage, trait)
    found = []
    for seed in range(5):
        values = on_grid(phantom, sequence, seed)
        found.append(median_in(phantom, values, tissue) / median_in(phantom, values, "white"))
    middle = float(np.nanmedian(found))
    assert middle > ratio if ratio > 0 else middle < -ratio, f"{tissue} on {sequence}: {middle:.2f} of white matter"


def test_a_glioma_is_brighter_after_contrast_than_before() -> None:
    phantom = phantom_with(Pathology.HIGH_GRADE_GLIOMA)
    before, after = (
        np.median(
            [
                median_in(phantom, values, "enhancing_tumour") / median_in(phantom, values, "white")
                for values in (on_grid(phantom, sequence, seed) for seed in range(5))
            ]
        )
        for sequence in (MRSequence.T1W, MRSequence.T1W_POST)
    )
    assert after > 1.4 * before


def test_sinuses_of_a_healthy_head_enhance() -> None:
    phantom = phantom_of(2)
    ratios = [
        median_in(phantom, values, "vein") / median_in(phantom, values, "white")
        for values in (on_grid(phantom, MRSequence.T1W_POST, seed) for seed in range(5))
    ]
    assert np.median(ratios) > 1.2
