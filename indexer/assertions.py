"""What each clause of a report says of its findings: present, absent, uncertain, historical, hypothetical, family's.

A small rule engine in the manner of NegEx and ConText. A sentence is cut into clauses; in each, cues mark the words
that they reach, and runs of words of which the same is said become the clauses that are stored, so that each part has
one assertion. "absent" is for denied findings; statements of normality ("Normal study.") are present. The cues stand in
`assertion_cues`; splitting a report into sentences is left to `report_text`.
"""

from __future__ import annotations

import re
from itertools import pairwise

from indexer.assertion_cues import (
    ALTERNATIVES,
    ASKED,
    CUES,
    CUTS,
    DENIAL_INSIDE,
    DENIES,
    EXCEPTED,
    LIST_ITEM,
    NEW_SUBJECT,
    PSEUDO,
    SAYS_NOTHING,
    Cue,
)
from indexer.cases import Assertion, Section

Span = tuple[int, int]


def judge(sentence: str, section: Section = Section.BODY) -> tuple[tuple[str, Assertion], ...]:
    """The clauses of a sentence, each with its assertion. Neighbours that say the same stay together.

    >>> [(text, str(said)) for text, said in judge("No haemorrhage but a large mass.")]
    [('No haemorrhage', 'absent'), ('a large mass.', 'present')]
    >>> [str(said) for _, said in judge("No haemorrhage, mass or shift.")]
    ['absent']
    """
    plain = _plain(sentence)
    parts = [part for span in _clauses(plain) for part in _runs(plain, span, section)]
    joined: list[tuple[int, int, Assertion]] = []
    for place, (start, end, said) in enumerate(parts):
        if SAYS_NOTHING.search(plain[start:end]) and place + 1 < len(parts):
            parts[place + 1] = (start, *parts[place + 1][1:])
        elif joined and (joined[-1][2] is said or not re.search(r"\w", plain[start:end])):
            joined[-1] = (joined[-1][0], end, joined[-1][2])
        else:
            joined.append((start, end, said))
    return tuple((sentence[start:end].strip(" ,;").lstrip(": "), said) for start, end, said in joined)


def assertion_of(clause: str, section: Section = Section.BODY) -> Assertion:
    """What is said at the end of a text of one clause, where its finding mostly stands.

    >>> str(assertion_of("no change in hydrocephalus")), str(assertion_of("cannot exclude haemorrhage"))
    ('present', 'uncertain')
    """
    return judge(clause, section)[-1][1]


def _clauses(text: str) -> list[Span]:
    """Where the clauses stand in a sentence; they leave out the joining words between them."""
    spans = _cut(_cut([(0, len(text))], text, CUTS), text, DENIAL_INSIDE)
    spans = [part for span in spans for part in _cut_after_denial(span, text)]
    return spans or [(0, len(text))]


def _cut_after_denial(span: Span, text: str) -> list[Span]:
    """Cut where something new begins behind a denial; what stands before the denial is one."""
    denial = DENIES.search(_masked(text[slice(*span)]))
    if denial is None:
        return [span]
    begin = span[0] + denial.end()
    first, *rest = _cut([(begin, span[1])], text, NEW_SUBJECT) or [(begin, span[1])]
    return [(span[0], first[1]), *rest]


def _cut(spans: list[Span], text: str, pattern: re.Pattern[str]) -> list[Span]:
    found: list[Span] = []
    for start, end in spans:
        masked = _masked(text[start:end])
        begin = 0
        for match in pattern.finditer(masked):
            rest = masked[match.end() :]
            if re.search(r"\w", masked[begin : match.start()].replace("~", "w")) and not LIST_ITEM.match(rest):
                found.append((start + begin, start + match.start()))
                begin = match.end()
        if re.search(r"\w", masked[begin:].replace("~", "w")):
            found.append((start + begin, end))
    return found


def _runs(text: str, span: Span, section: Section) -> list[tuple[int, int, Assertion]]:
    """The parts of a clause of which the same is said."""
    clause = text[slice(*span)]
    if section is Section.INDICATION and ASKED.search(clause):
        return [(*span, Assertion.HYPOTHETICAL)]
    otherwise = Assertion.HISTORICAL if section is Section.COMPARISON else Assertion.PRESENT
    masked = _masked(EXCEPTED.sub(lambda match: "~" * len(match.group()), clause))
    said = [otherwise] * len(masked)
    for cue in reversed(CUES):
        for start, end in _reached(cue, masked):
            said[start:end] = [cue.assertion] * (end - start)
    if Assertion.UNCERTAIN in said and ALTERNATIVES.search(masked):
        said = [Assertion.UNCERTAIN if one is Assertion.PRESENT else one for one in said]
    if not said:
        return [(*span, otherwise)]
    borders = [0, *(place for place in range(1, len(said)) if said[place] is not said[place - 1]), len(said)]
    return [(span[0] + start, span[0] + end, said[start]) for start, end in pairwise(borders) if start < end]


def _reached(cue: Cue, clause: str) -> list[Span]:
    spans = []
    for match in cue.pattern.finditer(clause):
        if cue.reach == "clause":
            return [(0, len(clause))]
        if cue.reach == "after":
            stop = cue.stop.search(clause, match.end()) if cue.stop else None
            spans.append((match.start(), stop.start() if stop else len(clause)))
        else:
            stops = list(cue.stop.finditer(clause, 0, match.start())) if cue.stop else []
            spans.append((stops[-1].end() if stops else 0, match.end()))
    return spans


def _masked(text: str) -> str:
    return PSEUDO.sub(lambda match: "~" * len(match.group()), text)


def _plain(text: str) -> str:
    """Lower case and plain quotes, of the same length."""
    lowered = text.lower()
    plain = lowered if len(lowered) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    return plain.replace("’", "'").replace("\n", " ").replace("\t", " ")
