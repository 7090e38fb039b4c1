"""The words of a text with their places; which of them are names is left to `person_names`."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SHORT = 3  # letters: a shorter capitalised word is an abbreviation unless it is a frequent name
SHOUTED = 0.3  # share of small letters below which a line's capitals say nothing
_WORD = re.compile(r"(?<![\w@])[^\W\d_]+(?:['’`´\u2010\u2011-][^\W\d_]+)*(?![\w@])")


@dataclass(frozen=True, slots=True)
class Word:
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


def words_of(text: str) -> Iterator[Word]:
    begin = 0
    for line in text.splitlines(keepends=True):
        letters = [letter for letter in line if letter.isalpha()]
        shouted = len(letters) > 8 and sum(letter.islower() for letter in letters) < SHOUTED * len(letters)
        for match in _WORD.finditer(line):
            yield Word(begin + match.start(), begin + match.end(), match.group(), shouted)
        begin += len(line)


def is_brand(word: str) -> bool:
    """A capital inside, as products have it; McDonald and O'Brien have it too."""
    inner = re.search(
        r"[a-zß-ÿ][A-Z]|[A-Z]{2,}['’]?[a-z]",
        re.sub(r"^(?:Mc|Mac|O['’]|D['’]|De|Di|La|Le|Van|Fitz|St)(?=[A-Z])", "", word),
    )
    return inner is not None and "-" not in word


def words_in(words: Sequence[Word], spans: Sequence[tuple[int, int]]) -> Iterator[Word]:
    """The words that lie in one of the spans."""
    ends = [word.end for word in words]
    for start, end in sorted(set(spans)):
        for word in words[bisect_right(ends, start) :]:
            if word.end > end:
                break
            if word.start >= start:
                yield word


def merged(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order, those that touch or are parted by a comma, a caret or a blank as one."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if found and (start <= found[-1][1] or re.fullmatch(r"[ ,.^]{0,3}", text[found[-1][1] : start])):
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found
