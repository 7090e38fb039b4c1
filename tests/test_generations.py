"""Generations: what is broken is not served, the newest whole one is, and filters stay exact."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from datasets import write_bids
from toy_encoder import ToyEncoder

from encoders.sequences import MRSequence
from indexer import generation_files
from indexer.case_store import CaseStore
from indexer.generations import Index, IndexMissing, Kind, VectorError
from indexer.ingest import ingest
from indexer.rebuild import rebuild
from indexer.verification import verify


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four examinations and three generations; the third is current."""
    folder = tmp_path_factory.mktemp("archive")
    root = write_bids(folder / "bids")
    for _ in range(3):
        ingest(root, folder / "data", reports=root / "reports.tsv")
        rebuild(folder / "data", ToyEncoder(), full=True)
    return folder / "data"


@pytest.fixture
def data(archive: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(archive, tmp_path / "data"))


def folder_of(data: Path, name: str) -> Path:
    return data / generation_files.FOLDER / name


def test_a_series_finds_itself_first(data: Path) -> None:
    index = Index.open(data)
    for examination in range(1, 5):
        keys, vectors = index.vectors(Kind.SERIES, examination)
        assert len(keys) == 2
        for key, found in zip(keys, index.search(Kind.SERIES, vectors, 3), strict=True):
            assert (found[0].key, found[0].examination) == (key, examination)
            assert 0.999 <= found[0].score <= 1.0


def test_filters_are_exact(data: Path) -> None:
    index = Index.open(data)
    query = ToyEncoder().encode_texts(["no haemorrhage"])
    found = index.search(Kind.SENTENCE, query, 100, examinations=np.array([2, 4]), assertions={"absent"})[0]
    assert sorted(neighbour.examination for neighbour in found) == [2, 4]
    everywhere = index.search(Kind.SENTENCE, query, 100)[0]
    assert len(everywhere) == index.counts[Kind.SENTENCE] == 12
    flair = index.search(Kind.SERIES, query, 100, sequence=MRSequence.FLAIR)[0]
    with CaseStore.open(data, read_only=True) as store:
        names = {series.sequence for series in store.series(neighbour.key for neighbour in flair).values()}
    assert len(flair) == 4
    assert names == {MRSequence.FLAIR}
    for nobody in (np.array([], np.int64), np.array([99, -1, 10**12])):
        assert index.search(Kind.SERIES, query, 5, examinations=nobody) == ((),)


def test_queries_that_cannot_be_searched_are_refused(data: Path) -> None:
    index = Index.open(data)
    with pytest.raises(VectorError, match="finite"):
        index.search(Kind.SERIES, np.full((1, 64), np.nan, np.float32), 3)
    with pytest.raises(VectorError, match="64"):
        index.search(Kind.SERIES, np.zeros((1, 384), np.float32), 3)
    assert len(index.search(Kind.SERIES, ToyEncoder().encode_texts(["x"]), 1_000_000_000)[0]) == 8


def test_no_index_is_said_with_the_way_to_one(tmp_path: Path) -> None:
    with pytest.raises(IndexMissing) as caught:
        Index.open(tmp_path)
    assert "rebuild" in caught.value.hint
    assert Index.current_name(tmp_path) is None


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0\0")


def object_array(path: Path) -> None:
    np.save(path.with_suffix(".npy"), np.array([{}], dtype=object), allow_pickle=True)
    path.with_suffix(".npy").replace(path)


@pytest.mark.parametrize("harm", [flip_a_bit, cut, empty, lengthen, Path.unlink, object_array])
@pytest.mark.parametrize("file", ["sentence.faiss", "series.keys.npy", "report.codes.npy", "manifest.json"])
def test_a_broken_generation_is_not_served(data: Path, file: str, harm) -> None:
    third, second, _ = generation_files.names(data)
    harm(folder_of(data, third) / file)
    index = Index.open(data)
    assert index.name == second
    assert any(third in note for note in index.notes)
    assert any(second in note for note in index.notes)
    problems, _ = verify(data)
    assert any(third in problem for problem in problems)


def test_files_of_another_generation_are_noticed(data: Path) -> None:
    third, second, _ = generation_files.names(data)
    shutil.rmtree(folder_of(data, third))
    shutil.copytree(folder_of(data, second), folder_of(data, third))
    assert Index.open(data).name == second


@pytest.mark.parametrize("content", [None, "", "000099-20260101T000000Z\n", "../../etc\n", "\x00\x01"])
def test_a_current_that_leads_nowhere_gives_the_newest_whole_one(data: Path, content: str | None) -> None:
    newest = generation_files.names(data)[0]
    if content is None:
        (data / generation_files.CURRENT).unlink()
    else:
        (data / generation_files.CURRENT).write_text(content)
    assert Index.open(data).name == newest


def test_rebuild_sets_a_broken_generation_aside_and_deletes_it_not(data: Path) -> None:
    third = generation_files.names(data)[0]
    flip_a_bit(folder_of(data, third) / "series.faiss")
    summary = rebuild(data, ToyEncoder())
    assert summary.switched
    assert summary.encoded == 0
    assert any(third in note for note in summary.notes)
    assert folder_of(data, f"{third}.bad").is_dir()
    assert Index.open(data).name == summary.generation
    problems, remarks = verify(data)
    assert problems == ()
    assert any(".bad" in remark for remark in remarks)


def test_two_older_generations_are_kept(data: Path) -> None:
    before = generation_files.names(data)
    name = rebuild(data, ToyEncoder(), full=True).generation
    assert generation_files.names(data) == (name, *before[:2])
    assert generation_files.current_name(data) == name


def test_generations_are_numbered_whatever_the_clock_says(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Past(generation_files.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(1970, 1, 1, tzinfo=tz)

    monkeypatch.setattr(generation_files, "datetime", Past)
    name = rebuild(data, ToyEncoder(), full=True).generation
    assert "19700101" in name
    assert generation_files.names(data)[0] == name
    (data / generation_files.CURRENT).unlink()
    assert Index.open(data).name == name


def test_an_open_index_outlives_its_folder(data: Path) -> None:
    index = Index.open(data)
    shutil.rmtree(data / generation_files.FOLDER)
    assert len(index.search(Kind.SERIES, ToyEncoder().encode_texts(["x"]), 5)[0]) == 5


def test_verify_names_what_the_index_has_too_many(data: Path) -> None:
    assert verify(data) == ((), ())
    with CaseStore.open(data) as store, store.connections.writing() as database:
        database.execute("DELETE FROM sentence_words WHERE rowid = 1")
        database.execute("UPDATE embedding SET item_id = 999 WHERE kind = 'series' AND item_id = 1")
    problems, remarks = verify(data)
    assert any("words of" in problem for problem in problems)
    assert any("belong to nothing" in problem for problem in problems)
    assert any("behind" in remark for remark in remarks)
