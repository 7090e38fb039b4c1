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
# So many hits are ranked at least, then more in steps, so that the pages of one question come out of one ranking; and
# so many items are taken from each channel for them.
LEVELS = ((100, 1_000), (500, 4_000), (2_000, 16_000))
# Candidates of each channel that are looked up in the others, and as many of which most is known already.
_BEST_OF_EACH = 128
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
    """The best examinations, and whether it is certain that no other belongs among them."""

    ranked: tuple[Ranked, ...]
    exact: bool


def normalised(channels: Sequence[Channel]) -> tuple[Channel, ...]:
    """The same channels with weights that sum to one."""
    total = sum(channel.weight for channel in channels)
    return tuple(Channel(channel.kind, channel.weight / total, channel.look_up) for channel in channels)


def rank(channels: Sequence[Channel], need: int, allowed: NDArray[np.int64] | None) -> Ranking:
    """Find the `need` best examinations, 2,000 at most, by the weighted mean of the channels; ties by row id.

    Each channel lists its best, and the best of each are looked up in the others. An examination that no channel lists
    can score no more than the weighted sum of the floors, so the ranking is exact where the last hit is above that
    (Fagin's threshold algorithm), and always where the lists are complete. In an archive of hundreds of thousands it
    may not be; then it is that of the nearest by each kind of evidence, and `exact` says so.
    """
    level, depth = next((step for step in LEVELS if need <= step[0]), LEVELS[-1])
    listings = [channel.look_up(depth, allowed) for channel in channels]
    ranked, settled = _settle(channels, listings, level)
    bound = _score(channels, [Found(listing.floor) for listing in listings])
    exact = settled and (bound == 0.0 or (len(ranked) >= level and ranked[-1].score > bound))
    return Ranking(ranked[:need], exact)


def _settle(channels: Sequence[Channel], listings: Sequence[Listing], need: int) -> tuple[tuple[Ranked, ...], bool]:
    """Score candidates by what is known of them, look up the rest, and say whether the best are sure."""
    table = _known(listings, len(channels))
    ceilings = [Found(listing.floor) for listing in listings]
    size = max(_BEST_OF_EACH, need)
    promising = {row: None for listing in listings for row in _best_rows(listing)[:size] if None in table[row]}
    promising |= dict.fromkeys(_unsettled(channels, table, [NOTHING] * len(channels))[:size])
    _look_up_missing(channels, table, list(promising))
    score = {row: _filled(channels, found, ceilings) for row, found in table.items()}
    best = sorted((row for row in table if None not in table[row]), key=lambda row: (-score[row], row))[:need]
    least = score[best[-1]] if len(best) == need else -1.0
    sure = all(score[row] < least for row, found in table.items() if None in found)
    ranked = (Ranked(row, score[row], tuple(found for found in table[row] if found is not None)) for row in best)
    return tuple(ranked), sure


def _best_rows(listing: Listing) -> list[int]:
    return sorted(listing.found, key=lambda row: (-listing.found[row].score, row))


def _unsettled(
    channels: Sequence[Channel], table: Mapping[int, Sequence[Found | None]], instead: Sequence[Found]
) -> list[int]:
    """Candidates of which something is open, best first when it is taken for `instead`."""
    rows = {row: _filled(channels, found, instead) for row, found in table.items() if None in found}
    return sorted(rows, key=lambda row: (-rows[row], row))


def _known(listings: Sequence[Listing], width: int) -> dict[int, list[Found | None]]:
    """What each channel found of each candidate; None where that is still open."""
    blank: list[Found | None] = [None if listing.floor > 0.0 else NOTHING for listing in listings]
    table: dict[int, list[Found | None]] = {}
    for column, listing in enumerate(listings):
        for examination, found in listing.found.items():
            table.setdefault(examination, blank[:width])[column] = found
    return table


def _filled(channels: Sequence[Channel], row: Sequence[Found | None], instead: Sequence[Found]) -> float:
    return _score(channels, [other if found is None else found for found, other in zip(row, instead, strict=True)])


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
