"""A report for reading: its sections cut into plain text and the sentences that are evidence for the query.

A sentence of the store has its white space made single, so it is looked for in the section with any white space between
its words. What is evidence is left to the API.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from indexer.cases import Report, Sentence
from search_api.answers import Evidence

_TITLES = {
    "findings": "Findings",
    "impression": "Impression",
    "indication": "Indication",
    "technique": "Technique",
    "comparison": "Comparison",
    "body": "Report",
}
_MOST_WORDS = 20  # words of a query that are looked for in a report


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of a section's text; `assertion` is given where it is evidence."""

    text: str
    assertion: str | None = None


@dataclass(frozen=True, slots=True)
class ReadSection:
    name: str
    title: str
    pieces: tuple[Piece, ...]


def sections_of(report: Report, evidence: Sequence[Sentence]) -> tuple[ReadSection, ...]:
    """The sections of a report in its own order, evidence marked."""
    return tuple(
        ReadSection(
            str(section),
            _TITLES[section],
            _pieces(text, [sentence for sentence in evidence if sentence.section == section]),
        )
        for section, text in report.sections
    )


def evidence_in(report: Report, evidence: Iterable[Evidence]) -> tuple[Sentence, ...]:
    """The sentences of a report that an answer names as evidence."""
    texts = {item.text for item in evidence if item.text}
    return tuple(sentence for sentence in report.sentences if sentence.text in texts)


def sentences_with(report: Report, query: str) -> tuple[Sentence, ...]:
    """Sentences with a word of the query in them, for a case that the query's page of hits does not hold."""
    words = re.findall(r"[^\W_]{3,}", query.casefold())[:_MOST_WORDS]
    return tuple(
        sentence
        for sentence in report.sentences
        if any(re.search(rf"\b{re.escape(word)}", sentence.text.casefold()) for word in words)
    )


def _pieces(text: str, evidence: Sequence[Sentence]) -> tuple[Piece, ...]:
    found = sorted(
        (match.start(), match.end(), str(sentence.assertion))
        for sentence in evidence
        if (match := re.search(r"\s+".join(map(re.escape, sentence.text.split())), text))
    )
    pieces: list[Piece] = []
    position = 0
    for start, end, assertion in found:
        if start < position:
            continue
        if start > position:
            pieces.append(Piece(text[position:start]))
        pieces.append(Piece(text[start:end], assertion))
        position = end
    if position < len(text):
        pieces.append(Piece(text[position:]))
    return tuple(pieces)
