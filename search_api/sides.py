"""Which side of the brain a report sentence places something on, and what part of it: words only.

A side counts where it stands before a part of the brain or a lesion. That of a symptom, a vessel, a device or a
movement ("right arm weakness", "displaced to the right") says nothing of where a lesion is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from indexer.case_words import tokens_of

SIDES = {"left": "left", "lt": "left", "l": "left", "right": "right", "rt": "right", "r": "right"}
BOTH = frozenset(SIDES.values())
_BOTH_WORDS = frozenset(
    (
        "bilateral",
        "bilaterally",
        "both",
        "either",
        "opposite",
        "contralateral",
        "ipsilateral",
        "symmetrical",
        "symmetric",
    )
)
# The part of the brain that a word speaks of.
_PARTS = (
    ("frontal", r"front"),
    ("parietal", r"pariet"),
    ("temporal", r"tempor"),
    ("occipital", r"occipit"),
    ("cerebellum", r"cerebell(?!opont)"),
    ("thalamus", r"thalam"),
    ("basal ganglia", r"basal$|ganglia|putam|caudate|lentiform|striat|pallid"),
    ("internal capsule", r"capsul"),
    ("corona radiata", r"corona$|radiata"),
    ("insula", r"insul"),
    ("hippocampus", r"hippocamp"),
    ("brain stem", r"pons$|pontine|midbrain|medulla|peduncle|brainstem"),
    ("cerebellopontine angle", r"cerebellopontine|cpa$|petrous|auditory|vestibular"),
    ("sphenoid wing", r"sphenoid"),
    ("convexity", r"convexit"),
    ("hemisphere", r"hemispher|cerebral|brain$"),
)
_PART = tuple((name, re.compile(rf"(?:{pattern})")) for name, pattern in _PARTS)
_LESION = re.compile(
    r"mass|lesion|tumou?r|glio|mening|schwannom|metasta|abscess|cyst|infarct|stroke|ha?em|bleed|subdural|extradural"
    r"|epidural|mca|aca|pca|territor|middle|anterior|posterior|lobe|lacun|atroph|cavern|cavit|ventric|collection"
    r"|focus|foci|paramedian"
)
# What has a side of its own.
_ELSEWHERE = re.compile(
    r"weak|hemi(?!spher)|pares|plegi|droop|numb|sensor|neglect|anopia|anopsia|arm$|leg$|hand$|foot$|facial|face$|limb"
    r"|gaze|visual|vision|eye$|optic|neuritis|headache|pain|seizure|deficit|symptom|hearing|ataxia|tremor|vertebral"
    r"|carotid|evd|drain|shunt|cathet|craniotomy|burr|sinus|mastoid|orbit|shift|handed|horn"
)
_REACH = 4  # words after a side in which its part or lesion may stand


def sides_of(texts: Iterable[str]) -> frozenset[str]:
    """The sides on which texts place something in the brain; both where they speak of both.

    >>> sorted(sides_of(["Left frontal mass.", "The right thalamus is small."]))
    ['left', 'right']
    >>> sides_of(["Pontine infarct with right facial weakness, displaced to the left."])
    frozenset()
    """
    found: set[str] = set()
    for text in texts:
        words = tokens_of(text)
        if _BOTH_WORDS & set(words):
            return BOTH
        found |= {side for side, _ in _placed(words)}
    return frozenset(found)


def parts_of(text: str) -> frozenset[tuple[str, str]]:
    """(side, part of the brain) that a text names together.

    >>> sorted(parts_of("Tumour of the left temporal lobe."))
    [('left', 'temporal')]
    """
    return frozenset((side, part) for side, part in _placed(tokens_of(text)) if part)


def _placed(words: tuple[str, ...] | list[str]) -> list[tuple[str, str]]:
    placed = []
    for place, word in enumerate(words):
        if word not in SIDES:
            continue
        after = words[place + 1 : place + 1 + _REACH]
        moved = place > 1 and words[place - 1] == "the" and words[place - 2] in ("to", "towards", "toward")
        if moved or any(_ELSEWHERE.match(one) for one in after):
            continue
        part = next((name for one in after[:3] for name, pattern in _PART if pattern.match(one)), "")
        bare = place > 1 and tuple(words[place - 2 : place]) in (("on", "the"), ("in", "the"))
        if part or (len(word) > 1 and (bare or any(_LESION.match(one) for one in after))):
            placed.append((SIDES[word], part))
    return placed
