"""Ways to write one thing, as groups of words to look up: names, spellings, singular and plural.

Which groups a query has is left to query, the names to the lexicon of spelling.
"""

from __future__ import annotations

from dataclasses import dataclass

from search_api.spelling import Term, words_of


@dataclass(frozen=True, slots=True)
class WordGroup:
    """Ways to write one thing, each as the words that must all be there.

    Who denies one of `denied_by` denies the thing: of a name that the lexicon knows its forms, and those of what it is
    a kind of by its last word ("obstructive hydrocephalus"). Who writes one of `normal` denies it without naming it.
    """

    forms: tuple[tuple[str, ...], ...]
    weight: float = 1.0
    denied_by: tuple[tuple[str, ...], ...] = ()
    normal: tuple[tuple[str, ...], ...] = ()


def term_forms(name: tuple[str, ...], term: Term, narrower: bool) -> tuple[tuple[str, ...], ...]:
    """All forms of a term that was written as `name`, with its kinds where `narrower`."""
    short = tuple(words_of(short) for short in term.short)
    return tuple(dict.fromkeys((*both_numbers((name, *term.names, *(term.narrower if narrower else ()))), *short)))


def both_numbers(forms: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
    """Every form in singular and plural: the word index does not know that "lesions" is more than one "lesion"."""
    return tuple(dict.fromkeys((*forms, *(other for form in forms if (other := _other_number(form))))))


def _other_number(form: tuple[str, ...]) -> tuple[str, ...] | None:
    last = form[-1]
    if not last.isalpha() or len(last) < 4 or last.endswith(("ss", "us", "is", "ed", "ing", "ic")):
        return None
    if last.endswith("ies"):
        return (*form[:-1], f"{last[:-3]}y")
    if last.endswith("y") and last[-2] not in "aeiou":
        return (*form[:-1], f"{last[:-1]}ies")
    return (*form[:-1], last[:-1] if last.endswith("s") else f"{last}s")


def place_of(phrase: tuple[str, ...], tokens: tuple[str, ...]) -> int | None:
    """Where a phrase begins in tokens."""
    places = range(len(tokens) - len(phrase) + 1)
    return next((place for place in places if tokens[place : place + len(phrase)] == phrase), None)
