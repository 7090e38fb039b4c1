"""How a radiologist words each abnormality: findings, and the impression that names the diagnosis.

Written in British spelling; `reports` turns it into American spelling where the house wants that. Every template of a
pathology says that the abnormality is there; details (size, effect) are separate sentences that a report may leave out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import training.phantoms.wording_diffuse as wording_diffuse
import training.phantoms.wording_extra_axial as wording_extra_axial
import training.phantoms.wording_focal as wording_focal
from training.phantoms.facts import Abnormality, Facts, Pathology

_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DEGREE = {"mild": ("mild", "slight"), "moderate": ("moderate",), "severe": ("marked", "severe", "advanced")}
_ADVERB = {"mild": ("mildly", "slightly"), "moderate": ("moderately",), "severe": ("markedly", "grossly")}


@dataclass(frozen=True, slots=True)
class Wording:
    """Sentences that must be said, details that may be left out, and the line of the impression."""

    essential: tuple[str, ...]
    details: tuple[str, ...]
    impression: str


def word_abnormality(item: Abnormality, facts: Facts, rng: np.random.Generator) -> Wording:
    """Choose one wording for an abnormality."""
    essential, details, impression = _CHOICES[item.pathology](item, facts)
    slots = _slots(item, rng)
    chosen = _pick(rng, essential).format(**slots)
    told = slots["size"] in chosen  # a size is stated once
    said = [detail.format(**slots) for detail in details if not (told and "{size}" in detail)]
    said += [_pick(rng, _EFFECTS[effect]).format(**slots) for effect in item.effects]
    return Wording((chosen,), tuple(said), _pick(rng, impression).format(**slots))


def _pick(rng: np.random.Generator, choices: tuple[str, ...] | list[str]) -> str:
    return choices[int(rng.integers(len(choices)))]


def _slots(item: Abnormality, rng: np.random.Generator) -> dict[str, str]:
    size = item.size_mm or 0.0
    where = item.site
    if item.side in ("left", "right"):
        where = f"{item.side} {item.site}"
    elif item.side == "both":
        where = f"both {item.site}" if item.site.endswith("s") else item.site
    if item.pathology is Pathology.SUBARACHNOID:
        where = "the basal cisterns" if item.side == "both" else f"the sulci of the {item.side} {item.site}"
    severity = item.severity or "moderate"
    return {
        "side": item.side,
        "other": {"left": "right", "right": "left"}.get(item.side, "contralateral"),
        "site": item.site,
        "where": where,
        "size": _size(size, rng),
        "count": _WORDS[item.count] if item.count < len(_WORDS) else str(item.count),
        "degree": _pick(rng, _DEGREE[severity]),
        "adverb": _pick(rng, _ADVERB[severity]),
        "stage": item.stage or "",
        "shift": f"{round(item.shift_mm)} mm" if rng.random() < 0.8 else f"{item.shift_mm / 10:.1f} cm",
        "lobe": item.site.replace(" lobe", "").replace("cerebellar hemisphere", "cerebellum"),
    }


def _size(size_mm: float, rng: np.random.Generator) -> str:
    if size_mm >= 10 and rng.random() < 0.5:
        if rng.random() < 0.4:
            return f"{size_mm / 10:.1f} x {size_mm * rng.uniform(0.7, 0.95) / 10:.1f} cm"
        return f"{size_mm / 10:.1f} cm"
    if size_mm >= 10 and rng.random() < 0.3:
        return f"{round(size_mm)} x {round(size_mm * rng.uniform(0.7, 0.95))} mm"
    return f"{max(round(size_mm), 2)} mm"


_EFFECTS = {
    "midline shift": (
        "There is {shift} of midline shift to the {other}.",
        "Midline shift of {shift} towards the {other}.",
        "The midline structures are displaced to the {other} by {shift}.",
        "Mass effect with {shift} midline shift.",
    ),
    "sulcal effacement": (
        "There is local mass effect with effacement of the adjacent sulci.",
        "Mass effect with sulcal effacement.",
        "The adjacent sulci are effaced in keeping with mass effect.",
    ),
    "ventricular effacement": (
        "There is effacement of the {side} lateral ventricle.",
        "The {side} lateral ventricle is compressed.",
        "Mass effect on the {side} lateral ventricle.",
    ),
    "fourth ventricle compression": (
        "There is mass effect with compression of the fourth ventricle.",
        "The fourth ventricle is compressed and displaced, in keeping with mass effect.",
    ),
}

_CHOICES = {
    Pathology.HYDROCEPHALUS: wording_diffuse.hydrocephalus,
    Pathology.INFARCT: wording_diffuse.infarct,
    Pathology.LACUNAR_INFARCT: wording_diffuse.lacune,
    Pathology.MULTIPLE_SCLEROSIS: wording_diffuse.multiple_sclerosis,
    Pathology.SMALL_VESSEL_DISEASE: wording_diffuse.small_vessel,
    Pathology.HIGH_GRADE_GLIOMA: wording_focal.high_grade,
    Pathology.LOW_GRADE_GLIOMA: wording_focal.low_grade,
    Pathology.METASTASES: wording_focal.metastases,
    Pathology.MENINGIOMA: wording_extra_axial.meningioma,
    Pathology.HAEMORRHAGE: wording_focal.haemorrhage,
    Pathology.SUBDURAL: wording_extra_axial.subdural,
    Pathology.GLOBAL_ATROPHY: wording_diffuse.global_atrophy,
    Pathology.HIPPOCAMPAL_ATROPHY: wording_diffuse.hippocampal,
    Pathology.POST_OPERATIVE: wording_focal.post_operative,
    Pathology.WATERSHED_INFARCT: wording_diffuse.watershed,
    Pathology.ABSCESS: wording_focal.abscess,
    Pathology.CAVERNOMA: wording_focal.cavernoma,
    Pathology.NEUROGLIAL_CYST: wording_focal.neuroglial_cyst,
    Pathology.VESTIBULAR_SCHWANNOMA: wording_extra_axial.schwannoma,
    Pathology.PITUITARY_ADENOMA: wording_extra_axial.adenoma,
    Pathology.ARACHNOID_CYST: wording_extra_axial.arachnoid_cyst,
    Pathology.EXTRADURAL: wording_extra_axial.extradural,
    Pathology.SUBARACHNOID: wording_extra_axial.subarachnoid,
    Pathology.NONSPECIFIC_FOCI: wording_diffuse.foci,
    Pathology.SINUS_DISEASE: wording_diffuse.sinus,
    Pathology.PERIVASCULAR_SPACES: wording_diffuse.perivascular,
    Pathology.VENTRICULAR_ASYMMETRY: wording_diffuse.asymmetry,
}
