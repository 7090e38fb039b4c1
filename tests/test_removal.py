"""Removal: a case is in no generation and in no file of the data directory, also when a removal was killed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from indexed import Counting, die, key_of, make_archive, run_and_be_killed
from toy_encoder import ToyEncoder

from indexer import generation_files
from indexer.case_store import CaseStore
from indexer.cases import CaseMissing
from indexer.generations import Index, Kind
from indexer.rebuild import rebuild
from indexer.removal import remove_cases
from indexer.verification import verify


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_archive(tmp_path)[0]


@pytest.fixture
def data(root: Path) -> Path:
    return root.parent / "data"


def test_a_removed_case_is_in_no_generation(root: Path, data: Path) -> None:
    rebuild(data, ToyEncoder())
    rebuild(data, ToyEncoder(), full=True)
    key = key_of(data, "sub-02")
    with CaseStore.open(data, read_only=True) as store:
        row = store.id_of(key)
    vector = Index.open(data).vectors(Kind.SERIES, row)[1]
    stored = vector[0].astype(np.float16).tobytes()
    assert any(stored in path.read_bytes() for path in data.rglob("*") if path.is_file())
    summary = remove_cases(data, [key])
    assert len(summary.generations) == 2
    for name in generation_files.names(data):
        index = Index.open_generation(data, name)
        assert row not in {found.examination for kind in Kind for found in index.search(kind, vector[:1], 100)[0]}
        assert index.counts[Kind.SERIES] == 6
    assert Index.open(data).notes == ()
    assert not any(stored in path.read_bytes() for path in data.rglob("*") if path.is_file())
    with CaseStore.open(data, read_only=True) as store, pytest.raises(CaseMissing):
        store.examination(key)
    encoder = Counting()
    assert rebuild(data, encoder).encoded == 0
    assert verify(data) == ((), ())


def test_an_unknown_key_removes_nothing(data: Path) -> None:
    rebuild(data, ToyEncoder())
    with pytest.raises(CaseMissing):
        remove_cases(data, [key_of(data, "sub-02"), "nothing"])
    assert Index.open(data).counts[Kind.SERIES] == 8
    with CaseStore.open(data, read_only=True) as store:
        assert store.counts().examinations == 4


def test_a_removal_that_was_killed_is_finished_by_the_next_rebuild(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rebuild(data, ToyEncoder())
    key = key_of(data, "sub-02")
    with monkeypatch.context() as patch:
        patch.setattr(generation_files, "write_generation", die)
        run_and_be_killed(lambda: remove_cases(data, [key]))
    with CaseStore.open(data, read_only=True) as store, pytest.raises(CaseMissing):
        store.examination(key)
    rebuild(data, ToyEncoder())
    assert [Index.open_generation(data, name).counts[Kind.SERIES] for name in generation_files.names(data)] == [6, 6]


def test_a_removal_beside_a_broken_current_generation_leaves_a_whole_one_current(data: Path) -> None:
    rebuild(data, ToyEncoder())
    newest = rebuild(data, ToyEncoder(), full=True).generation
    file = data / "generations" / newest / "sentence.faiss"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    remove_cases(data, [key_of(data, "sub-02")])
    assert generation_files.current_name(data) in generation_files.names(data)
    assert verify(data)[0] == ()
