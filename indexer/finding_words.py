"""Which words of a report name which finding of the catalogue, for the exact filter `finding`.

Only clauses that state something are looked at; a case with "no hydrocephalus" does not have the finding. Expansion of
a user's query is left to the search floor.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from indexer.cases import Assertion, Report, Section, Sentence

ABNORMAL = "abnormal"

# Stems; a word that begins with one counts. Spellings after `fold` (British or American, ligatures undone).
_STEMS: tuple[tuple[str, str], ...] = (
    ("hydrocephalus", r"hydrocephal|ventriculomegal|(?:enlarged|dilated) (?:\w+ ){0,3}ventricles?"),
    ("infarct", r"infarct|ischa?emic stroke|stroke|cerebrovascular accident"),
    (
        "white_matter_lesions",
        r"white matter (?:\w+ ){0,2}(?:lesion|hyperintensit|disease|change|signal)|demyelinat|multiple sclerosis"
        r"|plaques?\b",
    ),
    ("small_vessel_disease", r"small vessel|microangiopath|leukoaraiosis|leucoaraiosis|lacun"),
    ("glioma", r"glioma|glioblastoma|astrocytoma|oligodendroglioma|gbm\b|intra ?axial (?:tumou?r|mass|neoplasm)"),
    ("meningioma", r"meningioma"),
    (
        "haemorrhage",
        r"ha?emorrhag|ha?ematoma|bleed|microbleed|microha?emorrhag|siderosis|blood products",
    ),
    ("atrophy", r"atroph|volume loss|involution"),
    ("mass_effect", r"mass effect|midline shift|herniat|effacement|subfalcine"),
)
_WORDS = tuple((name, re.compile(rf"\b(?:{stems})")) for name, stems in _STEMS)
_OTHER_ABNORMAL = re.compile(
    r"\b(?:abnormal|lesion|mass\b|masses\b|tumou?r|metasta|cyst\b|abscess|aneurysm|malformation|o?edema|enhanc|restricted"
    r" diffusion|neoplasm|adenoma|schwannoma|cavernoma|encephalitis|gliosis)"
)
_SECTIONS = frozenset({Section.FINDINGS, Section.IMPRESSION, Section.BODY})


def stated_findings(report: Report) -> tuple[str, ...]:
    """Names of the findings that the report states as present, in the catalogue's order."""
    found = {name for sentence in report.sentences if _states(sentence) for name in _named(sentence.text)}
    return tuple(name for name in (ABNORMAL, *(name for name, _ in _STEMS)) if name in found)


def _states(sentence: Sentence) -> bool:
    return sentence.assertion is Assertion.PRESENT and sentence.section in _SECTIONS


def _named(text: str) -> Iterable[str]:
    plain = fold(text).replace("-", " ")
    found = [name for name, words in _WORDS if words.search(plain)]
    return [ABNORMAL, *found] if found or _OTHER_ABNORMAL.search(plain) else []


def fold(text: str) -> str:
    """Lower case without ligatures, as the word index keeps it.

    >>> fold("Œdema of the fœtal cærebrum")
    'oedema of the foetal caerebrum'
    """
    return text.casefold().replace("œ", "oe").replace("æ", "ae")
