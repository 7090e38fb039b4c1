"""An answer as a gallery: one card a hit, with its picture, its facts, its evidence and its links.

Values only; how they look is left to the templates. The words follow the field: similar, retrieved, score, flagged for
review.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from search_api.answers import Answer, Evidence, ExaminationSummary, Hit, SeriesSummary
from search_api.question import DEEPEST_HIT
from web.forms import SearchForm

# The sequence that shows most at a glance comes first where no series is the evidence.
_TELLING = ("FLAIR", "T2w", "T1w post contrast", "T1w", "DWI", "ADC", "T2*", "SWI", "PDw")
_NAMES = {
    "sentence": "nearest sentence",
    "words": "words",
    "report": "whole report",
    "image": "series",
}
_SEXES = {"F": "female", "M": "male", "O": "other"}
_KEY = re.compile(r"[a-z2-7]{4,32}")
MOST_NEIGHBOURS = 200  # keys of a walk in a URL; a page has fewer hits than that


@dataclass(frozen=True, slots=True)
class Score:
    """One sub-score of a hit: what was compared, and how near it was, 0-1."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Card:
    hit: Hit
    title: str
    facts: tuple[str, ...]
    picture: str | None
    picture_alt: str
    sentence: Evidence | None
    words: tuple[str, ...]
    scores: tuple[Score, ...]
    link: str
    like: str


@dataclass(frozen=True, slots=True)
class Paging:
    """Addresses of the neighbouring pages, None at the ends, and the ranks that this page shows."""

    first: int
    last: int
    previous: str | None
    following: str | None


@dataclass(frozen=True, slots=True)
class Walk:
    """The hits beside a case in the answer that led to it."""

    rank: int
    back: str
    previous: str | None
    following: str | None


def cards(answer: Answer, form: SearchForm | None) -> tuple[Card, ...]:
    """The cards of an answer; `form` None for an uploaded scan, whose hits are walked by their keys."""
    keys = ".".join(hit.key for hit in answer.hits)
    walk = form.query(page=form.page) if form else urlencode({"hits": keys})
    sequence = form.sequence if form else ""
    return tuple(_card(hit, f"?{walk}" if walk else "", sequence) for hit in answer.hits)


def paging(answer: Answer, form: SearchForm) -> Paging:
    """Where the next hits are. Only what is there can be turned to."""
    first = (answer.page - 1) * answer.k + 1
    last = first + len(answer.hits) - 1
    more = last < answer.hits_in_all and (answer.page + 1) * answer.k <= DEEPEST_HIT
    return Paging(
        first=first,
        last=last,
        previous=form.link("/search", page="" if answer.page == 2 else str(answer.page - 1))
        if answer.page > 1
        else None,
        following=form.link("/search", page=str(answer.page + 1)) if more else None,
    )


def walk_of_answer(answer: Answer, key: str, form: SearchForm) -> Walk | None:
    """The hits before and after a case, over the edge of the page to the gallery's next one."""
    keys = [hit.key for hit in answer.hits]
    if key not in keys:
        return None
    place, pages = keys.index(key), paging(answer, form)
    state = form.query(page=form.page)
    return Walk(
        rank=answer.hits[place].rank,
        back=f"{form.link('/search', page=form.page)}#hit-{answer.hits[place].rank}",
        previous=f"/case/{keys[place - 1]}?{state}" if place else pages.previous,
        following=f"/case/{keys[place + 1]}?{state}" if place + 1 < len(keys) else pages.following,
    )


def walk_of_keys(text: str, key: str) -> Walk | None:
    """The same for an uploaded scan, whose hits stand in the URL since its answer is not kept."""
    keys = [word for word in text.split(".")[:MOST_NEIGHBOURS] if _KEY.fullmatch(word)]
    if key not in keys:
        return None
    place, state = keys.index(key), urlencode({"hits": ".".join(keys)})
    return Walk(
        rank=place + 1,
        back="",
        previous=f"/case/{keys[place - 1]}?{state}" if place else None,
        following=f"/case/{keys[place + 1]}?{state}" if place + 1 < len(keys) else None,
    )


def facts_of(examination: ExaminationSummary) -> tuple[str, ...]:
    """Age, sex, date and sequences, as far as they are known."""
    age = "" if examination.age is None else f"{examination.age:.0f} y"
    sex = _SEXES.get(examination.sex or "", "")
    person = " ".join(part for part in (age, sex) if part)
    return tuple(part for part in (person, examination.date or "", ", ".join(examination.sequences)) if part)


def title_of(examination: ExaminationSummary) -> str:
    if examination.diagnosis:
        return examination.diagnosis
    return "No diagnosis recorded" if examination.reported else "Not reported"


def telling_series(series: Sequence[SeriesSummary]) -> SeriesSummary | None:
    """The series that shows most at a glance."""

    def place(one: SeriesSummary) -> int:
        return _TELLING.index(one.sequence) if one.sequence in _TELLING else len(_TELLING)

    return min(series, key=place, default=None)


def key_series(hit: Hit, sequence: str = "") -> SeriesSummary | None:
    """The series to show for a hit: the evidence where that is a series, else of the asked sequence, else the telling.

    A text is seldom nearest to the series that shows what it names best, so that its image evidence does not choose.
    """
    series = hit.examination.series
    leading = hit.evidence[0].series if hit.evidence and hit.evidence[0].kind == "image" else None
    asked = sequence.strip().casefold()
    chosen = next((one for one in series if one.number == leading), None)
    filtered = [one for one in series if one.sequence and one.sequence.casefold() == asked]
    return chosen or telling_series(filtered or series)


def thumbnail(key: str, number: int) -> str:
    return f"/api/examinations/{key}/series/{number}/thumbnail.png"


def sub_scores(evidence: Iterable[Evidence]) -> tuple[Score, ...]:
    """One score a kind of evidence and series, best first in each."""
    best: dict[str, float] = {}
    for item in evidence:
        name = f"{item.sequence} series" if item.kind == "image" and item.sequence else _NAMES[item.kind]
        best[name] = max(item.score, best.get(name, 0.0))
    return tuple(Score(name, value) for name, value in best.items())


def _card(hit: Hit, walk: str, sequence: str) -> Card:
    examination = hit.examination
    shown = key_series(hit, sequence)
    return Card(
        hit=hit,
        title=title_of(examination),
        facts=facts_of(examination),
        picture=thumbnail(hit.key, shown.number) if shown else None,
        picture_alt=f"Key slice, {shown.sequence or 'unknown sequence'}" if shown else "",
        sentence=next((item for item in hit.evidence if item.text), None),
        words=tuple(dict.fromkeys(word for item in hit.evidence for word in item.words or ())),
        scores=sub_scores(hit.evidence),
        link=f"/case/{hit.key}{walk}",
        like=f"/search?{urlencode({'like': hit.key})}",
    )
