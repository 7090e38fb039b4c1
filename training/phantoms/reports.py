"""Writes the report of a phantom from its facts: sections, pertinent negatives, houses' styles, two spellings.

`write_report` gives one report a seed; `statements` gives single sentences with the finding that each asserts or
denies, for tests and for training on sentences. `phrases` words abnormalities, `negatives` words absence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.phantoms.facts import FINDINGS, Facts
from training.phantoms.negatives import INDICATIONS, NORMAL_IMPRESSIONS, NORMAL_REGIONS, denials
from training.phantoms.phrases import Wording, word_abnormality

SHARE_AMERICAN = 0.5
SHARE_DETAIL = 0.75  # how often an optional detail is stated
DENIALS_MOST = 7

_AMERICAN = (
    (r"aemorrhag", "emorrhag"),
    (r"aematoma", "ematoma"),
    (r"aemosiderin", "emosiderin"),
    (r"aemoglobin", "emoglobin"),
    (r"(?i)\boedema", "edema"),
    (r"umour", "umor"),
    (r"schaemi", "schemi"),
    (r"\bgrey\b", "gray"),
    (r"\bGrey\b", "Gray"),
    (r"eneralised", "eneralized"),
    (r"entred\b", "entered"),
    (r"entre\b", "enter"),
    (r"ilatation\b", "ilation"),
    (r"orientated", "oriented"),
    (r"brain stem", "brainstem"),
    (r"ost-operative", "ostoperative"),
    (r"on-specific", "onspecific"),
    (r"ymphoedema", "ymphedema"),
)


@dataclass(frozen=True, slots=True)
class PhantomReport:
    """A report by section, and as one text in a house's layout."""

    indication: str
    technique: str
    comparison: str
    findings: str
    impression: str
    text: str


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence that asserts (present) or denies one of FINDINGS."""

    sentence: str
    finding: str
    present: bool


def write_report(facts: Facts, seed: int) -> PhantomReport:
    """Write the report of an examination in a style that the seed chooses; the same seed gives the same text."""
    rng = np.random.default_rng((seed, 0x5EED))
    wordings = tuple(word_abnormality(item, facts, rng) for item in facts.abnormalities)
    prose = _findings(facts, wordings, rng)
    impression = _impression(facts, wordings, rng)
    sections = {
        "indication": _indication(facts, rng),
        "technique": _technique(facts, rng),
        "comparison": facts.comparison or _pick(rng, ("None.", "None available.", "No previous imaging.")),
        "findings": prose,
        "impression": impression,
    }
    american = rng.random() < SHARE_AMERICAN
    sections = {name: _spell(text, american) for name, text in sections.items()}
    return PhantomReport(**sections, text=_lay_out(sections, rng))


def statements(facts: Facts, seed: int = 0) -> tuple[Statement, ...]:
    """Sentences about every one of FINDINGS, each with its truth: what is present is stated, what is absent denied."""
    rng = np.random.default_rng((seed, 0x57A7))
    said = []
    for item in facts.abnormalities:
        wording = word_abnormality(item, facts, rng)
        if item.finding:
            said += [
                Statement(_tidy(text), item.finding, present=True) for text in (*wording.essential, wording.impression)
            ]
        if not item.incidental:
            said.append(Statement(_tidy(wording.impression), "abnormal", present=True))
        if item.effects:
            said.append(Statement(_tidy(wording.details[-1]), "mass_effect", present=True))
    said += [Statement(text, name, present=False) for name in FINDINGS for text in denials(name, facts)]
    return tuple(said)


def _findings(facts: Facts, wordings: Sequence[Wording], rng: np.random.Generator) -> str:
    positive = []
    for wording in wordings:
        positive += [_tidy(text) for text in wording.essential]
        positive += [_tidy(text) for text in wording.details if rng.random() < SHARE_DETAIL]
    negative = _negatives(facts, rng)
    if rng.random() < 0.25:
        return _by_region(positive, negative, rng)
    if not positive and rng.random() < 0.5:
        negative = [_pick(rng, ("Normal appearances of the brain.", "Normal brain parenchyma.")), *negative]
    sentences = positive + negative if rng.random() < 0.8 else negative[:1] + positive + negative[1:]
    return " ".join(sentences)


def _negatives(facts: Facts, rng: np.random.Generator) -> list[str]:
    chosen: list[str] = []
    for name in rng.permutation([name for name in FINDINGS if name != "abnormal"]):
        sentences = denials(str(name), facts)
        if sentences and len(chosen) < DENIALS_MOST and rng.random() < 0.55:
            chosen.append(_pick(rng, sentences))
    chosen += [text for text in NORMAL_REGIONS if rng.random() < 0.25]
    return chosen or [_pick(rng, NORMAL_REGIONS)]


def _by_region(positive: list[str], negative: list[str], rng: np.random.Generator) -> str:
    heading = _pick(rng, ("Brain parenchyma", "Parenchyma", "Brain"))
    lines = [f"{heading}: {' '.join(positive) or 'Normal signal.'}"]
    ventricles = [text for text in negative if "ventric" in text.lower()]
    others = [text for text in negative if text not in ventricles]
    if ventricles:
        lines.append(f"Ventricles: {' '.join(ventricles)}")
    if others:
        lines.append(f"Other: {' '.join(others)}")
    return "\n".join(lines)


def _impression(facts: Facts, wordings: Sequence[Wording], rng: np.random.Generator) -> str:
    named = [
        _tidy(wording.impression)
        for item, wording in zip(facts.abnormalities, wordings, strict=True)
        if not item.incidental
    ]
    if not named:
        lines = [_tidy(wording.impression) for wording in wordings][:1]
        return lines[0] if lines and rng.random() < 0.6 else _pick(rng, NORMAL_IMPRESSIONS)
    if facts.labels["mass_effect"] and rng.random() < 0.5:
        shifted = any("midline shift" in item.effects for item in facts.abnormalities)
        named.append("Mass effect with midline shift." if shifted else "Local mass effect.")
    elif rng.random() < 0.3:
        absent = [denials(name, facts) for name in ("hydrocephalus", "haemorrhage", "mass_effect")]
        named += [_pick(rng, sentences) for sentences in absent if sentences][:1]
    if len(named) > 1 and rng.random() < 0.4:
        return "\n".join(f"{number}. {text}" for number, text in enumerate(named, 1))
    return " ".join(named)


def _indication(facts: Facts, rng: np.random.Generator) -> str:
    first = next((item.pathology for item in facts.abnormalities if not item.incidental), None)
    text = _pick(rng, INDICATIONS.get(first, INDICATIONS[None]))
    years = f"{facts.age} year old {'man' if facts.sex == 'M' else 'woman'}"
    return _pick(rng, (text, f"{years}. {text}", f"{years} with {text[0].lower()}{text[1:]}"))


def _technique(facts: Facts, rng: np.random.Generator) -> str:
    if not facts.sequences:
        return _pick(
            rng, ("MRI brain.", "MRI head with standard sequences.", "Multiplanar multisequence MRI of the brain.")
        )
    names = [name for name in facts.sequences if "post contrast" not in name]
    after = " Post contrast T1w." if "T1w post contrast" in facts.sequences else ""
    return f"{_pick(rng, ('MRI head', 'MRI brain', 'Multisequence MRI'))}: {', '.join(names)}.{after}"


def _lay_out(sections: dict[str, str], rng: np.random.Generator) -> str:
    style = int(rng.integers(4))
    if style == 0:
        titles = {name: name.capitalize() for name in sections}
    elif style == 1:
        titles = {name: name.upper() for name in sections}
    elif style == 2:
        titles = {name: name.capitalize() for name in sections} | {
            "indication": "Clinical history",
            "findings": "Report",
            "impression": "Conclusion",
        }
    else:
        titles = {name: name.upper() for name in ("findings", "impression")}
    return "\n\n".join(f"{titles[name]}: {text}" for name, text in sections.items() if name in titles and text)


def _spell(text: str, american: bool) -> str:
    if not american:
        return text
    for british, spelled in _AMERICAN:
        text = re.sub(british, spelled, text)
    # The diphthong at the start of a sentence leaves its capital behind.
    return re.sub(r"(^|[.:\n] *)edema", r"\1Edema", text)


def _tidy(text: str) -> str:
    """Start with a capital; "a acute" becomes "an acute"."""
    text = re.sub(r"\b([Aa]) (?=[aeio])", r"\1n ", text)
    return text[:1].upper() + text[1:]


def _pick(rng: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(rng.integers(len(choices)))]
