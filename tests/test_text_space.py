"""Targets of the sequence networks: halves of report and sentences, and the commonest directions held back."""

from __future__ import annotations

import numpy as np

from training.text_space import HALVED, phantom_targets, target_of, whitening
from training.vision_loop import TextVectors


def by_length(texts: list[str]) -> np.ndarray:
    return np.array([[len(text), text.count("."), 1.0] for text in texts], np.float32)


def test_a_target_is_half_the_report_and_half_its_sentences() -> None:
    found = target_of("One. Two.", ["One.", "Two.."], TextVectors(by_length))
    np.testing.assert_allclose(found, [(9 + 4.5) / 2, (2 + 1.5) / 2, 1])


def test_phantom_targets_are_the_same_each_time_and_differ_between_phantoms() -> None:
    first, again = (phantom_targets(TextVectors(by_length), 5) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (5, 3) and len(np.unique(first[:, 0])) > 2


def test_whitening_halves_the_direction_of_so_many_times_the_mean_variance_and_turns_nothing() -> None:
    dim = 2 * int(HALVED)
    spread = np.ones(dim)
    spread[0] = np.sqrt(HALVED * (dim - 1) / (dim - HALVED))  # so that its variance is HALVED times the mean
    targets = np.random.default_rng(0).normal(size=(40_000, dim)) * spread
    matrix = whitening(targets.astype(np.float32))
    assert abs(matrix[0, 0] - 0.5) < 0.02
    assert abs(matrix[1, 1] - HALVED / (HALVED + 1 / (spread**2).mean())) < 0.02
    np.testing.assert_allclose(matrix, matrix.T)
    assert np.abs(matrix - np.diag(np.diag(matrix))).max() < 0.02
    assert np.isfinite(whitening(np.zeros((4, 3), np.float32))).all()
