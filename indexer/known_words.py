"""The words that de-identification tells names by: known words of the language and the field, names, and eponyms.

`known_words.txt.gz` and `names.txt.gz` are made by `training.known_words`, `proper_words.txt` is kept by hand. Where
a name stands in a text is left to `person_names`.
"""

from __future__ import annotations

import gzip
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

COMMON_NAMES = 1_500  # so many of the most frequent names are no eponyms without the words of one around them
_LONG = 7  # letters of a word that may be joined of two, and still be known
_LONGEST = 40  # letters; what is longer is nobody's name
_SPELT = 9  # and of one that may be misspelt: shorter ones are too near to names (Descamps, descants)
_PART = 4  # letters of each of the two
_LIGATURES = {ord("ß"): "ss", ord("œ"): "oe", ord("æ"): "ae", ord("ø"): "o", ord("ł"): "l", ord("đ"): "d"}
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"
_FORMS: Mapping[str, str] = tomllib.loads(files("indexer").joinpath("data", "name_words.toml").read_text("utf-8"))
_PREFIXES = tuple(_FORMS["word_prefixes"].split())  # joined to a known word they make another one
_ENDINGS = tuple(_FORMS["word_endings"].split())  # no name ends like these, and new words of medicine do


@dataclass(frozen=True, slots=True)
class KnownWords:
    """`words` in lower case; `names` in lower case with their rank; `proper` in lower case, never a name alone."""

    words: frozenset[str]
    names: Mapping[str, int]
    proper: frozenset[str]
    eponyms: frozenset[str]

    def knows(self, word: str) -> bool:
        """Whether a word of letters is one of the language or of the field, also misspelt or newly joined."""
        plain = _plain(word)
        if len(plain) > _LONGEST or self.has(word) or plain.removesuffix("s") in self.proper:
            return True
        if plain in self.names or not _accents_fit(word):
            return False
        if len(plain) >= _LONG and plain.endswith(_ENDINGS):
            return True
        return self._inflected(plain) or self._joined(plain) or self._misspelt(plain)

    def has(self, word: str) -> bool:
        """Whether a word stands in the lists as it is: beside a name or a title no slip of the pen is allowed for."""
        plain = _plain(word)
        return (plain in self.words and _accents_fit(word)) or plain in self.proper

    def is_name(self, word: str) -> bool:
        return _plain(word) in self.names

    def is_eponym(self, word: str) -> bool:
        return _plain(word) in self.eponyms

    def _inflected(self, word: str) -> bool:
        for ending in ("s", "es", "ed", "ing", "ly", "al", "ally", "like"):
            stem = word.removesuffix(ending)
            if stem != word and len(stem) >= _PART and (stem in self.words or f"{stem}e" in self.words):
                return True
        return False

    def _joined(self, word: str) -> bool:
        if len(word) < _LONG:
            return False
        if any(word.startswith(prefix) and word[len(prefix) :] in self.words for prefix in _PREFIXES):
            return True
        return any(word[:cut] in self.words and word[cut:] in self.words for cut in range(_PART + 1, len(word) - _PART))

    def _misspelt(self, word: str) -> bool:
        """One letter too many, too few or wrong, or two that changed places; not the first letter."""
        if len(word) < _SPELT:
            return False
        cuts = [(word[:place], word[place:]) for place in range(1, len(word) + 1)]
        near = {start + end[1:] for start, end in cuts if end}
        near |= {start + end[1] + end[0] + end[2:] for start, end in cuts if len(end) > 1}
        near |= {start + letter + end[1:] for start, end in cuts if end for letter in _ALPHABET}
        near |= {start + letter + end for start, end in cuts for letter in _ALPHABET}
        return not near.isdisjoint(self.words)


@cache
def known_words() -> KnownWords:
    """The lists that ship, read once."""
    data = files("indexer").joinpath("data")
    words, names = (
        gzip.decompress(data.joinpath(f"{name}.txt.gz").read_bytes()).decode("utf-8").split("\n")
        for name in ("known_words", "names")
    )
    lines = data.joinpath("proper_words.txt").read_text("utf-8").splitlines()
    proper = frozenset(_plain(word) for line in lines if not line.startswith("#") for word in line.split())
    ranks = {name: rank for rank, name in enumerate(names)}
    common = frozenset(names[:COMMON_NAMES])
    return KnownWords(frozenset(words), ranks, proper - common, proper)


def _accents_fit(word: str) -> bool:
    """Whether a word is spelt as English spells it; with an accent a capitalised word is foreign, so Buś is no bus."""
    return word[0].islower() or all(letter.isascii() or letter in "’æœÆŒ" for letter in word)


def _plain(word: str) -> str:
    """Lower case without accents or a possessive.

    >>> _plain("Labbé's"), _plain("Müller")
    ('labbe', 'muller')
    """
    lowered = word.replace("’", "'").lower().removesuffix("'s").rstrip("'")
    if lowered.isascii():
        return lowered
    decomposed = unicodedata.normalize("NFKD", lowered)
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter)).translate(_LIGATURES)
