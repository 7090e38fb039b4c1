"""Whether a text is in English, for which alone names, findings and denials can be told by the rules here.

Two witnesses: words that another language writes and English never does ("senza", "keine"), of which one is enough for
a short sentence, and the share of words that are unknown, which needs no list of another language. Libraries that tell
languages were tried (docs/deidentification.md): on short clinical sentences they take more English for foreign.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from importlib.resources import files

from indexer.known_words import known_words
from indexer.report_text import split_sentences

FOREIGN = 0.5  # share of unknown words in small letters from which a text is not in English; German has over 0.8
FEWEST_UNKNOWN = 3  # such words, in a sentence without a word of another language, or an unknown one with accents
_SUPPORTED = 2, 0.34  # and their number and share in one that has
_MOSTLY = 2, 0.66  # and in any, such as "Akuter Infarkt"
_LONGEST_SHORT_FORM = 4  # letters in capitals, such as OS, DEM or SEM, that are no words of another language
_SHORTEST_WORD = 3  # letters of a word that is looked up
_LISTS: Mapping[str, str] = tomllib.loads(files("indexer").joinpath("data", "other_languages.toml").read_text("utf-8"))
_ENGLISH = frozenset(_LISTS["english"].split())
_OTHERS = frozenset(word for name, words in _LISTS.items() if name != "english" for word in words.split())
# Web addresses, and placeholders of what was taken out, are in no language.
_NO_WORDS = re.compile(r"\S*(?:://|www\.|@)\S*|\[[a-z]+\]|\b[cp]\.\S+")
_WORD = re.compile(r"[^\W\d_]+")
_OTHER_SCRIPT = re.compile(
    r"[\u0370-\u03ff\u0400-\u06ff\u0900-\u0dff\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
)


def is_foreign(text: str) -> bool:
    """Whether most of a text is in another language than English, by its sentences.

    >>> is_foreign("Kein Nachweis einer Blutung. Keine Raumforderung."), is_foreign("No haemorrhage. No mass.")
    (True, False)
    """
    sentences = split_sentences(text)
    foreign = sum(len(one) for one in sentences if is_foreign_sentence(one))
    return foreign > sum(map(len, sentences)) / 2


def is_foreign_sentence(sentence: str) -> bool:
    """Whether a sentence, or a few words, are in another language than English.

    >>> [is_foreign_sentence(text) for text in ("Nessun meningioma.", "Glioma assente", "No meningioma", "OS normal")]
    [True, True, False, False]
    """
    bare = _NO_WORDS.sub(" ", sentence)
    if len(_OTHER_SCRIPT.findall(bare)) > len(_WORD.findall(bare)):
        return True
    written = _WORD.findall(bare)
    if any(map(str.islower, written)):
        written = [word for word in written if not (word.isupper() and len(word) <= _LONGEST_SHORT_FORM)]
    words = [word.lower() for word in written]
    others = sum(word in _OTHERS for word in words)
    if others > sum(word in _ENGLISH for word in words):
        return True
    looked_up = [word for word in words if len(word) >= _SHORTEST_WORD and word not in _OTHERS]
    lists = known_words()
    unknown = [word for word in looked_up if not lists.knows(word)]
    supported = others or not all(map(str.isascii, unknown))
    witnesses = (_SUPPORTED if supported else (FEWEST_UNKNOWN, FOREIGN), _MOSTLY)
    return any(len(unknown) >= fewest and len(unknown) >= share * len(looked_up) for fewest, share in witnesses)
