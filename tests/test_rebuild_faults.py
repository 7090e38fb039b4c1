"""Rebuild at bad moments: kills, a full disk, a failed check, two at once. The last whole generation serves."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from datasets import write_scan
from indexed import Counting, Dying, again, die, make_archive, run_and_be_killed
from toy_encoder import ToyEncoder

from indexer import generation_files
from indexer.generations import GenerationError, Index, Kind
from indexer.ingest import ingest
from indexer.rebuild import rebuild
from indexer.schema import StoreError
from indexer.verification import verify
from indexer.writer_lock import LockedError, writer_lock


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_archive(tmp_path)[0]


@pytest.fixture
def data(root: Path) -> Path:
    return root.parent / "data"


def test_a_rebuild_that_was_killed_goes_on_where_it_was(data: Path) -> None:
    run_and_be_killed(lambda: rebuild(data, Dying()))
    encoder = Counting()
    summary = rebuild(data, encoder)
    assert encoder.series == 4  # eight, less the four that were committed
    assert encoder.texts == 0
    assert summary.encoded + summary.reused == 24
    assert verify(data) == ((), ())


@pytest.mark.parametrize("step", ["write_faiss", "sync_folder", "read_manifest", "switch", "prune"])
def test_a_kill_while_a_generation_is_made_leaves_the_old_one_serving(
    root: Path, data: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = rebuild(data, ToyEncoder()).generation
    write_scan(root / "sub-02" / "anat" / "sub-02_T1w.nii.gz", seed=88)
    again(root, data)
    with monkeypatch.context() as patch:
        patch.setattr(generation_files, step, die)
        run_and_be_killed(lambda: rebuild(data, ToyEncoder()))
    serving = Index.open(data)
    assert serving.notes == ()
    assert serving.name == first or step == "prune"
    summary = rebuild(data, Counting())
    assert Index.open(data).name == summary.generation
    assert not list((data / generation_files.FOLDER).glob(".building-*"))
    assert verify(data) == ((), ())


def test_a_generation_that_fails_its_check_is_set_aside(
    data: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = rebuild(data, ToyEncoder()).generation

    def fail(self: Index) -> None:
        raise GenerationError("It does not find itself.")

    monkeypatch.setattr(Index, "self_test", fail)
    with pytest.raises(GenerationError):
        rebuild(data, ToyEncoder(), full=True)
    monkeypatch.undo()
    assert Index.open(data).name == first
    assert len(generation_files.bad_names(data)) == 1
    assert rebuild(data, ToyEncoder(), full=True).switched


def test_a_full_disk_leaves_the_old_generation_serving(data: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = rebuild(data, ToyEncoder()).generation

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(generation_files, "write_faiss", full)
    with pytest.raises(OSError, match="No space"):
        rebuild(data, ToyEncoder(), full=True)
    monkeypatch.undo()
    assert Index.open(data).name == first
    assert rebuild(data, ToyEncoder(), full=True).switched


def test_two_rebuilds_at_once_are_refused_and_no_store_is_said(data: Path, tmp_path: Path) -> None:
    with writer_lock(data), pytest.raises(LockedError, match=str(os.getpid())):
        rebuild(data, ToyEncoder())
    with pytest.raises(StoreError) as caught:
        rebuild(tmp_path / "nowhere", ToyEncoder())
    assert caught.value.code == "store_missing"
    assert not (tmp_path / "nowhere").exists()


def test_a_store_without_series_or_reports_can_be_indexed(tmp_path: Path) -> None:
    write_scan(tmp_path / "bids" / "sub-1" / "anat" / "sub-1_mystery.nii.gz")
    ingest(tmp_path / "bids", tmp_path / "data")
    rebuild(tmp_path / "data", ToyEncoder())
    index = Index.open(tmp_path / "data")
    assert set(index.counts.values()) == {0}
    assert index.search(Kind.SERIES, np.ones((1, 64), np.float32), 10) == ((),)
