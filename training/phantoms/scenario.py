"""Draws facts: who is examined and what is wrong, in proportions near those of a neuroradiology department.

Pure chance and medicine, no voxels: `pathology` paints what is drawn here, `reports` can be written from it at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.phantoms.abnormalities import DRAW, draw_abnormality
from training.phantoms.facts import Facts, FactsError, Pathology

SHARE_NORMAL = 0.45  # as in the published system's examinations, near-normal ones included
SHARE_INCIDENTAL = 0.45  # of the normal ones
SHARE_SECOND = 0.22  # of the abnormal ones: a second abnormality

# Share of each among the abnormal, and mean and SD of age in years.
PREVALENCE: tuple[tuple[Pathology, float, float, float], ...] = (
    (Pathology.HYDROCEPHALUS, 0.09, 55, 20),
    (Pathology.INFARCT, 0.13, 68, 13),
    (Pathology.LACUNAR_INFARCT, 0.06, 68, 11),
    (Pathology.MULTIPLE_SCLEROSIS, 0.14, 38, 11),
    (Pathology.SMALL_VESSEL_DISEASE, 0.11, 72, 9),
    (Pathology.HIGH_GRADE_GLIOMA, 0.11, 60, 12),
    (Pathology.LOW_GRADE_GLIOMA, 0.05, 40, 12),
    (Pathology.METASTASES, 0.05, 63, 11),
    (Pathology.MENINGIOMA, 0.08, 60, 13),
    (Pathology.HAEMORRHAGE, 0.07, 66, 15),
    (Pathology.SUBDURAL, 0.04, 72, 13),
    (Pathology.GLOBAL_ATROPHY, 0.05, 74, 9),
    (Pathology.HIPPOCAMPAL_ATROPHY, 0.03, 74, 8),
    (Pathology.POST_OPERATIVE, 0.04, 52, 14),
    (Pathology.WATERSHED_INFARCT, 0.02, 68, 11),
    (Pathology.ABSCESS, 0.025, 48, 17),
    (Pathology.CAVERNOMA, 0.025, 42, 15),
    (Pathology.VESTIBULAR_SCHWANNOMA, 0.03, 54, 13),
    (Pathology.PITUITARY_ADENOMA, 0.025, 48, 14),
    (Pathology.ARACHNOID_CYST, 0.025, 42, 17),
    (Pathology.NEUROGLIAL_CYST, 0.015, 45, 17),
    (Pathology.EXTRADURAL, 0.02, 35, 15),
    (Pathology.SUBARACHNOID, 0.025, 55, 13),
)
AGE_YOUNGEST, AGE_OLDEST = 18, 95
_SECOND = (
    Pathology.SMALL_VESSEL_DISEASE,
    Pathology.GLOBAL_ATROPHY,
    Pathology.LACUNAR_INFARCT,
    Pathology.MENINGIOMA,
    Pathology.INFARCT,
)
_EXCLUDES = {
    Pathology.GLOBAL_ATROPHY: {Pathology.HYDROCEPHALUS, Pathology.HIPPOCAMPAL_ATROPHY},
    Pathology.SMALL_VESSEL_DISEASE: {Pathology.MULTIPLE_SCLEROSIS},
}


def draw_facts(
    seed: int, *, pathologies: Sequence[Pathology] | None = None, share_normal: float = SHARE_NORMAL
) -> Facts:
    """Draw one person. With `pathologies` exactly those (an empty sequence: normal, perhaps near-normal).

    Raises
    ------
    FactsError
        When a pathology is not known.
    """
    rng = np.random.default_rng((seed, 0xFAC7))
    if pathologies is None:
        chosen = _draw_pathologies(rng, share_normal)
    else:
        try:
            chosen = tuple(Pathology(item) for item in pathologies)
        except ValueError as error:
            raise FactsError(f"{error}; expected one of {', '.join(Pathology)}") from error
    age = _draw_age(chosen, rng)
    if pathologies is None and all(item not in DRAW for item in chosen):
        chosen += _draw_incidental(age, rng)
    sex = "M" if rng.random() < _share_of_men(chosen) else "F"
    return Facts(age, sex, tuple(draw_abnormality(item, age, rng) for item in chosen))


def _draw_pathologies(rng: np.random.Generator, share_normal: float) -> tuple[Pathology, ...]:
    if rng.random() < share_normal:
        return ()
    shares = np.array([row[1] for row in PREVALENCE])
    first = PREVALENCE[rng.choice(len(PREVALENCE), p=shares / shares.sum())][0]
    chosen = [first]
    if rng.random() < SHARE_SECOND:
        second = _SECOND[rng.integers(len(_SECOND))]
        if second is not first and first not in _EXCLUDES.get(second, set()):
            chosen.append(second)
    return tuple(chosen)


def _draw_age(chosen: tuple[Pathology, ...], rng: np.random.Generator) -> int:
    mean, deviation = next(((row[2], row[3]) for row in PREVALENCE if chosen and row[0] is chosen[0]), (48, 18))
    return int(np.clip(rng.normal(mean, deviation), AGE_YOUNGEST, AGE_OLDEST))


def _share_of_men(chosen: tuple[Pathology, ...]) -> float:
    if chosen and chosen[0] in (Pathology.MULTIPLE_SCLEROSIS, Pathology.MENINGIOMA, Pathology.SUBARACHNOID):
        return 0.3
    return 0.56 if Pathology.HIGH_GRADE_GLIOMA in chosen else 0.5


def _draw_incidental(age: int, rng: np.random.Generator) -> tuple[Pathology, ...]:
    if rng.random() > SHARE_INCIDENTAL:
        return ()
    older = age > 45
    choices = (
        (Pathology.NONSPECIFIC_FOCI, 0.45 if older else 0.3),
        (Pathology.SINUS_DISEASE, 0.25),
        (Pathology.PERIVASCULAR_SPACES, 0.15),
        (Pathology.VENTRICULAR_ASYMMETRY, 0.15),
    )
    return tuple(item for item, share in choices if rng.random() < share)
