"""Which words of a report name which finding of the catalogue, for the exact filter `finding`.

The words of the shipped findings are here, those of a site's own findings in its own catalogue. Only clauses that state
something are looked at; a case with "no hydrocephalus" does not have the finding. Expansion of a user's query is left
to the search floor.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from encoders.catalogue import own_catalogue, own_findings
from indexer.body_parts import is_elsewhere
from indexer.cases import Assertion, Report, Section, Sentence

ABNORMAL = "abnormal"

_STEMS: Mapping[str, list[str]] = tomllib.loads(
    files("indexer").joinpath("data", "finding_words.toml").read_text("utf-8")
)
_WORDS = tuple((name, re.compile(rf"\b(?:{'|'.join(stems)})")) for name, stems in _STEMS.items())
_OTHER_ABNORMAL = re.compile(
    r"\b(?:abnormal|lesion|mass\b|masses\b|tumou?r|metasta|cyst\b|abscess|aneurysm|malformation|o?edema|enhanc|restricted"
    r" diffusion|neoplasm|adenoma|schwannoma|cavernoma|encephalitis|gliosis)"
)
# What of a spine's disc has the word of another finding.
_DISC = re.compile(r"\bdis[ck]s? (?:\w+ ){0,3}?herniat\w*|\bherniat\w* (?:\w+ ){0,4}?dis[ck]s?\b")
INCIDENTAL = frozenset({"perivascular_spaces", "sinus_disease"})  # of a normal examination
_SECTIONS = frozenset({Section.FINDINGS, Section.IMPRESSION, Section.BODY})


def stated_findings(report: Report) -> tuple[str, ...]:
    """Names of the findings that the report states as present, in the catalogue's order; a site's own come last."""
    found = {name for sentence in report.sentences if _states(sentence) for name in _named(sentence.text)}
    return tuple(name for name in dict.fromkeys((ABNORMAL, *_STEMS, *_own_words())) if name in found)


def named_findings(sentence: Sentence) -> tuple[str, ...]:
    """Names of the findings that a sentence is about, whether it states or denies them; "abnormal" is none.

    A sentence of another part of the body names none.
    """
    if sentence.section not in _SECTIONS or is_elsewhere(sentence.text):
        return ()
    return tuple(name for name in _named(sentence.text) if name != ABNORMAL)


def _states(sentence: Sentence) -> bool:
    return sentence.assertion is Assertion.PRESENT and sentence.section in _SECTIONS


def _named(text: str) -> Iterable[str]:
    plain = _DISC.sub(" ", fold(text).replace("-", " "))
    own = _own_words()
    found = [name for name, words in _WORDS if name not in own and words.search(plain)]
    found += [name for name, words in own.items() if words.search(plain)]
    return [ABNORMAL, *found] if set(found) - INCIDENTAL or _OTHER_ABNORMAL.search(plain) else found


def shipped_names() -> tuple[str, ...]:
    """The findings whose words are shipped, in the catalogue's order."""
    return tuple(_STEMS)


def own_names() -> tuple[str, ...]:
    """The findings of a site's own catalogue that have words; raises FindingsError."""
    return tuple(_own_words())


def _own_words() -> Mapping[str, re.Pattern[str]]:
    """The words of the site's own findings, read once as long as the file does not change."""
    path = own_catalogue()
    if path is None:
        return {}
    try:
        stamp = path.stat().st_mtime_ns
    except OSError:
        stamp = 0
    return _compiled(path, stamp)


@lru_cache(maxsize=1)
def _compiled(path: Path, stamp: int) -> Mapping[str, re.Pattern[str]]:  # noqa: ARG001  another stamp, another reading
    return {
        one.name: re.compile(rf"\b(?:{'|'.join(re.escape(fold(word).replace('-', ' ')) for word in one.words)})")
        for one in own_findings()
        if one.words
    }


def fold(text: str) -> str:
    """Lower case without ligatures, as the word index keeps it.

    >>> fold("Œdema of the fœtal cærebrum")
    'oedema of the foetal caerebrum'
    """
    return text.casefold().replace("œ", "oe").replace("æ", "ae")
