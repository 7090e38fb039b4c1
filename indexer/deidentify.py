"""Taking identifiers out of what ingest stores: report text, diagnosis, provenance become free of names and numbers.

What is found becomes `[name]`, `[date]` and so on. Dates are not shifted: a shifted date is a false one, and "compared
with [date]" reads as well. A second, simpler look at what is left refuses an examination that may still hold an
identifier, and one whose text is not in English. Finding identifiers is left to `identifier_patterns` and
`person_names`; what was measured, and which libraries were tried, stands in docs/deidentification.md.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import replace

from indexer.cases import Draft, Report, Sentence
from indexer.identifier_patterns import PLACEHOLDER, Kind, Span, shaped_identifiers
from indexer.known_words import known_words
from indexer.language import is_foreign
from indexer.person_names import names_of_people
from indexer.report_text import read_again

RULES = "1"  # by which a text was de-identified; goes up with every change of what is taken out
CODE = "not_deidentified"
# What is kept of a source: how its texts were treated.
BY_RULES = f"de-identified at ingest, rules {RULES}"
AS_GIVEN = "stored as given, said to be de-identified"
SHORTEST_WORD, SHORTEST_NUMBER = 3, 4  # of a known identifier: "A" and "12" stand in every report
OLDEST_SHOWN = 89.0  # years

# Of spans that are alike: what has a shape of its own is believed first.
_RANK = (Kind.DATE, Kind.NUMBER, Kind.CONTACT, Kind.PLACE, Kind.AGE, Kind.NAME)
# A number behind a name that counts nothing: "Asnyka 97/10", not "Kowalski 3 days later".
_HOUSE_NUMBER = re.compile(
    r",?[ ]\d{1,4}[A-Za-z]?(?:[-/]\d+)*(?![\w.]*\d)(?=[ ]?[.,;)]|[ ]?$|[ ]?\n|[ ][A-Z])", re.MULTILINE
)
# And behind a place or a name, the town's.
_POST_CODE = re.compile(
    r",?[ ](?:\d{3}[ ]\d\d|\d{4}-\d{3}|\d{5}(?:-\d{4})?|[A-Z]{1,2}-\d{4,5}|(?<=,[ ])\d{4})(?=[.,;\n]|[ ]?$)",
    re.MULTILINE,
)
_OTHER_SCRIPT = re.compile(
    r"[\u0400-\u052f\u0590-\u06ff\u0900-\u0dff\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+"
)
# The second look: nothing that the rules know of, only what no report needs.
_LEFT_OVER = (
    re.compile(r"\w@\w"),
    re.compile(r"(?i)https?://\w|www\.\w"),
    re.compile(r"(?<![\d.])\d{8,}"),
    re.compile(r"(?<!\d)\(?\d{3}\)?[-. ]\d{3}[-. ]\d{4}(?!\d)"),
    re.compile(r"(?<!\d)(?:19|20)\d\d[-/](?:0[1-9]|1[0-2])[-/](?:0[1-9]|[12]\d|3[01])(?!\d)"),
    re.compile(r"(?<![\d./-])(?:0?[1-9]|[12]\d|3[01])/(?:0?[1-9]|1[0-2])/(?:19|20)\d\d(?!\d)"),
    re.compile(r"(?i)\b(?:mrn|nhs|ssn|dob|accession)\b[^\n\[\]]{0,20}\d{3}"),
    re.compile(r"\b(?:Dr|Mr|Mrs|Prof)\.?[ \t]+[A-Z][a-z]+\^?"),
    re.compile(r"\w\^\w"),
)


class NotDeidentified(ValueError):
    """Text that may still tell who it is of; the message never holds any of it."""

    code = CODE


def deidentified(draft: Draft) -> Draft:
    """An examination whose texts hold no identifier; what its source knows of it (`identifiers`) goes as well.

    Raises
    ------
    NotDeidentified
        when an identifier may be left, or the text is not in English
    """
    known = _Known(draft.identifiers)
    report = draft.report and _report_without(draft.report, known)
    diagnosis = _scrubbed(draft.diagnosis, known) if draft.diagnosis else draft.diagnosis
    age, notes = draft.age, draft.notes
    if age is not None and age > OLDEST_SHOWN:
        age, notes = (
            OLDEST_SHOWN + 1,
            (*notes, f"Its age is above {OLDEST_SHOWN:g}; it is kept as {OLDEST_SHOWN + 1:g}."),
        )
    return replace(draft, report=report, diagnosis=diagnosis, age=age, notes=notes, identifiers=())


def without_identifiers(text: str, identifiers: Iterable[str] = ()) -> str:
    """A text with a placeholder for each identifier, and for each of the known ones.

    >>> without_identifiers("Seen by Dr. Smith on 12/03/2019: a mass of 12 x 9 mm.")
    'Seen by [name] on [date]: a mass of 12 x 9 mm.'
    """
    return _without(text, _Known(identifiers))


def identifiers_in(text: str, identifiers: Iterable[str] = ()) -> list[Span]:
    """Where identifiers stand in a text, in order."""
    return _spans(text, _Known(identifiers))


def names_something(text: str) -> bool:
    """Whether the name of a file or folder may tell of a person: a name, a strange word, a date, or a long number."""
    words = re.sub(r"[_.]+", " ", text)
    if any(True for _ in shaped_identifiers(words)) or re.search(r"\d{6,}", words):
        return True
    lists = known_words()
    return any(
        not lists.knows(word) and (len(word) > SHORTEST_WORD or lists.is_name(word))
        for word in re.findall(r"[^\W\d_]{3,}", words)
    )


class _Known:
    """Identifiers that the source gives: whole ones in any case, and the parts of names that are no common words."""

    def __init__(self, identifiers: Iterable[str]) -> None:
        wholes = {" ".join(one.split()) for one in identifiers}
        # "Stone, Penny" is Penny Stone as well.
        wholes |= {f"{first} {last}" for last, comma, first in (one.partition(", ") for one in wholes) if comma}
        lists = known_words()
        tokens = {one for one in wholes if _tells(one) and not all(map(lists.knows, re.findall(r"[^\W\d_]+", one)))}
        tokens |= {
            one for one in wholes if _tells(one) and (len(one.split()) > 1 or "^" in one or any(map(str.isdigit, one)))
        }
        for whole in wholes:
            for part in re.split(r"[\W_]+", whole):
                if (part.isdigit() and len(part) >= SHORTEST_NUMBER) or (
                    len(part) >= SHORTEST_WORD and not part.isdigit() and not lists.knows(part)
                ):
                    tokens.add(part)
        ordered = sorted(tokens, key=len, reverse=True)
        inner = "|".join(r"[\s,^_]+".join(map(re.escape, re.split(r"[\s,^_]+", token))) for token in ordered)
        self._pattern = re.compile(rf"(?<![^\W_])(?:{inner})(?![^\W_])", re.IGNORECASE) if ordered else None
        plain = "|".join(re.escape(_folded(token)) for token in ordered)
        self._folded = re.compile(rf"(?<![^\W_])(?:{plain})(?![^\W_])") if ordered else None

    def spans(self, text: str) -> list[Span]:
        if self._pattern is None:
            return []
        return [
            Span(*match.span(), Kind.NUMBER if any(map(str.isdigit, match.group())) else Kind.NAME)
            for match in self._pattern.finditer(text)
        ]

    def left_in(self, text: str) -> bool:
        return self._folded is not None and self._folded.search(_folded(text)) is not None


def _report_without(report: Report, known: _Known) -> Report:
    sections = tuple((section, _scrubbed(words, known)) for section, words in report.sections)
    text = _scrubbed(report.text, known)
    _check_language(text)
    sentences: tuple[Sentence, ...] = report.sentences
    provenance = _scrubbed(report.provenance, known) if report.provenance else ""
    if (text, sections) == (report.text, report.sections):
        return replace(report, provenance=provenance)
    return read_again(Report(text, sections, sentences, provenance))


def _scrubbed(text: str, known: _Known) -> str:
    """Without identifiers, and looked at again. Raises NotDeidentified."""
    found = _without(text, known)
    bare = PLACEHOLDER.sub(" ", found)
    if known.left_in(bare):
        raise NotDeidentified("An identifier that the table gives is still in its text; nothing of it was stored.")
    if any(pattern.search(bare) for pattern in _LEFT_OVER):
        raise NotDeidentified("What may be an identifier is still in its text; nothing of it was stored.")
    return found


def _without(text: str, known: _Known) -> str:
    pieces, done = [], 0
    for span in _spans(text, known):
        pieces += [text[done : span.start], f"[{span.kind}]"]
        done = span.end
    return "".join([*pieces, text[done:]])


def _spans(text: str, known: _Known) -> list[Span]:
    """What goes, in order and without overlaps; placeholders that are there already stay."""
    spans = list(shaped_identifiers(text))
    names = names_of_people(text)
    spans += [Span(start, end, Kind.NAME) for start, end in names]
    spans += [place for start, end in names if (place := _house_at(text, start, end))]
    spans += [
        Span(span.end, code.end(), Kind.PLACE)
        for span in spans
        if span.kind not in (Kind.DATE, Kind.NUMBER) and (code := _POST_CODE.match(text, span.end))
    ]
    spans += [Span(*match.span(), Kind.NAME) for match in _OTHER_SCRIPT.finditer(text)]
    spans += known.spans(text)
    kept = [place.span() for place in PLACEHOLDER.finditer(text)]
    return _joined(one for one in spans if not any(start < one.end and one.start < end for start, end in kept))


def _house_at(text: str, start: int, end: int) -> Span | None:
    """The address that a strange name with a number beside it is: "289 Diane Spurs", "Asnyka 97/10"."""
    before = re.search(r"(?<![\d.,:;=/-])\d{1,5}[A-Za-z]?(?:[-/]\d+)*,?[ ]$", text[max(0, start - 14) : start])
    behind = _HOUSE_NUMBER.match(text, end)
    if before and not re.match(r"(?:19|20)\d\d\b", before.group()):
        way = re.compile(r"[ ][A-Z][a-z]+\b(?:[ .,]+(?:Apt|Suite|Flat|Unit)\.?[ ]?\w+)?").match(text, end)
        if way or re.match(r",|[ ]?(?:\n|$)", text[end:]):
            return Span(start - len(before.group()), way.end() if way else end, Kind.PLACE)
    return Span(start, behind.end(), Kind.PLACE) if behind else None


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Overlapping spans as one, of the kind of the longest; those that touch and are of one kind too."""
    found: list[Span] = []
    longest = 0
    for span in sorted(spans, key=lambda one: (one.start, -one.end, _RANK.index(one.kind))):
        if found and (span.start < found[-1].end or (span.start == found[-1].end and span.kind is found[-1].kind)):
            kind = span.kind if span.end - span.start > longest else found[-1].kind
            if {span.kind, found[-1].kind} == {Kind.NAME, Kind.PLACE}:
                kind = Kind.PLACE
            longest = max(longest, span.end - span.start)
            found[-1] = Span(found[-1].start, max(found[-1].end, span.end), kind)
        else:
            found.append(span)
            longest = span.end - span.start
    return found


def _check_language(text: str) -> None:
    """Names can be told in English only: elsewhere every noun is a stranger. Raises NotDeidentified."""
    if is_foreign(text):
        raise NotDeidentified("Its report does not seem to be in English, so that names in it cannot be told.")


def _tells(identifier: str) -> bool:
    """Whether an identifier is long enough to be looked for."""
    letters = sum(map(str.isalpha, identifier))
    digits = sum(map(str.isdigit, identifier))
    return (
        letters >= SHORTEST_WORD or digits >= SHORTEST_NUMBER or (letters > 0 and letters + digits >= SHORTEST_NUMBER)
    )


def _folded(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(letter for letter in decomposed if not unicodedata.combining(letter)).split())
