"""Names of people in report text: by what stands around them, and as capitalised words that nobody writes otherwise.

What stands around a name (a title, a label, "discussed with", letters behind it) is believed before the word lists.
Without any of it a capitalised word is a name when neither the language nor the field knows it, and no eponym's head
stands beside it. Identifiers with a shape are left to `identifier_patterns`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from indexer.known_words import KnownWords, known_words
from indexer.name_contexts import (
    CREDENTIALS,
    EPONYM_BEFORE,
    EPONYM_BEHIND,
    LABEL,
    MENTION,
    PARTICLES,
    PREFIXES,
    RELATION,
    ROLES,
    SHOUTED_TITLE,
    TITLE,
    TOWN_WORDS,
)
from indexer.text_words import SHORT, Word, is_brand, merged, words_in, words_of

LONGEST_RUN = 6  # words of one name: "Dr Maria del Carmen Ortega Ruiz"
ACRONYM = 6  # letters: a longer word in capitals that nobody knows is a name
_GOES_ON = re.compile(r"\.[,;]?[^\S\n](?=[a-z])")
_BETWEEN = re.compile(r"\.?[^\S\n]{0,3}|[.,]?[^\S\n]|\^|,[^\S\n]?|[^\S\n]?&[^\S\n]?")


def names_of_people(text: str) -> list[tuple[int, int]]:
    """Where names stand, in order and without overlaps."""
    return _Reading(text).names()


class _Reading:
    """One text: its words, and what the lists say of each."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lists: KnownWords = known_words()
        self._words = list(words_of(text))
        self._ends = {word.end: place for place, word in enumerate(self._words)}
        self._starts = {word.start: place for place, word in enumerate(self._words)}

    def names(self) -> list[tuple[int, int]]:
        strong = [*self._titled(), *self._labelled(), *self._mentioned(), *self._with_letters()]
        weak = [*self._unknown(), *self._pairs(), *self._with_initials()]
        return merged(self._text, [*strong, *weak, *self._again(strong, weak)])

    # What stands around a name

    def _titled(self) -> Iterator[tuple[int, int]]:
        for pattern in (TITLE, SHOUTED_TITLE):
            for match in pattern.finditer(self._text):
                place = self._place(match.end())
                if place is None:
                    continue
                word = self._words[place]
                if pattern is SHOUTED_TITLE:
                    named = word.text.isupper() and not {word.text, word.text.capitalize()} & ROLES
                    if match.group() in ("MR", "MS"):  # magnetic resonance, multiple sclerosis
                        named = named and self._may_be_name(word) and not self._is_acronym(word)
                elif word.capital:
                    named = word.initial or word.text not in ROLES or self._lists.is_name(word.text)
                else:
                    named = not self._known(word) or self._is_particle(place)
                if named:
                    yield match.start(), self._run_end(place)

    def _labelled(self) -> Iterator[tuple[int, int]]:
        for match in LABEL.finditer(self._text):
            begin, end = match.span("it")
            yield from self._runs_in(begin, end, sure=True)
            if match["person"] and (small := self._small_name(begin, end, sure=match["sure"] is not None)):
                yield small

    def _mentioned(self) -> Iterator[tuple[int, int]]:
        for match in MENTION.finditer(self._text):
            place = self._place(match.end())
            if place is None:
                continue
            end = self._run_end(place)
            run = [word for word in self._words[place:] if word.end <= end]
            first = self._words[place]
            short_form = first.text.isupper() and not first.shouted and not first.initial and self._is_acronym(first)
            if short_form or self._has_head(place + len(run) - 1):
                continue
            sure = RELATION.search(match.group()) and first.text not in ROLES and not self._lists.is_eponym(first.text)
            if first.capital and (sure or any(self._may_be_name(w) for w in run if not w.initial)):
                yield self._words[place].start, end

    def _with_letters(self) -> Iterator[tuple[int, int]]:
        """`J. Smith, FRCR`: the run of names before the letters of a degree."""
        for match in CREDENTIALS.finditer(self._text):
            place = self._ends.get(match.start())
            first = place
            while first is not None and first > 0 and self._joins(first - 1) and self._words[first - 1].capital:
                if self._words[first - 1].text in ROLES or (place or 0) - first >= LONGEST_RUN - 1:
                    break
                first -= 1
            if place is None or first is None:
                continue
            run = self._words[first : place + 1]
            if self._words[place].capital and any(w.initial or self._may_be_name(w) for w in run):
                yield run[0].start, match.end()

    # What the word lists say

    def _unknown(self) -> Iterator[tuple[int, int]]:
        small = {word.text for word in self._words if not word.capital}
        for place, word in enumerate(self._words):
            if not word.capital or self._known(word) or self._is_eponym_here(place) or self._is_acronym(word):
                continue
            if word.text.casefold() in small or is_brand(word.text):
                continue
            first = last = place
            while place - first < LONGEST_RUN and first > 0 and self._joins(first - 1) and self._may_belong(first - 1):
                first -= 1
            while (
                first > 0 and self._words[first - 1].text.lower() in (*PREFIXES, *TOWN_WORDS) and self._joins(first - 1)
            ):
                first -= 1
            while last - place < LONGEST_RUN and last + 1 < len(self._words) and self._joins(last):
                particle = self._words[last + 1].text.lower() in PREFIXES and self._capital_follows(last + 1)
                if not (particle or self._words[last].text.lower() in PREFIXES or self._may_belong(last + 1)):
                    break
                last += 1
            yield self._words[first].start, self._words[last].end

    def _pairs(self) -> Iterator[tuple[int, int]]:
        """Two names side by side that are words as well: "Grace Young", not "Brown Long" at a line's beginning."""
        for place in range(len(self._words) - 1):
            one, other = self._words[place], self._words[place + 1]
            if one.shouted or not (self._is_given(one) and self._is_given(other) and self._joins(place)):
                continue
            if self._text[one.end : other.start].strip() == "" and not self._begins_sentence(place):
                yield one.start, other.end

    def _with_initials(self) -> Iterator[tuple[int, int]]:
        for place, word in enumerate(self._words[:-1]):
            follower = self._words[place + 1]
            between = self._text[word.end : follower.start]
            behind = _GOES_ON.match(self._text, follower.end) if follower.initial and between == " " else None
            if behind and self._is_given(word) and self._begins_sentence(place):
                yield word.start, follower.end  # "Kiss Z. attended late"
            before = self._text[max(0, word.start - 1) : word.start]
            if (
                not word.initial
                or before in ("/", "°", "%")
                or between not in (". ", ".", ".-")
                or not self._is_given(follower)
            ):
                continue
            if not self._begins_sentence(place):
                yield word.start, follower.end

    def _again(self, strong: Sequence[tuple[int, int]], weak: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """Other places of names that were found, however written; a name that is a word needs its capital."""
        found = {w.text.casefold() for w in words_in(self._words, [*strong, *weak]) if len(w.text) > SHORT}
        titled = {w.text for w in words_in(self._words, strong) if w.capital and len(w.text) >= SHORT} - ROLES
        for place, word in enumerate(self._words):
            strange = word.text.casefold() in found and not self._known(word) and not self._is_eponym_here(place)
            sure = word.text in titled and not (word.shouted or self._begins_sentence(place) or self._has_head(place))
            if strange or sure:
                yield word.start, word.end

    # Words

    def _known(self, word: Word) -> bool:
        """Hyphened words are known unless a part is a name, or no part is known."""
        parts = [part for part in word.parts if len(part) > 1]
        known = [self._lists.knows(part) or (part.isupper() and len(part) <= ACRONYM) for part in parts]
        if len(word.parts) == 1:
            return all(map(self._lists.knows, parts))
        strange = [part for part, is_known in zip(parts, known, strict=True) if not is_known]
        return not strange or (any(known) and not any(map(self._lists.is_name, strange)))

    def _is_stranger(self, word: Word) -> bool:
        """Whether a word behind a name is none: in capitals where the list has it ("Dr Smith MRI")."""
        return not self._may_be_name(word) and word.text.isupper()

    def _may_be_name(self, word: Word) -> bool:
        """Whether a word can be a name where one is expected: it is one, or no word as it is written."""
        if len(word.parts) > 1 and word.capital and not all(part[0].isupper() for part in word.parts):
            return False  # "Real-time"
        return any(self._lists.is_name(part) or not self._lists.has(part) for part in word.parts if len(part) > 1)

    def _is_name(self, word: Word) -> bool:
        """A frequent name that is not an eponym."""
        return any(self._lists.is_name(part) and part.lower() not in self._lists.proper for part in word.parts)

    def _is_acronym(self, word: Word) -> bool:
        """Capitals that are no frequent name, and short capitalised words; in a line of capitals short words."""
        if self._is_name(word):
            return len(word.text) <= SHORT and word.text.isupper()
        if len(word.text) <= SHORT:
            return True
        return all(part.isupper() and len(part) <= ACRONYM for part in word.parts)

    def _is_given(self, word: Word) -> bool:
        return word.capital and not word.text.isupper() and self._is_name(word) and word.text not in ROLES

    def _may_belong(self, place: int) -> bool:
        """Whether a word beside a name belongs to it."""
        word = self._words[place]
        if self._is_initial(place):
            return True
        if not word.capital or word.text in ROLES or word.shouted:
            return False
        return self._may_be_name(word) and not self._is_eponym_here(place)

    def _is_eponym_here(self, place: int) -> bool:
        """Whether the words around an unknown word make it one: "Xyz disease", "foramen of Xyz"."""
        word = self._words[place]
        if place and self._joins(place - 1):
            if self._lists.is_eponym(self._words[place - 1].text) and self._words[place - 1].capital:
                return True
            if self._is_given(self._words[place - 1]):
                return False
        if self._has_head(place):
            return True
        hyphened = len(word.parts) > 1
        return hyphened and any(self._lists.is_eponym(part) for part in word.parts)

    def _has_head(self, place: int) -> bool:
        word = self._words[place]
        before = self._text[max(0, word.start - 40) : word.start]
        return bool(EPONYM_BEHIND.match(self._text, word.end) or EPONYM_BEFORE.search(before))

    def _begins_sentence(self, place: int) -> bool:
        start = self._words[place].start
        window = self._text[max(0, start - 20) : start]
        before = window.rstrip(" \t([\"'")
        return not before or before[-1] in ".!?:\n;" or "\n" in window[len(before) :]

    def _joins(self, place: int) -> bool:
        """Whether nothing but blanks, points of initials or a comma stands between a word and the next."""
        between = self._text[self._words[place].end : self._words[place + 1].start]
        if "." in between and not (self._words[place].initials or len(self._words[place].text) <= SHORT):
            return False
        return bool(_BETWEEN.fullmatch(between))

    def _is_initial(self, place: int) -> bool:
        """A single capital with its point; without one, not the words A and I."""
        word = self._words[place]
        return word.initial and (self._text[word.end : word.end + 1] == "." or word.text not in ("A", "I"))

    # Runs of words

    def _place(self, position: int) -> int | None:
        """The word that begins at a position, behind blanks."""
        found = re.compile(r"\s{0,3}[\"'(]?").match(self._text, position)
        return self._starts.get(found.end()) if found else None

    def _run_end(self, place: int) -> int:
        """Where the name that begins with a word ends."""
        last = place
        while last + 1 < len(self._words) and last - place < LONGEST_RUN - 1:
            word = self._words[last + 1]
            if not self._joins(last):
                break
            if "," in self._text[self._words[last].end : word.start] and not self._may_be_name(word):
                break
            stranger = not word.capital or word.text in ROLES or self._is_stranger(word)
            if stranger and not self._is_particle(last + 1) and not self._is_initial(last + 1):
                break
            last += 1
        return self._words[last].end

    def _is_particle(self, place: int) -> bool:
        return self._words[place].text.casefold() in PARTICLES and self._capital_follows(place)

    def _capital_follows(self, place: int) -> bool:
        return (
            place + 1 < len(self._words)
            and self._joins(place)
            and (self._words[place + 1].capital or self._words[place + 1].text in PARTICLES)
        )

    def _runs_in(self, begin: int, end: int, *, sure: bool) -> Iterator[tuple[int, int]]:
        """Names among the words of a label's value."""
        run: list[Word] = []
        inside = [word for word in self._words if begin <= word.start and word.end <= end]
        for word in [*inside, None]:
            if word is not None and (
                ((word.capital and word.text not in ROLES) or word.initial)
                or (run and word.text.casefold() in PARTICLES)
            ):
                run.append(word)
                continue
            while run and run[-1].text.casefold() in PARTICLES and not run[-1].capital:
                run.pop()
            strange = any(w.initial or self._may_be_name(w) for w in run)
            if run and (strange or (sure and len(run) > 1 and all(not w.text.isupper() for w in run))):
                yield run[0].start, run[-1].end
            run = []

    def _small_name(self, begin: int, end: int, *, sure: bool) -> tuple[int, int] | None:
        """A name in small letters: one to five words that are names or unknown; where one must stand, any."""
        inside = [word for word in self._words if begin <= word.start and word.end <= end]
        if not 0 < len(inside) <= LONGEST_RUN - 1 or any(map(str.isdigit, self._text[begin:end])):
            return None
        if not sure and not all(w.initial or self._may_be_name(w) for w in inside):
            return None
        return inside[0].start, inside[-1].end
