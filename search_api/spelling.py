"""Words as people write them: British and American twins, names for the same thing, and misspellings.

The lists stand in data/terms.toml. A misspelling is corrected towards the words of the reports themselves and of that
list, by edit distance. What a whole query means is left to query.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

WORD = re.compile(r"[^\W_]+")
# A shorter word has too many neighbours; a longer one may hold two slips.
_SHORTEST_CORRECTED, _TWO_SLIPS_FROM = 5, 9
_FIRST_SLIP_FROM = 7  # letters; "train" is no misspelt "brain"
_SAFE = 10  # letters; shorter words of an imported terminology are too near to everyday ones to correct towards
# One of these for another turns a word into its opposite, so it is never taken for a slip.
_OPPOSED = ("hypo", "hyper", "intra", "extra", "inter", "infra", "supra", "sub", "super", "ab", "anti", "ante")


@dataclass(frozen=True, slots=True)
class Term:
    """Names of one thing, each as its words; `narrower` are kinds of it. The first name is the one shown.

    `normal` are phrases that a report has where the thing is not there, without denying it by name.
    """

    names: tuple[tuple[str, ...], ...]
    short: tuple[str, ...]
    narrower: tuple[tuple[str, ...], ...]
    normal: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Lexicon:
    stop_words: frozenset[str]
    ordinary: frozenset[str]
    normal_company: frozenset[str]
    fillers: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    terms: tuple[Term, ...]
    known: frozenset[str]
    by_first_word: dict[str, tuple[tuple[tuple[str, ...], Term], ...]]
    normal: tuple[tuple[tuple[str, ...], Term], ...]

    def twins(self, word: str) -> tuple[str, ...]:
        """The same word in the other spelling.

        >>> lexicon().twins("haemorrhagic"), lexicon().twins("tumor"), lexicon().twins("infarct")
        (('hemorrhagic',), ('tumour',), ())
        """
        return tuple(dict.fromkeys(form for form in _spellings(word, self.pairs) if form != word))

    def longest_term(self, words: tuple[str, ...]) -> tuple[int, Term] | None:
        """The term that the words begin with, and how many words it takes."""
        for name, term in self.by_first_word.get(words[0], ()):
            if words[: len(name)] == name:
                return len(name), term
        return None


@cache
def lexicon(imported: tuple[tuple[str, ...], ...] = ()) -> Lexicon:
    """The shipped terms, joined by a site's own: groups of names that mean the same (see terminology)."""
    data = tomllib.loads(files("search_api").joinpath("data", "terms.toml").read_text("utf-8"))
    pairs = tuple((british, american) for british, american in data["pairs"])
    terms = tuple(
        Term(
            names=_forms(table["names"], pairs),
            short=tuple(table.get("short", ())),
            narrower=_forms(table.get("narrower", ()), pairs),
            normal=_forms(table.get("normal", ()), pairs),
        )
        for table in data["terms"]
    )
    known = frozenset(word for term in terms for name in (*term.names, *term.narrower) for word in name)
    return Lexicon(
        stop_words=frozenset(data["stop_words"].split()),
        ordinary=frozenset(data["ordinary"].split()),
        normal_company=frozenset(data["normal_company"].split()),
        fillers=tuple(sorted(data["fillers"], key=len, reverse=True)),
        pairs=pairs,
        terms=(terms := _joined(terms, imported, pairs)),
        known=known | {word for group in imported for name in group for word in words_of(name) if len(word) > _SAFE},
        by_first_word=_by_first_word(terms),
        normal=tuple((phrase, term) for term in terms for phrase in term.normal),
    )


def _joined(
    terms: tuple[Term, ...], imported: tuple[tuple[str, ...], ...], pairs: tuple[tuple[str, str], ...]
) -> tuple[Term, ...]:
    """Imported names go to the shipped term that has one of them; a name keeps the meaning that it has here."""
    place = {name: number for number, term in enumerate(terms) for name in term.names}
    taken = set(place) | {words_of(short) for term in terms for short in term.short}
    taken |= {name for term in terms for name in term.narrower}
    more: dict[int, list[tuple[str, ...]]] = {}
    own: list[Term] = []
    for group in imported:
        forms = _forms(group, pairs)
        new = tuple(form for form in forms if form not in taken)
        home = next((place[form] for form in forms if form in place), None)
        taken.update(new)
        if home is not None:
            more.setdefault(home, []).extend(new)
        elif len(new) > 1:
            own.append(Term(new, (), ()))
    joined = tuple(replace(term, names=(*term.names, *more.get(number, ()))) for number, term in enumerate(terms))
    return (*joined, *own)


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text as the full-text index cuts it: runs of letters and digits, case folded.

    >>> words_of("T2/FLAIR don't")
    ('t2', 'flair', 'don', 't')
    """
    return tuple(WORD.findall(text.casefold()))


def correct(word: str, vocabulary: Collection[str]) -> str | None:
    """The nearest word of the vocabulary, or None where the word is known, too short, or near to nothing.

    >>> correct("menigioma", {"meningioma", "glioma"}), correct("pizza", {"meningioma"})
    ('meningioma', None)
    >>> correct("hypointense", {"hyperintense"})
    """
    if len(word) < _SHORTEST_CORRECTED or word in vocabulary or not word.isalpha():
        return None
    slips = 2 if len(word) >= _TWO_SLIPS_FROM else 1
    candidates = (
        (distance, other)
        for other in vocabulary
        if abs(len(other) - len(word)) <= slips
        and len(other) >= _SHORTEST_CORRECTED
        and (other[0] == word[0] or (len(word) >= _FIRST_SLIP_FROM and other[-4:] == word[-4:]))
        and _beginning(other) == _beginning(word)
        and (distance := edit_distance(word, other, slips)) <= slips
    )
    best = min(candidates, default=None)
    return None if best is None else best[1]


def edit_distance(first: str, second: str, most: int) -> int:
    """Insertions, deletions, changes and swaps of neighbours between two words; `most` + 1 where it is more.

    Damerau-Levenshtein distance (optimal string alignment), row by row.

    >>> edit_distance("hydrocephlus", "hydrocephalus", 2), edit_distance("galdder", "gladder", 2)
    (1, 1)
    """
    before: list[int] = []
    row = list(range(len(second) + 1))
    for i, letter in enumerate(first, start=1):
        previous, row = row, [i]
        for j, other in enumerate(second, start=1):
            change = previous[j - 1] + (letter != other)
            cell = min(change, previous[j] + 1, row[j - 1] + 1)
            if i > 1 and j > 1 and letter == second[j - 2] and first[i - 2] == other:
                cell = min(cell, before[j - 2] + 1)
            row.append(cell)
        if min(row) > most:
            return most + 1
        before = previous
    return min(row[-1], most + 1)


def _beginning(word: str) -> str:
    return next((beginning for beginning in _OPPOSED if word.startswith(beginning)), "")


@cache
def _american_pattern(british: str, american: str) -> re.Pattern[str]:
    # "edem" must not turn "oedem" into "ooedem": the American part counts where the British one is not meant already.
    lead = british[0] if british.endswith(american) else ""
    return re.compile(rf"(?<!{lead}){american}" if lead else american)


def _spellings(text: str, pairs: tuple[tuple[str, str], ...]) -> tuple[str, str]:
    """A text, case folded, in British and in American spelling."""
    american = british = text
    for british_part, american_part in pairs:
        american = american.replace(british_part, american_part)
        if british_part not in british:
            british = re.sub(_american_pattern(british_part, american_part), british_part, british)
    return british, american


def _forms(names: Iterable[str], pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, ...], ...]:
    """Every name as words, each in both spellings too."""
    return tuple(
        dict.fromkeys(words_of(form) for name in names for form in (name, *_spellings(name.casefold(), pairs)))
    )


def _by_first_word(terms: tuple[Term, ...]) -> dict[str, tuple[tuple[tuple[str, ...], Term], ...]]:
    table: dict[str, list[tuple[tuple[str, ...], Term]]] = {}
    for term in terms:
        for name in (*term.names, *(words_of(short) for short in term.short)):
            table.setdefault(name[0], []).append((name, term))
    return {
        first: tuple(sorted(entries, key=lambda entry: len(entry[0]), reverse=True)) for first, entries in table.items()
    }
