"""The ranking of evidence against plain scoring of everything: exact, stable, and the same under a filter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from search_api.fusion import LEVELS, Channel, Found, LookUp, Ranking, lister, normalised, rank


def channel_of(items: list[tuple[int, float]], weight: float) -> Channel:
    """A channel over (examination, score) items, with their place as key, best first as a vector index lists."""
    kept = sorted(enumerate(items), key=lambda item: (-item[1][1], item[0]))

    def items_of(depth: int, examinations: NDArray[np.int64] | None) -> list[tuple[int, Found]]:
        allowed = None if examinations is None else set(examinations.tolist())
        passing = [
            (examination, Found(score, key))
            for key, (examination, score) in kept
            if allowed is None or examination in allowed
        ]
        return passing[:depth]

    look_up: LookUp = lister(items_of)
    return Channel("sentence", weight, look_up)


def by_scoring_everything(channels: list[list[tuple[int, float]]], weights: list[float]) -> list[tuple[int, float]]:
    best: dict[int, list[float]] = {}
    for column, items in enumerate(channels):
        for examination, score in items:
            row = best.setdefault(examination, [0.0] * len(channels))
            row[column] = max(row[column], score)
    scored = {
        examination: round(sum(w * s for w, s in zip(weights, row, strict=True)), 6)
        for examination, row in best.items()
    }
    return sorted(scored.items(), key=lambda item: (-item[1], item[0]))


def pairs(ranking: Ranking) -> list[tuple[int, float]]:
    return [(item.examination, item.score) for item in ranking.ranked]


items = st.lists(st.tuples(st.integers(1, 12), st.floats(0, 1).map(lambda x: round(x, 3))), max_size=30)


@given(st.lists(items, min_size=1, max_size=4), st.integers(1, 15))
def test_the_ranking_is_that_of_scoring_everything(channels: list[list[tuple[int, float]]], need: int) -> None:
    weight = 1.0 / len(channels)
    ranking = rank([channel_of(items, weight) for items in channels], need, None)
    assert ranking.exact
    assert pairs(ranking) == by_scoring_everything(channels, [weight] * len(channels))[:need]


@given(st.lists(items, min_size=1, max_size=3), st.sets(st.integers(1, 12)))
def test_a_filter_takes_hits_away_and_changes_no_score(
    channels: list[list[tuple[int, float]]], passing: set[int]
) -> None:
    built = [channel_of(items, 1.0 / len(channels)) for items in channels]
    allowed = np.array(sorted(passing), dtype=np.int64)
    everything = [pair for pair in pairs(rank(built, 100, None)) if pair[0] in passing]
    assert pairs(rank(built, 100, allowed)) == everything


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_lists_cut_short_give_true_scores_and_the_true_best(seed: int) -> None:
    generator = np.random.default_rng(seed)
    long = 4 * LEVELS[0][1]
    channels = []
    for _ in range(3):
        examinations, scores = generator.integers(1, long // 2, long), np.round(generator.random(long) ** 3, 4)
        channels.append(list(zip(examinations.tolist(), scores.tolist(), strict=True)))
    everything = by_scoring_everything(channels, [1 / 3] * 3)
    ranking = rank([channel_of(items, 1 / 3) for items in channels], 100, None)
    assert set(pairs(ranking)) <= set(everything)
    assert pairs(ranking)[:10] == everything[:10]
    if ranking.exact:
        assert pairs(ranking) == everything[:100]


def test_the_first_hits_do_not_depend_on_how_many_are_asked_for() -> None:
    generator = np.random.default_rng(3)
    channels = [
        channel_of(list(zip(range(1, 3_001), generator.integers(0, 4, 3_000) / 4, strict=True)), 0.5) for _ in range(2)
    ]
    assert pairs(rank(channels, 40, None))[:10] == pairs(rank(channels, 10, None))


def test_many_equal_cases_are_ranked_and_it_is_said_that_some_were_not_looked_at() -> None:
    channels = [channel_of([(examination, 0.5) for examination in range(1, 20_000)], 1.0)]
    ranking = rank(channels, 5, None)
    assert pairs(ranking) == [(examination, 0.5) for examination in range(1, 6)]
    assert not ranking.exact


def test_equal_scores_are_in_order_of_row_id() -> None:
    channels = [channel_of([(9, 0.5), (2, 0.5), (4, 0.5)], 1.0)]
    assert pairs(rank(channels, 3, None)) == [(2, 0.5), (4, 0.5), (9, 0.5)]


def test_one_hit_an_examination_with_its_best_item() -> None:
    ranking = rank([channel_of([(1, 0.2), (1, 0.9), (1, 0.4)], 1.0)], 10, None)
    assert [(item.examination, item.found[0].score, item.found[0].key) for item in ranking.ranked] == [(1, 0.9, 1)]


def test_weights_are_made_to_sum_to_one() -> None:
    channels = normalised([channel_of([], 3.0), channel_of([], 1.0)])
    assert [channel.weight for channel in channels] == pytest.approx([0.75, 0.25])
