"""Where a query's words ask for absence: cues such as "no" and "ruled out", what they reach, and what only looks so.

The counterpart for reports is the indexer's reading of assertions, which has whole sentences to go by; a query has a
few words and commas. What the words between the cues mean is left to query.
"""

from __future__ import annotations

_UNNEGATED = (
    ("no", "change"),
    ("no", "significant", "change"),
    ("no", "interval", "change"),
    ("without", "change"),
    ("not", "only"),
    ("cannot", "exclude"),
    ("can", "not", "exclude"),
    ("cannot", "be", "excluded"),
    ("not", "excluded"),
    ("without", "contrast"),
)
_OPENING = (
    ("absence", "of"),
    ("negative", "for"),
    ("free", "of"),
    ("lack", "of"),
    ("ruled", "out"),
    ("no",),
    ("not",),
    ("without",),
    ("absent",),
    ("neither",),
    ("nor",),
    ("excluding",),
    ("resolved",),
)
_CLOSING = (
    ("ruled", "out"),
    ("not", "seen"),
    ("not", "present"),
    ("is", "absent"),
    ("has", "resolved"),
    ("absent",),
    ("excluded",),
    ("resolved",),
)
_LIST_WORDS = frozenset({",", "and", "or", "nor", "plus", "with"})
_ENDS_ABSENCE = frozenset({";", ".", "!", "?", ":", "but", "with", "however", "although", "plus"})
_UNDIVIDED = (("grey", "and", "white"), ("gray", "and", "white"), ("white", "and", "grey"), ("white", "and", "gray"))


def spans_of(tokens: tuple[str, ...]) -> list[tuple[tuple[str, ...], bool]]:
    """Cut tokens into concepts, each with whether its absence is asked for.

    >>> spans_of(("infarct", "without", "haemorrhage"))
    [(('infarct',), False), (('haemorrhage',), True)]
    """
    spans: list[tuple[tuple[str, ...], bool]] = []
    words: list[str] = []
    absent = False
    position = 0

    def close(negated: bool) -> None:
        if words:
            spans.append((tuple(words), negated))
            words.clear()

    while position < len(tokens):
        token = tokens[position]
        if cue := _cue(tokens, position, (*_UNNEGATED, *_UNDIVIDED)):
            words.extend(() if cue == ("not", "only") else cue)
        elif words and (cue := _cue(tokens, position, _CLOSING)):
            close(True)
        elif cue := _cue(tokens, position, _OPENING):
            close(absent)
            absent = True
        elif token in _ENDS_ABSENCE or (token in _LIST_WORDS and (absent or token not in {"or", "nor"})):
            cue = (token,)
            close(absent)
            absent = absent and token not in _ENDS_ABSENCE
        else:
            cue = (token,)
            words.append(token)
        position += len(cue)
    close(absent)
    return spans


def _cue(tokens: tuple[str, ...], position: int, cues: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    return next((cue for cue in cues if tokens[position : position + len(cue)] == cue), ())
