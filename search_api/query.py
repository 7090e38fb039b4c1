"""What the words of a query mean: which findings are asked for, which are asked to be absent, and in which spellings.

A query is read into concepts ("infarct without haemorrhage" has two), each with the texts to encode and the groups of
words to look up. Everything that was done to the user's words is said in `expanded` and can be switched off.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from search_api.asks import Asks, spans_of
from search_api.spelling import Lexicon, Term, correct, lexicon, words_of
from search_api.word_groups import WordGroup, both_numbers, place_of, term_forms

LONGEST_TEXT = 2_000  # characters
# Above these a text is a passage of a report rather than a list of findings, and is not taken apart.
_PASSAGE_WORDS, _PASSAGE_CONCEPTS = 60, 6
# A word that only accompanies "normal", or a number, says less than the name of a finding.
_ACCOMPANYING = 0.25

_TOKEN = re.compile(r"[^\W_]+|[,;:]|[.!?](?=\s|$)|^\?")
_NORMAL = frozenset({"normal", "unremarkable", "healthy", "normality"})
_ABNORMALITY = frozenset(
    {"abnormality", "abnormalities", "abnormal", "lesion", "lesions", "pathology", "disease", "finding", "findings"}
) | {"focal", "intracranial", "significant", "acute", "structural", "documented", "any", "brain"}
# "No enhancing lesion" does not deny a plaque.
_TOO_GENERAL = frozenset(
    {"lesion", "lesions", "mass", "masses", "abnormality", "change", "changes", "collection", "signal"}
)

_SAYS_LITTLE = frozenset({"left", "right", "lt", "rt", "l", "r", "both", "bilateral", "side", "size", "near"}) | {
    *("mm", "cm", "ml", "brain", "head", "mr", "mri", "scan")
}

Side = Literal["left", "right"]
_SIDES: dict[str, Side] = {"left": "left", "right": "right", "lt": "left", "rt": "right", "l": "left", "r": "right"}
_BOTH = ("bilateral", "bilaterally", "both")
_OPPOSITE: dict[Side, Side] = {"left": "right", "right": "left"}
# Where something other than presence or absence is asked for: the words that lead the text, and what is said of it.
_ASKED_WITH = {
    Asks.UNCERTAIN: ("possible", "asks for what reports hold to be possible"),
    Asks.HISTORICAL: ("history of", "asks for what was so before"),
    Asks.FAMILY: ("family history of", "asks for what relatives have"),
}

# What a report says of an examination without a finding.
_NOTHING_ABNORMAL = (
    ("no", "abnormality"),
    ("no", "focal", "abnormality"),
    ("no", "intracranial", "abnormality"),
    ("no", "significant", "abnormality"),
    ("no", "acute", "abnormality"),
    ("no", "lesion"),
    ("no", "focal", "lesion"),
)
_NORMAL_STUDY = (("normal", "study"), ("normal", "examination"), ("normal", "scan"), ("normal", "brain"))


class QueryError(ValueError):
    """A question that cannot be asked; `code` is for programs, `hint` says what to do instead."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Concept:
    """One thing that is asked for: `texts` are its spellings, to be encoded and averaged; `side` where one is named."""

    texts: tuple[str, ...]
    groups: tuple[WordGroup, ...]
    asks: Asks
    side: Side | None = None

    def opposed(self, words: Collection[str]) -> bool:
        """Whether words place a finding on the other side only."""
        if self.side is None:
            return False
        return _OPPOSITE[self.side] in words and not {self.side, *_BOTH} & set(words)


@dataclass(frozen=True, slots=True)
class Query:
    text: str
    concepts: tuple[Concept, ...]
    expanded: tuple[str, ...]

    @property
    def vague(self) -> bool:
        """Whether it names nothing that a case could be a good match for: a side, a size, "brain"."""
        words = {word for concept in self.concepts for group in concept.groups for word in group.forms[0]}
        return all(word.isdigit() or word in _SAYS_LITTLE for word in words)


def understand(
    text: str, vocabulary: Collection[str] = frozenset(), expand: bool = True, words: Lexicon | None = None
) -> Query:
    """Read a query by a lexicon, the shipped one if none is given; misspellings go to words of `vocabulary` as well.

    Raises
    ------
    QueryError
        `empty_query`, `no_words` (punctuation or stop words only), `too_long`

    >>> query = understand("infarct without haemorrhage")
    >>> [(concept.texts[0], str(concept.asks)) for concept in query.concepts]
    [('infarct', 'present'), ('no haemorrhage', 'absent')]
    """
    if not isinstance(text, str):
        raise QueryError("bad_text", f"Expected words as query, got {type(text).__name__}", "Pass a string.")
    if len(text) > LONGEST_TEXT:
        raise QueryError(
            "too_long",
            f"Expected a query of at most {LONGEST_TEXT} characters, got {len(text)}",
            "Shorten the text to the findings that matter.",
        )
    clean = clean_text(text)
    if not clean:
        raise QueryError("empty_query", "The query is empty", 'Name a finding, such as "hydrocephalus".')
    reader = _Reader(words or lexicon(), vocabulary)
    concepts = reader.read(clean) if expand else reader.read_literally(clean)
    if not concepts:
        raise QueryError(
            "no_words",
            "The query holds no word that can be searched for",
            'Name a finding, such as "hydrocephalus" or "no midline shift".',
        )
    return Query(clean, concepts, tuple(dict.fromkeys(reader.expanded)))


def clean_text(text: str) -> str:
    """NFKC, with control, format, surrogate and private characters taken out and white space made single."""
    composed = unicodedata.normalize("NFKC", text.encode("utf-8", "ignore").decode("utf-8"))
    spaced = "".join(" " if character.isspace() else character for character in composed)
    return " ".join("".join(c for c in spaced if unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co"}).split())


class _Reader:
    """Reads one query and notes what was done to its words."""

    def __init__(self, words: Lexicon, vocabulary: Collection[str]) -> None:
        self.lexicon = words
        self.vocabulary = vocabulary
        self.expanded: list[str] = []

    def read_literally(self, text: str) -> tuple[Concept, ...]:
        groups = tuple(WordGroup(((word,),)) for word in self._content(words_of(text)))
        return (Concept((text,), groups, Asks.ANY),) if groups else ()

    def read(self, text: str) -> tuple[Concept, ...]:
        tokens = tuple(_TOKEN.findall(self._without_filler(text.casefold())))
        if sum(token.isalnum() for token in tokens) > _PASSAGE_WORDS:
            return self._passage(text, tokens)
        tokens = self._denials(tuple(self._corrected(tokens)))
        spans = [(words, asks) for words, asks in spans_of(tokens) if self._content(words)]
        if len(spans) > _PASSAGE_CONCEPTS:
            return self._passage(text, tokens)
        return tuple(self._concept(words, asks) for words, asks in spans)

    def _passage(self, text: str, tokens: tuple[str, ...]) -> tuple[Concept, ...]:
        self.expanded.append("read as a passage of a report, not taken apart")
        groups = tuple(WordGroup(((word,),)) for word in dict.fromkeys(self._content(tokens)))
        return (Concept((text,), groups, Asks.ANY),) if groups else ()

    def _content(self, words: tuple[str, ...]) -> tuple[str, ...]:
        stop = self.lexicon.stop_words | {"or", "no", "not", "without"}
        return tuple(word for word in words if word.isalnum() and word not in stop)

    def _without_filler(self, text: str) -> str:
        """Take "show me cases of" off the front, as often as there is something to take."""
        text = text.strip()
        while rest := next((text[len(lead) :] for lead in self.lexicon.fillers if text.startswith(lead + " ")), ""):
            text = rest.strip()
        return text

    def _corrected(self, tokens: tuple[str, ...]) -> list[str]:
        fine = (
            self.lexicon.known
            | self.lexicon.ordinary
            | self.lexicon.stop_words
            | self.lexicon.normal_company
            | _NORMAL
            | _ABNORMALITY
        )
        shorts = {short.casefold() for term in self.lexicon.terms for short in term.short}
        targets: frozenset[str] | None = None
        corrected: list[str] = []
        for token in tokens:
            familiar = token in fine or token in shorts or not token.isalpha()
            if familiar or any(form in self.vocabulary for form in (token, *self.lexicon.twins(token))):
                corrected.append(token)
                continue
            targets = frozenset(self.vocabulary) | self.lexicon.known if targets is None else targets
            better = correct(token, targets)
            if better is not None:
                self.expanded.append(f'"{token}" read as "{better}"')
            corrected.append(better or token)
        return corrected

    def _denials(self, tokens: tuple[str, ...]) -> tuple[str, ...]:
        """Put "no hydrocephalus" for "the ventricles are not dilated"."""
        for phrase, term in self.lexicon.normal:
            if "not" in phrase and (place := place_of(phrase, tokens)) is not None:
                return (*tokens[:place], "no", *term.names[0], *tokens[place + len(phrase) :])
        return tokens

    def _concept(self, words: tuple[str, ...], asks: Asks) -> Concept:
        normal = _asks_normal(words)
        if asks is Asks.ABSENT and normal:
            self.expanded.append("asks for what is not normal")
            return Concept(
                ("abnormal",), (WordGroup((("abnormal",), ("abnormality",), ("abnormalities",))),), Asks.PRESENT
            )
        groups, texts = self._groups(words, normal, narrower=asks is not Asks.ABSENT)
        side = self._side(words)
        if asks is Asks.ABSENT:
            texts = tuple(f"no {text}" for text in texts)
            if set(self._content(words)) <= _ABNORMALITY:
                self.expanded.append("asks for a normal examination")
                said = ("no", *self._content(words))
                return Concept(texts, (WordGroup((said, *_NOTHING_ABNORMAL, *_NORMAL_STUDY)),), Asks.NORMAL)
            self.expanded.append(f"asks for the absence of: {' '.join(words)}")
            return Concept(texts, groups, Asks.ABSENT, side)
        if asks in _ASKED_WITH and not normal:
            lead, meaning = _ASKED_WITH[asks]
            self.expanded.append(f"{meaning}: {' '.join(words)}")
            return Concept(tuple(f"{lead} {text}" for text in texts), groups, asks, side)
        if normal:
            alone = set(self._content(words)) <= self.lexicon.normal_company | _NORMAL
            self.expanded.append("asks for a normal examination" if alone else f"asks for normality: {' '.join(words)}")
            if alone:
                groups = tuple(_with_nothing_abnormal(group) for group in groups)
        return Concept(texts, groups, Asks.NORMAL if normal else Asks.PRESENT, side)

    def _side(self, words: tuple[str, ...]) -> Side | None:
        sides = {_SIDES[word] for word in words if word in _SIDES}
        if len(sides) != 1:
            return None
        side = sides.pop()
        self.expanded.append(f"side: {side}; bilateral counts too, {_OPPOSITE[side]} counts half")
        return side

    def _groups(
        self, words: tuple[str, ...], normal: bool, narrower: bool
    ) -> tuple[tuple[WordGroup, ...], tuple[str, ...]]:
        """The word groups of a concept, and its texts in the spellings that there are.

        "No tumour" is not said by "no meningioma": with `narrower` False the kinds of a thing do not stand for it.
        """
        groups: list[WordGroup] = []
        spelled: list[str] = []
        position = 0
        while position < len(words):
            match = self.lexicon.longest_term(words[position:])
            length, term = match if match is not None else (1, None)
            name = words[position : position + length]
            position += length
            if term is None or (normal and name[0] in self.lexicon.normal_company):
                spelled.append(name[0])
                if self._content(name):
                    slight = name[0].isdigit() or name[0] in self.lexicon.normal_company
                    forms = both_numbers((name, *((twin,) for twin in self.lexicon.twins(name[0]))))
                    if name[0] in _SIDES:
                        forms = (name, (_SIDES[name[0]],), *((both,) for both in _BOTH))
                    groups.append(WordGroup(forms, _ACCOMPANYING if slight else 1.0))
                    self._note_twins(name[0])
            else:
                spelled.append(self._spelled(name, term, narrower))
                forms = term_forms(name, term, narrower)
                groups.append(self._named(name, term, forms))
        text = " ".join(spelled)
        american = text
        for british_part, american_part in self.lexicon.pairs:
            american = american.replace(british_part, american_part)
        british = " ".join((self.lexicon.twins(word) or (word,))[0] for word in american.split())
        return tuple(groups), tuple(dict.fromkeys((british, american)))

    def _named(self, name: tuple[str, ...], term: Term, forms: tuple[tuple[str, ...], ...]) -> WordGroup:
        """The group of a term, denied by its own forms and by those of its last word where that is a term as well."""
        own, kind = term_forms(name, term, narrower=False), term.names[0][-1:]
        if not _TOO_GENERAL.isdisjoint(kind):
            return WordGroup(forms, denied_by=own if len(term.names[0]) > 1 else (), normal=term.normal)
        broad = self.lexicon.longest_term(kind)
        denied_by = (*own, *(term_forms(kind, broad[1], narrower=False) if broad else ()))
        normal = (*term.normal, *(broad[1].normal if broad else ()))
        return WordGroup(forms, denied_by=tuple(dict.fromkeys(denied_by)), normal=tuple(dict.fromkeys(normal)))

    def _spelled(self, name: tuple[str, ...], term: Term, narrower: bool) -> str:
        written, full = " ".join(name), " ".join(term.names[0])
        if name in term.names:
            others = [" ".join(other) for other in term.names if other != name] + list(term.short)
            others += [" ".join(kind) for kind in term.narrower if narrower]
            if others:
                self.expanded.append(f'"{written}" also as {", ".join(others)}')
            return written
        self.expanded.append(f'"{written.upper()}" read as "{full}"')
        return full

    def _note_twins(self, word: str) -> None:
        if twins := self.lexicon.twins(word):
            self.expanded.append(f'"{word}" also as {", ".join(twins)}')


def _with_nothing_abnormal(group: WordGroup) -> WordGroup:
    """The word "normal" also stands in what "no abnormality" says."""
    if not any(word in _NORMAL for form in group.forms for word in form):
        return group
    return WordGroup((*group.forms, *_NOTHING_ABNORMAL), group.weight)


def _asks_normal(words: tuple[str, ...]) -> bool:
    return any(word in _NORMAL and words[place + 1 : place + 2] != ("pressure",) for place, word in enumerate(words))
