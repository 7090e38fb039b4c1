"""Draws facts: who is examined and what is wrong, in proportions near those of a neuroradiology department.

Pure chance and medicine, no voxels: `pathology` paints what is drawn here, `reports` can be written from it at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from training.phantoms.facts import Abnormality, Facts, FactsError, Pathology

SHARE_NORMAL = 0.45  # as in the published system's examinations, near-normal ones included
SHARE_INCIDENTAL = 0.45  # of the normal ones
SHARE_SECOND = 0.22  # of the abnormal ones: a second abnormality
EFFECT_SHIFT_MM = 3.0  # a midline shift that a report would state

LOBES = ("frontal lobe", "parietal lobe", "temporal lobe", "occipital lobe")
LOBE_SHARES = (0.36, 0.24, 0.28, 0.12)
TERRITORIES = (
    "middle cerebral artery territory",
    "anterior cerebral artery territory",
    "posterior cerebral artery territory",
    "cerebellar hemisphere",
)
LACUNES = ("thalamus", "basal ganglia", "corona radiata", "internal capsule", "pons")
DURAL_SITES = ("frontal convexity", "parietal convexity", "parasagittal region", "sphenoid wing", "posterior fossa")

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


def draw_facts(seed: int, *, pathologies: Sequence[Pathology] | None = None) -> Facts:
    """Draw one person. With `pathologies` exactly those (an empty sequence: normal, perhaps near-normal).

    Raises
    ------
    FactsError
        When a pathology is not known.
    """
    rng = np.random.default_rng((seed, 0xFAC7))
    if pathologies is None:
        chosen = _draw_pathologies(rng)
    else:
        try:
            chosen = tuple(Pathology(item) for item in pathologies)
        except ValueError as error:
            raise FactsError(f"{error}; expected one of {', '.join(Pathology)}") from error
    age = _draw_age(chosen, rng)
    if pathologies is None and all(item not in DRAW for item in chosen):
        chosen += _draw_incidental(age, rng)
    sex = "M" if rng.random() < _share_of_men(chosen) else "F"
    return Facts(age, sex, tuple(_draw_abnormality(item, age, rng) for item in chosen))


def _draw_pathologies(rng: np.random.Generator) -> tuple[Pathology, ...]:
    if rng.random() < SHARE_NORMAL:
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
    if Pathology.MULTIPLE_SCLEROSIS in chosen or Pathology.MENINGIOMA in chosen:
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


def _draw_abnormality(pathology: Pathology, age: int, rng: np.random.Generator) -> Abnormality:
    draw = DRAW.get(pathology)
    return draw(pathology, rng) if draw else _incidental(pathology, age, rng)


def _side(rng: np.random.Generator) -> str:
    return "left" if rng.random() < 0.5 else "right"


def _pick(rng: np.random.Generator, values: Sequence[str], shares: Sequence[float] | None = None) -> str:
    return values[int(rng.choice(len(values), p=shares))]


def _size(rng: np.random.Generator, median: float, spread: float, low: float, high: float) -> float:
    """Greatest diameter in mm: log-normal, clipped."""
    return round(float(np.clip(median * np.exp(rng.normal(0, spread)), low, high)), 1)


def _effects(shift_mm: float, *local: str) -> tuple[str, ...]:
    return (*local, *(("midline shift",) if shift_mm >= EFFECT_SHIFT_MM else ()))


def _hydrocephalus(pathology: Pathology, rng: np.random.Generator) -> Abnormality:
    severity = _pick(rng, ("mild", "moderate", "severe"), (0.25, 0.45, 0.3))
    obstructive = rng.random() < 0.45
    traits = ["obstructive" if obstructive else "communicating"]
    if rng.random() < {"mild": 0.25, "moderate": 0.6, "severe": 0.8}[severity]:
        traits.append("transependymal oedema")
    if severity != "mild":
        traits.append("effaced sulci")
    return Abnormality(pathology, "both", "ventricular system", severity=severity, traits=tuple(traits))


def _infarct(pathology: Pathology, rng: np.random.Generator) -> Abnormality:
    site = _pick(rng, TERRITORIES, (0.58, 0.1, 0.18, 0.14))
    stage = _pick(rng, ("acute", "chronic"), (0.6, 0.4))
    large = site.startswith("middle")
    size = _size(rng, 52 if large else 36, 0.35, 18, 95 if large else 60)
    shift = round(float(rng.uniform(2, 6)), 1) if stage == "acute" and size > 70 else 0.0
    effects = _effects(shift, "sulcal effacement") if stage == "acute" and size > 45 else ()
    return Abnormality(pathology, _side(rng), site, size, stage=stage, effects=effects, shift_mm=shift)


def _lacune(pathology: Pathology, rng: np.random.Generator) -> Abnormality:
    stage = _pick(rng, ("acute", "chronic"), (0.5, 0.5))
    return Abnormality(pathology, _side(rng), _pick(rng, LACUNES), _size(rng, 10, 0.25, 6, 16), stage=stage)


def _multiple_sclerosis(pathology: Pathology, rng: np.random.Generator) -> Abnormality:
    severity = _pick(rng, ("mild", "moderate", "severe"), (0.35, 0.4, 0.25))
    low, high = {"mild": (4, 10), "moderate": (10, 25), "severe": (25, 60)}[severity]
    traits = ["periventricular"]
    for trait, share in (("juxtacortical", 0.7), ("callosal", 0.55), ("infratentorial", 0.45), ("enhancing", 0.22)):
        if rng.random() < share:
            traits.append(trait)
    count = int(rng.integers(low, high))
    return Abnormality(
        pathology,
        "both",
        "white matter",
        _size(rng, 12, 0.25, 8, 22),
        count=count,
        severity=severity,
        traits=tuple(traits),
    )


def _small_vessel(pathology: Pathology, rng: np.random.Generator) -> Abnormality:
    severity = _pick(rng, ("mild", "moderate", "severe"), (0.2, 0.45, 0.35))
    traits: tuple[str, ...] = (
        ("periventricular caps", "deep foci") if severity == "mild" else ("periventricular caps", "confluent")
    )
    if severity == "severe" and rng.random() < 0.5:
        traits += ("microbleeds",)
    return Abnormality(pathology, "both", "periventricular and deep white matter", severity=severity, traits=traits)


def _high_grade(pathology: Pathology, rng: np.random.Generator) -> Abnormality:
    size = _size(rng, 42, 0.3, 20, 75)
    shift = round(max(0.0, float(rng.normal((size - 28) / 4, 2))), 1)
    traits: tuple[str, ...] = ("necrosis", "enhancing", "oedema")
    traits += ("haemorrhagic",) if rng.random() < 0.25 else ()
    local: tuple[str, ...] = ("sulcal effacement",) if size > 32 else ()
    local += ("ventricular effacement",) if shift > 2 else ()
    site = _pick(rng, LOBES, LOBE_SHARES)
    return Abnormality(
        pathology, _side(rng), site, size, traits=traits, effects=_effects(shift, *local), shift_mm=shift
    )


def _low_grade(pathology: Pathology, rng: np.random.Generator) -> Abnormality:
    size = _size(rng, 42, 0.25, 22, 70)
    shift = round(max(0.0, float(rng.normal((size - 48) / 6, 1))), 1)
    local = ("sulcal effacement",) if size > 42 else ()
    site = _pick(rng, ("frontal lobe", "temporal lobe", "parietal lobe"), (0.5, 0.35, 0.15))
    return Abnormality(pathology, _side(rng), site, size, effects=_effects(shift, *local), shift_mm=shift)


def _metastases(pathology: Pathology, rng: np.random.Generator) -> Abnormality:
    count = int(rng.integers(2, 8))
    size = _size(rng, 17, 0.35, 9, 36)
    shift = round(float(rng.uniform(1, 5)), 1) if size > 26 else 0.0
    traits = ("enhancing", "oedema") + (("necrosis",) if size > 16 else ())
    effects = _effects(shift, "sulcal effacement") if size > 20 else ()
    site = _pick(rng, (*LOBES, "cerebellar hemisphere"), (0.3, 0.24, 0.12, 0.12, 0.22))
    return Abnormality(pathology, _side(rng), site, size, count=count, traits=traits, effects=effects, shift_mm=shift)


def _meningioma(pathology: Pathology, rng: np.random.Generator) -> Abnormality:
    site = _pick(rng, DURAL_SITES, (0.3, 0.22, 0.18, 0.18, 0.12))
    size = _size(rng, 27, 0.4, 12, 42 if site == "posterior fossa" else 65)
    oedema = size > 30 and rng.random() < 0.55
    shift = round(max(0.0, float(rng.normal((size - 38) / 4, 1))), 1) if site != "posterior fossa" else 0.0
    traits = ("enhancing",) + (("dural tail",) if rng.random() < 0.7 else ()) + (("oedema",) if oedema else ())
    local = ("sulcal effacement",) if size > 30 else ()
    if site == "posterior fossa":
        local = ("fourth ventricle compression",) if size > 28 else ()
    return Abnormality(
        pathology, _side(rng), site, size, traits=traits, effects=_effects(shift, *local), shift_mm=shift
    )


def _haemorrhage(pathology: Pathology, rng: np.random.Generator) -> Abnormality:
    deep = rng.random() < 0.5
    site = _pick(rng, ("thalamus", "basal ganglia", "cerebellar hemisphere") if deep else LOBES)
    stage = _pick(rng, ("acute", "subacute", "chronic"), (0.4, 0.35, 0.25))
    size = _size(rng, 26 if deep else 36, 0.3, 12, 40 if deep else 65) * (0.7 if stage == "chronic" else 1)
    fresh = stage != "chronic"
    shift = round(max(0.0, float(rng.normal((size - 32) / 5, 1))), 1) if fresh else 0.0
    local = ("sulcal effacement",) if fresh and size > 30 else ()
    return Abnormality(
        pathology,
        _side(rng),
        site,
        round(size, 1),
        stage=stage,
        traits=("oedema",) if fresh else (),
        effects=_effects(shift, *local),
        shift_mm=shift,
    )


def _subdural(pathology: Pathology, rng: np.random.Generator) -> Abnormality:
    stage = _pick(rng, ("acute", "subacute", "chronic"), (0.3, 0.35, 0.35))
    depth = _size(rng, 12, 0.35, 6, 24)
    shift = round(max(0.0, float(rng.normal((depth - 7) / 2, 1))), 1)
    local = ("sulcal effacement",) if depth > 7 else ()
    return Abnormality(
        pathology, _side(rng), "cerebral convexity", depth, stage=stage, effects=_effects(shift, *local), shift_mm=shift
    )


def _atrophy(pathology: Pathology, rng: np.random.Generator) -> Abnormality:
    severity = _pick(rng, ("moderate", "severe"), (0.6, 0.4))
    if pathology is Pathology.HIPPOCAMPAL_ATROPHY:
        return Abnormality(
            pathology, _pick(rng, ("both", "left", "right"), (0.6, 0.2, 0.2)), "hippocampus", severity=severity
        )
    return Abnormality(pathology, "both", "cerebral hemispheres", severity=severity)


def _post_operative(pathology: Pathology, rng: np.random.Generator) -> Abnormality:
    traits = ("gliotic rim",) + (("residual", "enhancing", "oedema") if rng.random() < 0.6 else ())
    return Abnormality(
        pathology, _side(rng), _pick(rng, LOBES, LOBE_SHARES), _size(rng, 34, 0.25, 18, 55), traits=traits
    )


def _incidental(pathology: Pathology, age: int, rng: np.random.Generator) -> Abnormality:
    if pathology is Pathology.NONSPECIFIC_FOCI:
        count = int(rng.integers(1, 4 if age < 45 else 8))
        return Abnormality(pathology, "both", "white matter", _size(rng, 4, 0.15, 3, 5.5), count=count)
    if pathology is Pathology.SINUS_DISEASE:
        return Abnormality(pathology, _side(rng), "maxillary sinus", _size(rng, 6, 0.3, 3, 10))
    if pathology is Pathology.PERIVASCULAR_SPACES:
        return Abnormality(pathology, "both", "basal ganglia", _size(rng, 3, 0.1, 2, 4), count=int(rng.integers(4, 12)))
    return Abnormality(pathology, _side(rng), "lateral ventricle")


DRAW: dict[Pathology, Callable[[Pathology, np.random.Generator], Abnormality]] = {
    Pathology.HYDROCEPHALUS: _hydrocephalus,
    Pathology.INFARCT: _infarct,
    Pathology.LACUNAR_INFARCT: _lacune,
    Pathology.MULTIPLE_SCLEROSIS: _multiple_sclerosis,
    Pathology.SMALL_VESSEL_DISEASE: _small_vessel,
    Pathology.HIGH_GRADE_GLIOMA: _high_grade,
    Pathology.LOW_GRADE_GLIOMA: _low_grade,
    Pathology.METASTASES: _metastases,
    Pathology.MENINGIOMA: _meningioma,
    Pathology.HAEMORRHAGE: _haemorrhage,
    Pathology.SUBDURAL: _subdural,
    Pathology.GLOBAL_ATROPHY: _atrophy,
    Pathology.HIPPOCAMPAL_ATROPHY: _atrophy,
    Pathology.POST_OPERATIVE: _post_operative,
}
