"""Free text to a `Report`: cleaned, cut into sections and sentences, each clause with its assertion.

`clean` is the one gate that all report text passes before anything else sees it; de-identification belongs there.
What a clause says is left to `assertions`, which words name which finding to `finding_words`.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import replace
from html.parser import HTMLParser

from indexer.assertions import judge
from indexer.cases import Report, Section, Sentence

LONGEST_REPORT = 100_000  # characters; the longest radiology reports have some 10,000
MOST_STRANGE = 0.1  # share of control characters and bytes of no encoding above which a file is no text
LONGEST_SENTENCE = 1_000  # characters; longer ones are cut at a blank

_HEADERS: tuple[tuple[Section, str], ...] = (
    (Section.FINDINGS, r"findings?|observations?|results?|description|report|evaluation|answer"),
    (
        Section.IMPRESSION,
        r"impressions?(?:\s*/\s*plan)?|conclusions?|opinion|summary|assessment|interpretation|diagnosis|comments?|addendum",
    ),
    (
        Section.INDICATION,
        r"(?:clinical\s+)?(?:indications?|history|information|details|question)|reason\s+for\s+(?:the\s+)?"
        r"(?:exam|examination|study|scan)|clinical(?:\s+data)?",
    ),
    (Section.TECHNIQUE, r"techniques?|protocol|procedure|sequences(?:\s+acquired)?|method"),
    (Section.COMPARISON, r"comparisons?|prior(?:\s+(?:studies|imaging))?"),
)
_NAMES = "|".join(f"(?P<{section}>{names})" for section, names in _HEADERS)
# A header is a known name before a colon at the start of a line or in capitals, or alone on its line.
_INLINE = r"(?-i:(?=[A-Z]{4,}|(?:Findings?|Impression|Conclusion|Opinion)\b))"
_HEADER = re.compile(
    rf"(?:^|(?<=\n))[ \t*#]*(?:{_NAMES})[ \t*]*(?::|[ \t]*(?=\n|$))|(?<=[.!?\s]){_INLINE}"
    rf"(?:{_NAMES.replace('?P<', '?P<inline_')}):",
    re.IGNORECASE,
)
_ENDS = {
    Section.COMPARISON: re.compile(r"\n"),
    Section.INDICATION: re.compile(r"\n[ \t]*\n"),
    Section.TECHNIQUE: re.compile(r"\n[ \t]*\n"),
}
# "1) Infarct. 2) Haemorrhage." on one line.
_ITEM_INSIDE = re.compile(r"(?<=\S)[ \t]+(?=\(?\d{1,2}\)\s+[A-Z])")
_ABBREVIATION = re.compile(
    r"dr|mrs?|ms|prof|st|e\.g|i\.e|eg|ie|cf|vs|approx|ca|figs?|nos?|max|min|incl|resp|dept|hosp|etc|dist|ant|post|inf"
    r"|sup|lat|med|bilat|dx|hx|pt|yrs?|mo|wk|sq|vol|ser|im"
)
# These end a sentence as often as not: only a lower-case word after them keeps it open.
_SOMETIMES = re.compile(r"etc|no|post|inf|lat|med|pt|ant|sup|im|mo")
_BREAK = re.compile(r"(?<=[.!?])[\"')\]]*\s+|\n+")
_ANSWER = re.compile(r"(?:none|nil|no|absent|negative|not seen)[.;,]?\s*(?:\n|$)", re.IGNORECASE)
_BULLET = re.compile(r"^\s*(?:[-*•·▪–]|\(?\d{1,2}[.)](?=\s))\s*")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufffe\uffff]")
_NO_TEXT = frozenset("\ufffd" + "".join(map(chr, (*range(9), *range(14, 32)))))
_TAG = re.compile(r"</?(?:p|br|div|span|b|i|strong|em|html|body|table|tr|td|ul|ol|li|h[1-6]|font|pre)\b[^>]*>", re.I)


class ReportError(ValueError):
    """Text that cannot be taken as a report; `code` for programs."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def make_report(parts: Mapping[Section, str], text: str = "", provenance: str = "") -> Report | None:
    """A report from columns of sections, from one text with headers, or from both; None where nothing is said.

    Raises
    ------
    ReportError
        `report_too_long`, or `report_not_text` for rich text and other binary formats
    """
    sections = list(split_sections(clean(text)))
    named = {section for section, _ in sections}
    sections += [(section, clean(part)) for section, part in parts.items() if section not in named and part.strip()]
    sections = [(section, words) for section, words in sections if re.search(r"\w", words)]
    if not sections:
        return None
    whole = clean(text) or "\n".join(f"{section.value.capitalize()}: {words}" for section, words in sections)
    return Report(whole, tuple(sections), tuple(_sentences(sections)), clean(provenance))


def read_again(report: Report) -> Report:
    """The same report with its sentences and assertions by the rules of today."""
    return replace(report, sentences=tuple(_sentences(report.sections)))


def clean(text: str) -> str:
    r"""Text without markup, control and direction characters, in composed form, with plain line ends.

    >>> clean("No\x00 mass.\r\n<b>Normal</b>")
    'No mass.\nNormal'
    """
    if len(text) > LONGEST_REPORT:
        raise ReportError(
            "report_too_long", f"Expected a report of at most {LONGEST_REPORT:,} characters, got {len(text):,}."
        )
    if text.lstrip().startswith(("{\\rtf", "%PDF", "PK\x03\x04")):
        raise ReportError("report_not_text", "Expected plain text as report, got a document in another format.")
    if _TAG.search(text):
        text = _without_tags(text)
    text = text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace").decode("utf-8")
    return unicodedata.normalize("NFC", _CONTROL.sub("", text)).strip()


def text_of(content: bytes) -> str:
    """The text of a file that holds a report, in UTF-8 or, where its first bytes say so, UTF-16.

    A few bytes that are neither, of an older encoding, are replaced.

    Raises
    ------
    ReportError
        `report_not_text` for what is no text
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", "replace")
    text = content.decode("utf-8-sig", "replace")
    strange = sum(letter in _NO_TEXT for letter in text)
    if strange > MOST_STRANGE * len(text):
        raise ReportError("report_not_text", "Expected plain text as report, got a file that holds something else.")
    return text


def split_sections(text: str) -> Iterable[tuple[Section, str]]:
    r"""The sections of a text by its headers; what stands before the first is `body`.

    >>> [(str(section), words) for section, words in split_sections("Findings: No mass.\nImpression: Normal.")]
    [('findings', 'No mass.'), ('impression', 'Normal.')]
    """
    section, begin = Section.BODY, 0
    for match in _HEADER.finditer(text):
        yield from _until_it_ends(section, text[begin : match.start()])
        named = str(match.lastgroup).removeprefix("inline_")
        section, begin = Section(named), match.end()
    yield from _until_it_ends(section, text[begin:])


def _until_it_ends(section: Section, text: str) -> Iterable[tuple[Section, str]]:
    """A section without the headerless text below it: a comparison ends with its line, others at a blank line."""
    words = text.strip()
    border = _ENDS.get(section)
    own, rest = words, ""
    if border is not None and (end := border.search(words)):
        own, rest = words[: end.start()], words[end.end() :].strip()
    if own:
        yield section, own
    if rest:
        yield Section.BODY, rest


def split_sentences(text: str) -> tuple[str, ...]:
    """The sentences of a text, list items and wrapped lines included.

    >>> split_sentences("Mass of 3.5 mm, e.g. a cyst. Seen by Dr. Lee. No shift.")
    ('Mass of 3.5 mm, e.g. a cyst.', 'Seen by Dr. Lee.', 'No shift.')
    """
    found: list[str] = []
    begin = 0
    text = _ITEM_INSIDE.sub("\n", text)
    for match in _BREAK.finditer(text):
        if _ends_sentence(text[begin : match.start()], match.group(), text[match.end() : match.end() + 40]):
            found.append(text[begin : match.end()])
            begin = match.end()
    found.append(text[begin:])
    sentences = (re.sub(r"\s+", " ", _BULLET.sub("", sentence)).strip() for sentence in found)
    return tuple(piece for sentence in sentences for piece in _bounded(sentence) if re.search(r"\w", piece))


def _ends_sentence(before: str, gap: str, after: str) -> bool:
    if "\n" in gap:
        if before.rstrip().endswith(":") and _ANSWER.match(after):
            return False  # "Haemorrhage:" and "none" on the next line
        wrapped = "\n\n" not in gap and not before.rstrip().endswith((".", "!", "?", ":")) and after[:1].islower()
        return not wrapped and not (re.fullmatch(r"\s*\(?\d{1,2}[.)]\s*", before))
    words = before.split()
    last = words[-1].lower().strip("(\"'[") if words else ""
    if not re.search(r"\w", before) or re.search(r"[\s,;:(]\?+\s*$", before):
        return False  # "headache, ? stroke": the mark belongs to what follows
    if not last.endswith("."):
        return True
    stem = last.rstrip(".")
    if re.fullmatch(r"\(?\d{1,2}", stem) and len(words) == 1:
        return False  # "1. Mass." is a list item
    if _SOMETIMES.fullmatch(stem):
        return not (after[:1].islower() or (stem == "no" and after[:1].isdigit()))
    return not _ABBREVIATION.fullmatch(stem) and not (len(stem) == 1 and stem.isalpha() and after[:1].isupper())


def _bounded(sentence: str) -> Iterable[str]:
    while len(sentence) > LONGEST_SENTENCE:
        cut = sentence.rfind(" ", LONGEST_SENTENCE // 2, LONGEST_SENTENCE)
        cut = LONGEST_SENTENCE if cut < 0 else cut
        yield sentence[:cut]
        sentence = sentence[cut:].lstrip()
    yield sentence


def _sentences(sections: Iterable[tuple[Section, str]]) -> Iterable[Sentence]:
    number = 0
    for section, words in sections:
        for sentence in split_sentences(words):
            for clause, assertion in judge(sentence, section):
                number += 1
                yield Sentence(number, clause, section, assertion)


class _Text(HTMLParser):
    """Keeps what stands between the tags; blocks become lines."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._skipped = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self._skipped += tag in ("script", "style")
        self._break(tag)

    def handle_endtag(self, tag: str) -> None:
        self._skipped -= tag in ("script", "style") and self._skipped > 0
        self._break(tag)

    def _break(self, tag: str) -> None:
        self.pieces.append("\n" if tag in ("p", "br", "div", "tr", "li", "h1", "h2", "h3", "script", "style") else "")

    def handle_data(self, data: str) -> None:
        if not self._skipped:
            self.pieces.append(data)


def _without_tags(text: str) -> str:
    parser = _Text()
    parser.feed(text)
    parser.close()
    return "".join(parser.pieces)
