"""Names of people in report text: by what stands around them, and as capitalised words that nobody writes otherwise.

What stands around a name (a title, a label, "discussed with", letters behind it) is believed before the word lists.
Without any of it a capitalised word is a name when neither the language nor the field knows it, and no eponym's head
stands beside it. Identifiers with a shape are left to `identifier_patterns`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from indexer.known_words import KnownWords, known_words
from indexer.name_contexts import (
    CREDENTIALS,
    EPONYM_BEFORE,
    EPONYM_BEHIND,
    LABEL,
    MENTION,
    PARTICLES,
    ROLES,
    SHOUTED_TITLE,
    TITLE,
)

LONGEST_RUN = 6  # words of one name: "Dr Maria del Carmen Ortega Ruiz"
SHORT = 3  # letters: a shorter capitalised word is an abbreviation unless it is a frequent name
ACRONYM = 6  # letters: a longer word in capitals that nobody knows is a name
SHOUTED = 0.3  # share of small letters below which a line's capitals say nothing
_WORD = re.compile(r"(?<![\w@])[^\W\d_]+(?:['’`´\u2010\u2011-][^\W\d_]+)*(?![\w@])")
_BETWEEN = re.compile(r"\.?[^\S\n]{0,3}|[.,]?[^\S\n]|\^|,[^\S\n]?|[^\S\n]?&[^\S\n]?")


@dataclass(frozen=True, slots=True)
class _Word:
    """A word of letters, hyphens and apostrophes; `shouted` where its whole line is in capitals."""

    start: int
    end: int
    text: str
    shouted: bool

    @property
    def initial(self) -> bool:
        return len(self.text) == 1 and self.text.isupper()

    @property
    def initials(self) -> bool:
        """One capital, or two or three of people who leave out the points."""
        return self.text.isupper() and len(self.text) <= SHORT and "-" not in self.text

    @property
    def capital(self) -> bool:
        return self.text[0].isupper()

    @property
    def parts(self) -> list[str]:
        return [part for part in re.split(r"[\u2010\u2011-]", self.text) if part]


def names_of_people(text: str) -> list[tuple[int, int]]:
    """Where names stand, in order and without overlaps."""
    return _Reading(text).names()


class _Reading:
    """One text: its words, and what the lists say of each."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lists: KnownWords = known_words()
        self._words = list(_words(text))
        self._starts = {word.start: place for place, word in enumerate(self._words)}

    def names(self) -> list[tuple[int, int]]:
        strong = [*self._titled(), *self._labelled(), *self._mentioned(), *self._with_letters()]
        weak = [*self._unknown(), *self._pairs(), *self._with_initials()]
        return _merged(self._text, [*strong, *weak, *self._again(strong, weak)])

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
                    named = word.text not in ROLES
                else:
                    named = not self._known(word)
                if named:
                    yield match.start(), self._run_end(place)

    def _labelled(self) -> Iterator[tuple[int, int]]:
        for match in LABEL.finditer(self._text):
            begin, end = match.span("it")
            yield from self._runs_in(begin, end, sure=True)
            if match["person"] and (small := self._small_name(begin, end)):
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
            if self._words[place].capital and any(self._may_be_name(w) for w in run if not w.initial):
                yield self._words[place].start, end

    def _with_letters(self) -> Iterator[tuple[int, int]]:
        """`J. Smith, FRCR`: the run of names before the letters of a degree."""
        for match in CREDENTIALS.finditer(self._text):
            behind = [place for place, word in enumerate(self._words) if word.end == match.start()]
            place = behind[0] if behind else None
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
            if word.text.casefold() in small or _is_brand(word.text):
                continue
            first = last = place
            while first > 0 and self._joins(first - 1) and self._may_belong(first - 1):
                first -= 1
            while last + 1 < len(self._words) and self._joins(last) and self._may_belong(last + 1):
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
            before = self._text[max(0, word.start - 1) : word.start]
            if (
                not word.initial
                or before in "/°%" * bool(before)
                or between not in (". ", ".", ".-")
                or not self._is_given(follower)
            ):
                continue
            if not self._begins_sentence(place):
                yield word.start, follower.end

    def _again(self, strong: Sequence[tuple[int, int]], weak: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """Other places of names that were found, however written; a name that is a word needs its capital."""
        found = {w.text.casefold() for w in self._words if _inside(w, [*strong, *weak]) and len(w.text) > SHORT}
        titled = {w.text for w in self._words if _inside(w, strong) and self._is_name(w) and len(w.text) > SHORT}
        for place, word in enumerate(self._words):
            if word.text.casefold() in found and not self._known(word) and not self._is_eponym_here(place):
                yield word.start, word.end
            elif word.text in titled and not word.shouted and not self._begins_sentence(place):
                if not self._is_eponym_here(place):
                    yield word.start, word.end

    # Words

    def _known(self, word: _Word) -> bool:
        """Hyphened words are known unless a part is a name, or no part is known."""
        parts = [part for part in word.parts if len(part) > 1]
        known = [self._lists.knows(part) or (part.isupper() and len(part) <= ACRONYM) for part in parts]
        if len(word.parts) == 1:
            return all(map(self._lists.knows, parts))
        strange = [part for part, is_known in zip(parts, known, strict=True) if not is_known]
        return not strange or (any(known) and not any(map(self._lists.is_name, strange)))

    def _is_stranger(self, word: _Word) -> bool:
        """Whether a word behind a name is none: in capitals where the list has it ("Dr Smith MRI")."""
        return not self._may_be_name(word) and word.text.isupper()

    def _may_be_name(self, word: _Word) -> bool:
        """Whether a word can be a name where one is expected: it is one, or no word as it is written."""
        if len(word.parts) > 1 and word.capital and not all(part[0].isupper() for part in word.parts):
            return False  # "Real-time"
        return any(self._lists.is_name(part) or not self._lists.has(part) for part in word.parts if len(part) > 1)

    def _is_name(self, word: _Word) -> bool:
        """A frequent name that is not an eponym."""
        return any(self._lists.is_name(part) and part.lower() not in self._lists.proper for part in word.parts)

    def _is_acronym(self, word: _Word) -> bool:
        """Capitals that are no frequent name, and short capitalised words; in a line of capitals short words."""
        if self._is_name(word):
            return len(word.text) <= SHORT and word.text.isupper()
        if len(word.text) <= SHORT:
            return True
        return all(part.isupper() and len(part) <= ACRONYM for part in word.parts)

    def _is_given(self, word: _Word) -> bool:
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
        before = self._text[: self._words[place].start].rstrip(" \t([\"'")
        return not before or before[-1] in ".!?:\n;" or "\n" in self._text[len(before) : self._words[place].start]

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
            particle = word.text.casefold() in PARTICLES and self._capital_follows(last + 1)
            if not particle and not self._is_initial(last + 1):
                if not word.capital or word.text in ROLES or self._is_stranger(word):
                    break
            last += 1
        return self._words[last].end

    def _capital_follows(self, place: int) -> bool:
        return (
            place + 1 < len(self._words)
            and self._joins(place)
            and (self._words[place + 1].capital or self._words[place + 1].text in PARTICLES)
        )

    def _runs_in(self, begin: int, end: int, *, sure: bool) -> Iterator[tuple[int, int]]:
        """Names among the words of a label's value."""
        run: list[_Word] = []
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

    def _small_name(self, begin: int, end: int) -> tuple[int, int] | None:
        """A name in small letters: one to four words that are names or unknown, and nothing else."""
        inside = [word for word in self._words if begin <= word.start and word.end <= end]
        if not 0 < len(inside) <= 4 or not all(w.initial or self._may_be_name(w) for w in inside):
            return None
        return inside[0].start, inside[-1].end


def _words(text: str) -> Iterator[_Word]:
    begin = 0
    for line in text.splitlines(keepends=True):
        letters = [letter for letter in line if letter.isalpha()]
        shouted = len(letters) > 8 and sum(letter.islower() for letter in letters) < SHOUTED * len(letters)
        for match in _WORD.finditer(line):
            yield _Word(begin + match.start(), begin + match.end(), match.group(), shouted)
        begin += len(line)


def _is_brand(word: str) -> bool:
    """A capital inside, as products have it; McDonald and O'Brien have it too."""
    inner = re.search(
        r"[a-zß-ÿ][A-Z]|[A-Z]{2,}['’]?[a-z]",
        re.sub(r"^(?:Mc|Mac|O['’]|D['’]|De|Di|La|Le|Van|Fitz|St)(?=[A-Z])", "", word),
    )
    return inner is not None and "-" not in word


def _inside(word: _Word, spans: Sequence[tuple[int, int]]) -> bool:
    return any(start <= word.start and word.end <= end for start, end in spans)


def _merged(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order, those that touch or are parted by a comma, a caret or a blank as one."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if found and (start <= found[-1][1] or re.fullmatch(r"[ ,.^]{0,3}", text[found[-1][1] : start])):
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found
