"""What a query asks of the findings that it names: that they are there, are not, may be, or once were.

Cues such as "no", "possible" and "history of", what they reach, and what only looks so. The counterpart for reports is
the indexer's reading of assertions, which has whole sentences to go by; a query has a few words and commas. What the
words between the cues mean is left to query.
"""

from __future__ import annotations

from enum import StrEnum


class Asks(StrEnum):
    """What is asked of a concept: that it is there, is not, may be, was once, is a relative's, or is normal.

    ANY if not read.
    """

    PRESENT = "present"
    ABSENT = "absent"
    UNCERTAIN = "uncertain"
    HISTORICAL = "historical"
    FAMILY = "family"
    NORMAL = "normal"
    ANY = "any"


Words = tuple[str, ...]

_UNNEGATED = (
    ("no", "change"),
    ("no", "significant", "change"),
    ("no", "interval", "change"),
    ("without", "change"),
    ("no", "changes"),
    ("no", "increase"),
    ("no", "growth"),
    ("no", "improvement"),
    ("no", "progression"),
    ("no", "resolution"),
    ("no", "doubt"),
    ("not", "resolved"),
    ("not", "only"),
    ("without", "contrast"),
)
_ABSENT = (
    *(("no", *sign, "of") for sign in (("evidence",), ("sign",), ("signs",), ("features",), ("mri", "evidence"))),
    ("no", "longer"),
    ("no", "history", "of"),
    ("no", "known", "history", "of"),
    ("w", "o"),
    *((verb, "t") for verb in ("doesn", "don", "isn", "aren", "wasn", "weren", "didn", "hasn", "haven")),
    ("fails", "to"),
    ("lacking",),
    ("nil",),
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
_OPENING: tuple[tuple[Words, Asks], ...] = tuple(
    (cue, asks)
    for asks, cues in (
        (
            Asks.UNCERTAIN,
            (
                ("cannot", "exclude"),
                ("cannot", "rule", "out"),
                ("can", "t", "exclude"),
                ("not", "excluded"),
                ("concern", "for"),
                ("can", "not", "exclude"),
                ("could", "not", "exclude"),
                ("possible",),
                ("possibly",),
                ("probable",),
                ("probably",),
                ("likely",),
                ("presumed",),
                ("suspected",),
                ("suspicion", "of"),
                ("suspicious", "for"),
                ("query",),
                ("questionable",),
                ("equivocal",),
                ("uncertain",),
                ("unlikely",),
                ("rule", "out"),
                ("r", "o"),
                ("?",),
            ),
        ),
        (Asks.FAMILY, (("positive", "family", "history", "of"), ("family", "history", "of"), ("fh", "of"))),
        (
            Asks.HISTORICAL,
            (
                ("past", "history", "of"),
                ("history", "of"),
                ("hx", "of"),
                ("h", "o"),
                ("status", "post"),
                ("previous",),
                ("prior",),
                ("s", "p"),
                ("previous", "history", "of"),
            ),
        ),
        (Asks.ABSENT, _ABSENT),
    )
    for cue in cues
)
_CLOSING: tuple[tuple[Words, Asks], ...] = (
    (("cannot", "be", "excluded"), Asks.UNCERTAIN),
    (("can", "not", "be", "excluded"), Asks.UNCERTAIN),
    (("not", "excluded"), Asks.UNCERTAIN),
    (("is", "possible"), Asks.UNCERTAIN),
    (("suspected",), Asks.UNCERTAIN),
    (("ruled", "out"), Asks.ABSENT),
    (("not", "seen"), Asks.ABSENT),
    (("not", "present"), Asks.ABSENT),
    (("is", "absent"), Asks.ABSENT),
    (("has", "resolved"), Asks.ABSENT),
    (("absent",), Asks.ABSENT),
    (("excluded",), Asks.ABSENT),
    (("resolved",), Asks.ABSENT),
    *(((*colon, answer), Asks.ABSENT) for colon in ((":",), ()) for answer in ("none", "nil", "negative", "absent")),
    ((":", "no"), Asks.ABSENT),
)
_LIST_WORDS = frozenset({",", "and", "or", "nor", "plus", "with", "versus", "vs"})
_ENDS_REACH = frozenset({";", ".", "!", "?", ":", "but", "with", "however", "although", "plus"})
# A size, a side or a degree behind a comma or "and" names something else than what is denied.
_STARTS_ANEW = frozenset(
    {"large", "small", "marked", "mild", "moderate", "severe", "old", "chronic", "multiple", "extensive", "scattered"}
) | {"stable", "left", "right", "bilateral"}
_UNDIVIDED = (("grey", "and", "white"), ("gray", "and", "white"), ("white", "and", "grey"), ("white", "and", "gray"))


def spans_of(tokens: Words) -> list[tuple[Words, Asks]]:
    """Cut tokens into concepts, each with what is asked of it: present, absent, uncertain or historical.

    >>> [(words, str(asks)) for words, asks in spans_of(("infarct", "without", "haemorrhage"))]
    [(('infarct',), 'present'), (('haemorrhage',), 'absent')]
    """
    spans: list[tuple[Words, Asks]] = []
    words: list[str] = []
    asks = Asks.PRESENT
    position = 0

    def close(as_what: Asks) -> None:
        if words:
            spans.append((tuple(words), as_what))
            words.clear()

    while position < len(tokens):
        token = tokens[position]
        cue: Words
        if cue := next((cue for cue in (*_UNNEGATED, *_UNDIVIDED) if _stands(cue, tokens, position)), ()):
            words.extend(() if cue == ("not", "only") else cue)
        elif words and (closing := _found(_CLOSING, tokens, position)):
            cue = closing[0]
            close(closing[1])
        elif (opening := _found(_OPENING, tokens, position)) and not (words and opening[0] == ("?",)):
            cue = opening[0]
            close(asks)
            asks = opening[1]
        elif token in _ENDS_REACH or token in _LIST_WORDS:
            cue = (token,)
            close(asks)
            asks = Asks.PRESENT if token in _ENDS_REACH or _starts_anew(tokens[position + 1 :]) else asks
        else:
            cue = (token,)
            words.append(token)
        position += len(cue)
    close(asks)
    return spans


def _starts_anew(rest: Words) -> bool:
    """Whether what follows a comma or "and" is not one more of a denied list."""
    return bool(rest) and rest[0] in _STARTS_ANEW and not {"or", "nor"} & set(rest)


def _found(cues: tuple[tuple[Words, Asks], ...], tokens: Words, position: int) -> tuple[Words, Asks] | None:
    return next((found for found in cues if _stands(found[0], tokens, position)), None)


def _stands(cue: Words, tokens: Words, position: int) -> bool:
    return tokens[position : position + len(cue)] == cue
