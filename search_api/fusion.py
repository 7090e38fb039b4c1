"""From several kinds of evidence to one ranking of examinations, exact where that can be had.

Every channel (report sentences, whole reports, words, stored series) gives an examination a score of 0-1; the hit's
score is their weighted mean, so that it does not depend on what else was retrieved: a filter takes hits away and
changes no score, which reciprocal ranks would do. How a channel looks things up is left to retrieval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from indexer.cases import Sentence

Evident = Literal["sentence", "report", "words", "image"]
# Candidates first taken from each channel, and the most that are taken (reached only by many near-equal cases).
SHALLOW, DEEPEST = 1_000, 8_000
# Scores that differ by less than the rounding of float32 sums are equal, so that ties are broken the same way always.
DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Found:
    """The best item of an examination in one channel, score 0-1.

    `key` is the row id of its series, report or sentence; where words were found, these and the sentence as well.
    """

    score: float
    key: int | None = None
    words: tuple[str, ...] = ()
    sentence: Sentence | None = None


NOTHING = Found(0.0)


@dataclass(frozen=True, slots=True)
class Listing:
    """What a channel found, by examination; no examination that is not listed scores above `floor`."""

    found: Mapping[int, Found]
    floor: float


class LookUp(Protocol):
    def __call__(self, depth: int, examinations: NDArray[np.int64] | None) -> Listing: ...


@dataclass(frozen=True, slots=True)
class Channel:
    """One kind of evidence for one concept or one uploaded series; the weights of all channels sum to one."""

    kind: Evident
    weight: float
    look_up: LookUp


@dataclass(frozen=True, slots=True)
class Ranked:
    """An examination with its score and what each channel found of it, in the order of the channels."""

    examination: int
    score: float
    found: tuple[Found, ...]


@dataclass(frozen=True, slots=True)
class Ranking:
    """The best examinations; `exact` is False where so many were near-equal that some were not looked at."""

    ranked: tuple[Ranked, ...]
    exact: bool


def normalised(channels: Sequence[Channel]) -> tuple[Channel, ...]:
    """The same channels with weights that sum to one."""
    total = sum(channel.weight for channel in channels)
    return tuple(Channel(channel.kind, channel.weight / total, channel.look_up) for channel in channels)


def rank(channels: Sequence[Channel], need: int, allowed: NDArray[np.int64] | None) -> Ranking:
    """Find the `need` best examinations by the weighted mean of the channels, ties in order of row id.

    Each channel lists its best; an examination that no channel lists can score no more than the weighted sum of the
    floors, so the ranking is exact once the last hit is above that (Fagin's threshold algorithm). Until then the lists
    are made longer.
    """
    depth = max(SHALLOW, 4 * need)
    while True:
        listings = [channel.look_up(depth, allowed) for channel in channels]
        ranked = _settle(channels, listings, need)
        bound = round(
            sum(channel.weight * listing.floor for channel, listing in zip(channels, listings, strict=True)), DECIMALS
        )
        exact = bound == 0.0 or (len(ranked) >= need and ranked[-1].score > bound)
        if exact or depth >= DEEPEST:
            return Ranking(ranked, exact)
        depth *= 8


def _settle(channels: Sequence[Channel], listings: Sequence[Listing], need: int) -> tuple[Ranked, ...]:
    """Score candidates by what is known of them and look up the rest, most promising first, until the best are sure."""
    table: dict[int, list[Found | None]] = {}
    for column, listing in enumerate(listings):
        for examination, found in listing.found.items():
            table.setdefault(examination, [None] * len(channels))[column] = found
    for row in table.values():
        for column, listing in enumerate(listings):
            if row[column] is None and listing.floor <= 0.0:
                row[column] = NOTHING
    ceilings = [Found(listing.floor) for listing in listings]
    while True:
        upper = {
            examination: _score(channels, [found or ceiling for found, ceiling in zip(row, ceilings, strict=True)])
            for examination, row in table.items()
        }
        order = sorted(upper, key=lambda examination: (-upper[examination], examination))
        unsettled = [examination for examination in order if None in table[examination]]
        if not unsettled or not set(unsettled) & set(order[:need]):
            break
        _look_up_missing(channels, table, unsettled[: max(64, 2 * need)])
    return tuple(
        Ranked(examination, upper[examination], tuple(found for found in table[examination] if found is not None))
        for examination in order[:need]
    )


def _look_up_missing(channels: Sequence[Channel], table: dict[int, list[Found | None]], block: Sequence[int]) -> None:
    for column, channel in enumerate(channels):
        lacking = np.array(sorted(e for e in block if table[e][column] is None), dtype=np.int64)
        depth = 64 * len(lacking)
        while len(lacking):
            listing = channel.look_up(depth, lacking)
            for examination in lacking.tolist():
                if examination in listing.found or listing.floor <= 0.0:
                    table[examination][column] = listing.found.get(examination, NOTHING)
            lacking = np.array([e for e in lacking.tolist() if table[e][column] is None], dtype=np.int64)
            depth *= 8


def _score(channels: Sequence[Channel], found: Sequence[Found]) -> float:
    return round(sum(channel.weight * item.score for channel, item in zip(channels, found, strict=True)), DECIMALS)


def best_of(items: Sequence[tuple[int, Found]]) -> dict[int, Found]:
    """The best item of each examination; among equals the first."""
    best: dict[int, Found] = {}
    for examination, found in items:
        if examination not in best or found.score > best[examination].score:
            best[examination] = found
    return best


def lister(items_of: Callable[[int, NDArray[np.int64] | None], Sequence[tuple[int, Found]]]) -> LookUp:
    """Look up by a function that lists the `depth` best items, best first, and fewer when there are no more."""

    def look_up(depth: int, examinations: NDArray[np.int64] | None) -> Listing:
        items = items_of(depth, examinations)
        return Listing(best_of(items), 0.0 if len(items) < depth else max(0.0, items[-1][1].score))

    return look_up
