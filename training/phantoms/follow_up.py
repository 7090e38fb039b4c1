"""What a second visit finds: the same person, and the disease gone on, treated, or unchanged.

Facts in, facts out; the same seed then makes the same head, so that two visits look like one person.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from training.phantoms.facts import Abnormality, Facts, Pathology

_GROWING = (
    Pathology.MENINGIOMA,
    Pathology.LOW_GRADE_GLIOMA,
    Pathology.METASTASES,
    Pathology.VESTIBULAR_SCHWANNOMA,
    Pathology.PITUITARY_ADENOMA,
)


def later_facts(facts: Facts, seed: int) -> Facts:
    """Facts of the next visit, months later."""
    rng = np.random.default_rng((seed, 0xF0))
    later = tuple(_later(item, rng) for item in facts.abnormalities)
    return replace(facts, abnormalities=later, comparison="Comparison is made with the previous MRI.")


def _later(item: Abnormality, rng: np.random.Generator) -> Abnormality:
    if item.pathology in (Pathology.INFARCT, Pathology.LACUNAR_INFARCT, Pathology.WATERSHED_INFARCT):
        return replace(item, stage="chronic", effects=(), shift_mm=0.0)
    if item.pathology is Pathology.HAEMORRHAGE:
        size = round((item.size_mm or 20) * 0.7, 1)
        return replace(item, stage="chronic", size_mm=size, traits=(), effects=(), shift_mm=0.0)
    if item.pathology is Pathology.SUBDURAL:
        size = round(max((item.size_mm or 10) * 0.6, 5), 1)
        return replace(item, stage="chronic", size_mm=size, effects=(), shift_mm=0.0)
    if item.pathology is Pathology.EXTRADURAL:
        size = round(max((item.size_mm or 10) * 0.5, 5), 1)
        return replace(item, stage="subacute", size_mm=size, effects=(), shift_mm=0.0)
    if item.pathology is Pathology.ABSCESS:
        return replace(item, size_mm=round((item.size_mm or 20) * 0.6, 1), effects=(), shift_mm=0.0)
    if item.pathology is Pathology.SUBARACHNOID:
        return replace(item, severity="mild")
    if item.pathology is Pathology.HIGH_GRADE_GLIOMA:
        traits: tuple[str, ...] = ("gliotic rim",)
        traits += ("residual", "enhancing", "oedema") if rng.random() < 0.7 else ()
        return replace(item, pathology=Pathology.POST_OPERATIVE, traits=traits, effects=(), shift_mm=0.0)
    if item.pathology is Pathology.MULTIPLE_SCLEROSIS:
        return replace(item, count=item.count + int(rng.integers(0, 6)))
    if item.pathology in _GROWING and rng.random() < 0.5:
        return replace(item, size_mm=round((item.size_mm or 20) * 1.08, 1))
    return item
