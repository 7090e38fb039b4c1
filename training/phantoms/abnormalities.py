"""Draws what an abnormality is like: side, site, size, stage, traits and effects, by chance and medicine.

Whom it befalls and how often is `scenario`'s; voxels and words come later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from training.phantoms.facts import Abnormality, Pathology

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
BORDER_ZONES = ("superficial border zone", "internal border zone")
CYST_SITES = ("middle cranial fossa", "posterior fossa", "frontal convexity", "cerebellopontine angle")
DURAL_SITES = ("frontal convexity", "parietal convexity", "parasagittal region", "sphenoid wing", "posterior fossa")


def draw_abnormality(pathology: Pathology, age: int, rng: np.random.Generator) -> Abnormality:
    """Draw one abnormality of a person of that age."""
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


def _watershed(pathology: Pathology, rng: np.random.Generator) -> Abnormality:
    stage = _pick(rng, ("acute", "chronic"), (0.7, 0.3))
    site = _pick(rng, BORDER_ZONES)
    size = _size(rng, 46 if site.startswith("superficial") else 34, 0.25, 20, 80)
    return Abnormality(pathology, _side(rng), site, size, stage=stage)


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
        _size(rng, 11, 0.3, 6, 22),
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
    size = _size(rng, 36, 0.4, 12, 75)
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


def _abscess(pathology: Pathology, rng: np.random.Generator) -> Abnormality:
    site = _pick(rng, (*LOBES, "cerebellar hemisphere"), (0.36, 0.22, 0.24, 0.08, 0.1))
    size = _size(rng, 27, 0.3, 14, 50)
    shift = round(max(0.0, float(rng.normal((size - 24) / 4, 1.2))), 1) if "lobe" in site else 0.0
    local = ("sulcal effacement",) if size > 24 else ()
    return Abnormality(
        pathology,
        _side(rng),
        site,
        size,
        traits=("enhancing", "oedema", "restricted diffusion"),
        effects=_effects(shift, *local),
        shift_mm=shift,
    )


def _cavernoma(pathology: Pathology, rng: np.random.Generator) -> Abnormality:
    site = _pick(rng, (*LOBES, "cerebellar hemisphere", "pons"), (0.28, 0.2, 0.22, 0.08, 0.1, 0.12))
    return Abnormality(pathology, _side(rng), site, _size(rng, 14, 0.35, 7, 30))


def _schwannoma(pathology: Pathology, rng: np.random.Generator) -> Abnormality:
    size = _size(rng, 18, 0.4, 8, 38)
    traits = ("enhancing",) + (("cystic",) if size > 22 and rng.random() < 0.35 else ())
    effects = ("fourth ventricle compression",) if size > 25 else ()
    return Abnormality(pathology, _side(rng), "cerebellopontine angle", size, traits=traits, effects=effects)


def _adenoma(pathology: Pathology, rng: np.random.Generator) -> Abnormality:
    size = _size(rng, 21, 0.3, 12, 40)
    traits = ("enhancing",) + (("chiasm",) if size > 18 else ()) + (("cystic",) if rng.random() < 0.2 else ())
    return Abnormality(pathology, "midline", "sellar region", size, traits=traits)


def _arachnoid_cyst(pathology: Pathology, rng: np.random.Generator) -> Abnormality:
    site = _pick(rng, CYST_SITES, (0.5, 0.25, 0.15, 0.1))
    size = _size(rng, 24 if site == "cerebellopontine angle" else 38, 0.3, 14, 70)
    return Abnormality(pathology, _side(rng), site, size)


def _neuroglial_cyst(pathology: Pathology, rng: np.random.Generator) -> Abnormality:
    return Abnormality(pathology, _side(rng), _pick(rng, LOBES, LOBE_SHARES), _size(rng, 20, 0.35, 8, 45))


def _extradural(pathology: Pathology, rng: np.random.Generator) -> Abnormality:
    depth = _size(rng, 15, 0.35, 7, 30)
    shift = round(max(0.0, float(rng.normal((depth - 10) / 3, 1))), 1)
    local = ("sulcal effacement",) if depth > 9 else ()
    stage = _pick(rng, ("acute", "subacute"), (0.6, 0.4))
    return Abnormality(
        pathology, _side(rng), "cerebral convexity", depth, stage=stage, effects=_effects(shift, *local), shift_mm=shift
    )


def _subarachnoid(pathology: Pathology, rng: np.random.Generator) -> Abnormality:
    severity = _pick(rng, ("mild", "moderate", "severe"), (0.3, 0.4, 0.3))
    basal = rng.random() < 0.65
    return Abnormality(
        pathology,
        "both" if basal else _side(rng),
        "basal cisterns" if basal else "cerebral convexity",
        stage="acute",
        severity=severity,
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
    Pathology.WATERSHED_INFARCT: _watershed,
    Pathology.ABSCESS: _abscess,
    Pathology.CAVERNOMA: _cavernoma,
    Pathology.VESTIBULAR_SCHWANNOMA: _schwannoma,
    Pathology.PITUITARY_ADENOMA: _adenoma,
    Pathology.ARACHNOID_CYST: _arachnoid_cyst,
    Pathology.NEUROGLIAL_CYST: _neuroglial_cyst,
    Pathology.EXTRADURAL: _extradural,
    Pathology.SUBARACHNOID: _subarachnoid,
}
