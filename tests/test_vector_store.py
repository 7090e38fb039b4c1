"""Every vector store must answer alike: exact neighbours, masks, no padding, no silent NaN."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.vector_store import FaissStore, VectorError, VectorStore, write_faiss

DIM = 24


def unit_vectors(count: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def open_store(folder: Path, vectors: np.ndarray) -> VectorStore:
    path = folder / "vectors.faiss"
    write_faiss(path, DIM, len(vectors), [vectors[:7], vectors[7:]])
    return FaissStore.open(path)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> VectorStore:
    return open_store(tmp_path_factory.mktemp("vectors"), unit_vectors(200))


def test_neighbours_are_exact(store: VectorStore) -> None:
    queries = unit_vectors(5, seed=1).astype(np.float32)
    scores, positions = store.search(queries, 10)
    expected = queries @ unit_vectors(200).astype(np.float32).T
    assert np.array_equal(positions, np.argsort(-expected, axis=1)[:, :10])
    assert np.allclose(scores, np.sort(expected, axis=1)[:, ::-1][:, :10], atol=1e-5)


@settings(deadline=None, max_examples=60)
@given(mask=st.lists(st.booleans(), min_size=200, max_size=200), k=st.integers(1, 10**9))
def test_a_mask_leaves_just_what_it_allows(store: VectorStore, mask: list[bool], k: int) -> None:
    allowed = np.array(mask)
    scores, positions = store.search(unit_vectors(2, seed=2).astype(np.float32), k, allowed)
    assert positions.shape == scores.shape == (2, min(k, int(allowed.sum())))
    assert allowed[positions].all()
    assert (np.diff(scores, axis=1) <= 0).all()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_vectors_give_few_neighbours_and_no_padding(tmp_path: Path, count: int) -> None:
    store = open_store(tmp_path, unit_vectors(count))
    scores, positions = store.search(unit_vectors(1).astype(np.float32), 1_000_000_000)
    assert scores.shape == positions.shape == (1, count)
    assert sorted(positions[0].tolist()) == list(range(count))
    assert store.count == count


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_query_that_is_not_finite_is_refused(store: VectorStore, value: float) -> None:
    query = np.zeros((1, DIM), np.float32)
    query[0, 3] = value
    with pytest.raises(VectorError, match="finite"):
        store.search(query, 5)


@pytest.mark.parametrize("shape", [(DIM,), (1, DIM + 1), (1, 1, DIM)])
def test_a_query_of_another_shape_is_refused(store: VectorStore, shape: tuple[int, ...]) -> None:
    with pytest.raises(VectorError, match=f"N, {DIM}"):
        store.search(np.zeros(shape, np.float32), 5)


def test_asking_for_nothing_is_refused(store: VectorStore) -> None:
    with pytest.raises(VectorError, match="got 0"):
        store.search(np.zeros((1, DIM), np.float32), 0)
    with pytest.raises(VectorError, match="mask"):
        store.search(np.zeros((1, DIM), np.float32), 1, np.ones(3, bool))


def test_vectors_come_back_as_they_were_stored(store: VectorStore) -> None:
    positions = np.array([5, 0, 199])
    assert np.array_equal(store.reconstruct(positions), unit_vectors(200)[positions].astype(np.float32))


def test_a_count_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VectorError, match="Expected 3 vectors, got 2"):
        write_faiss(tmp_path / "x.faiss", DIM, 3, [unit_vectors(2)])
    with pytest.raises(VectorError, match="Expected 1 vectors"):
        write_faiss(tmp_path / "x.faiss", DIM, 1, [unit_vectors(2)])
    assert not (tmp_path / "x.faiss").exists()
