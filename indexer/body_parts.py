"""Which part of the body a report, or a sentence of one, is of: by the words of its title, technique and anatomy.

Reports here are of brain MRI: what another part has, a "disc herniation" or a "kidney cyst", says nothing of the
brain. A report of the brain and of something beside it (orbits, sinuses, cervical spine) remains one of the brain.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from importlib.resources import files

from indexer.cases import Report, Section

FEWEST = 2  # different words of another part, of a report that has none of the head, to be taken for one of that part
OUTWEIGHED = 3  # times as many as of the head, where it has some
HEAD = "head"
_LONGEST_TITLE = 200  # characters

_Part = Mapping[str, str | list[str]]
_DATA: Mapping[str, _Part] = tomllib.loads(files("indexer").joinpath("data", "body_parts.toml").read_text("utf-8"))
_WORDS = {name: re.compile(rf"\b(?:{'|'.join(part['words'])})") for name, part in _DATA.items()}
_NAMES = {name: str(part.get("name", name)) for name, part in _DATA.items()}
_EXAMINED = re.compile(
    r"\b(?:mri?|mrcp|cta?|pet|scan|x ?rays?|radiographs?|ultrasound|sonograph\w*|mammogra\w*|tomograph\w*|imaging)\b"
)
# Where a tumour in the brain came from is no other part that the sentence is of.
_ORIGIN = re.compile(
    r"\b(?:non small cell |small cell )?(?:lung|breast|renal(?: cell)?|colon|colorectal|prostate|ovarian|thyroid"
    r"|bladder|gastric|pancreatic|hepatocellular|o?esophageal|testicular|rectal|cervical) "
    r"(?:\w+ )?(?:cancer|carcinoma|adenocarcinoma|tumou?r|primary|malignan\w+)"
)
_SECTIONS = frozenset({Section.FINDINGS, Section.IMPRESSION, Section.BODY})


def other_part(report: Report) -> str | None:
    """The part of the body, in words, that a report is of, where that is another than the head."""
    titled = _titled(report)
    if titled == HEAD:
        return None
    said = _ORIGIN.sub(" ", _plain(" ".join(one.text for one in report.sentences if one.section in _SECTIONS)))
    counted = {name: len(found) for name in _WORDS if (found := _named(name, said))}
    head = counted.pop(HEAD, 0)
    elsewhere = sum(counted.values())
    if titled is not None:
        return _NAMES[titled] if elsewhere >= head else None
    if not elsewhere or elsewhere < max(FEWEST, OUTWEIGHED * head):
        return None
    return _NAMES[max(counted, key=counted.__getitem__)]


def is_elsewhere(text: str) -> bool:
    """Whether a sentence is of another part of the body and of nothing in the head.

    >>> [is_elsewhere(text) for text in ("Lumbar disc herniation.", "Uncal herniation.", "Cyst of the left kidney.")]
    [True, False, True]
    >>> is_elsewhere("Metastases of a breast carcinoma.")
    False
    """
    plain = _ORIGIN.sub(" ", _plain(text))
    return not _WORDS[HEAD].search(plain) and any(words.search(plain) for words in _WORDS.values())


def _titled(report: Report) -> str | None:
    """The part that title or technique name beside a kind of examination, the head before others; None without one."""
    lines = [words for section, words in report.sections if section is Section.TECHNIQUE]
    if report.sections and report.sections[0][0] is Section.BODY:
        lines += report.sections[0][1].splitlines()[:1]
    named = [_ORIGIN.sub(" ", _plain(line)) for line in lines if len(line) <= _LONGEST_TITLE]
    parts = {name for line in named if _EXAMINED.search(line) for name, words in _WORDS.items() if words.search(line)}
    if HEAD in parts or not parts:
        return HEAD if HEAD in parts else None
    return next(name for name in _WORDS if name in parts)


def _named(name: str, plain: str) -> frozenset[str]:
    return frozenset(_WORDS[name].findall(plain))


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text.casefold().replace("-", " "))
