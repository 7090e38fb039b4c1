"""What stored files of another release, a broken disk or a careless hand get, beside what `make faults` damages."""

from __future__ import annotations

import json
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from http_cases import serving
from indexed import again, make_archive
from toy_encoder import ToyEncoder

from indexer import generation_files, generation_manifest
from indexer.case_store import CaseStore
from indexer.embedding_store import EmbeddingBatch
from indexer.generation_files import Contents
from indexer.generation_manifest import GenerationError, Manifest, digest_of
from indexer.generations import Index, Kind, write_index
from indexer.ingest import ingest
from indexer.rebuild import rebuild
from indexer.restoring import restore_generation
from indexer.schema import SCHEMA, StoreError
from indexer.verification import verify
from search_api.engine import EncoderMismatch, SearchEngine


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four examinations and two generations."""
    _, data = make_archive(tmp_path_factory.mktemp("archive"))
    rebuild(data, ToyEncoder())
    rebuild(data, ToyEncoder(), full=True)
    return data


@pytest.fixture
def data(archive: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(archive, tmp_path / "data"))


def folder_of(data: Path, name: str | None = None) -> Path:
    return data / generation_files.FOLDER / (name or str(generation_files.current_name(data)))


def rewrite_manifest(folder: Path, *, without: tuple[str, ...] = (), **changes: object) -> None:
    body = {**json.loads((folder / "manifest.json").read_text()), **changes}
    body = {name: value for name, value in body.items() if name not in (*without, "digest")}
    (folder / "manifest.json").write_text(json.dumps({**body, "digest": digest_of(body)}))


def test_a_manifest_says_what_its_generation_was_made_of_and_by(data: Path) -> None:
    body = json.loads((folder_of(data) / "manifest.json").read_text())
    assert (body["format"], body["metric"], body["dim"]) == (2, "inner_product", 64)
    assert (body["encoder_id"], body["preprocessing"]) == ("toy-64", "block means")
    assert body["counts"] == {"series": 8, "report": 4, "sentence": 12}
    assert set(body["files"]) == {path.name for path in folder_of(data).iterdir()} - {"manifest.json"}
    assert {len(seal["sha256"]) for seal in body["files"].values()} == {64}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder_of(data).iterdir()} == {0o600}
    assert stat.S_IMODE((data / "cases.sqlite").stat().st_mode) == 0o600


def test_a_generation_of_the_first_format_is_served_until_a_rebuild(data: Path) -> None:
    rewrite_manifest(folder_of(data), without=("preprocessing", "replaces"), format=1)
    with SearchEngine.open(data, ToyEncoder()) as engine:
        assert engine.generation == generation_files.current_name(data)
        assert engine.notices == ()
    assert verify(data) == ((), ())
    assert rebuild(data, ToyEncoder()).switched
    assert Index.open(data).preprocessing == "block means"


def test_a_generation_of_a_newer_format_is_refused_by_name(data: Path) -> None:
    rewrite_manifest(folder_of(data), format=generation_manifest.FORMAT + 1)
    with pytest.raises(GenerationError, match="format 2 or older, found 3"):
        Index.open_generation(data, str(generation_files.current_name(data)))
    assert Index.open(data).notes


def test_another_preprocessing_is_refused_and_built_anew(data: Path) -> None:
    class Other(ToyEncoder):
        preprocessing_id = "other means"

    with pytest.raises(EncoderMismatch):
        SearchEngine.open(data, Other())
    assert rebuild(data, Other()).switched
    with SearchEngine.open(data, Other()) as engine:
        assert engine.search(text="mass").hits


def test_a_manifest_that_seals_too_few_files_is_refused(data: Path) -> None:
    body = json.loads((folder_of(data) / "manifest.json").read_text())
    del body["files"]["series.keys.npy"]
    rewrite_manifest(folder_of(data), files=body["files"])
    with pytest.raises(GenerationError, match="seals 12 files, found 11"):
        Manifest.from_json((folder_of(data) / "manifest.json").read_text())
    (folder_of(data) / "stray.faiss").touch()
    assert any("seals 12" in problem for problem in verify(data)[0])


def test_verify_lists_the_ids_that_index_and_store_do_not_share(data: Path) -> None:
    current = Index.open(data)

    def but_the_last(kind: Kind) -> Iterator[EmbeddingBatch]:
        yield current.batch(kind, np.arange(current.counts[kind] - (kind is Kind.SENTENCE)))

    counts = {kind: current.counts[kind] - (kind is Kind.SENTENCE) for kind in Kind}
    batches = {kind: but_the_last(kind) for kind in Kind}
    contents = Contents("toy-64", "block means", 64, current.content, counts, batches)
    generation_files.switch(data, write_index(data, contents))
    problems, _ = verify(data)
    assert len(problems) == 1
    assert "expected the 12 stored vectors of kind sentence, found 11; different are 12" in problems[0]


def test_a_broken_generation_is_told_by_a_server_and_renamed_by_the_next_writer(data: Path) -> None:
    name = str(generation_files.current_name(data))
    older = generation_files.names(data)[1]
    (folder_of(data) / "series.faiss").write_bytes(b"")
    with serving(data) as client:
        ready = client.get("/readyz").json()
        assert ready["ready"]
        assert any(name in notice for notice in ready["notices"])
        assert any(older in notice for notice in client.get("/api/status").json()["notices"])
        assert client.get("/api/search?q=mass").json()["generation"] == older
    assert folder_of(data).is_dir()
    notes = restore_generation(data, older)
    assert any(f"{name}.bad" in note for note in notes)
    assert folder_of(data, f"{name}.bad").is_dir()
    with pytest.raises(GenerationError):
        restore_generation(data, name)


def test_ingest_renames_a_broken_generation_too(tmp_path: Path) -> None:
    root, data = make_archive(tmp_path)
    name = rebuild(data, ToyEncoder()).generation
    (folder_of(data) / "manifest.json").write_bytes(b"{}")
    summary = ingest(root, data, reports=root / "reports.tsv")
    assert any(f"{name}.bad" in note for note in summary.notes)
    assert rebuild(data, ToyEncoder()).generation > name


def test_a_generation_that_cannot_be_read_for_a_while_is_not_called_broken(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(generation_files, "_sha256", closed)
        notes = generation_files.set_broken_aside(data)
    assert len(notes) == 2
    assert generation_files.bad_names(data) == ()


def test_what_was_acknowledged_needs_no_log(tmp_path: Path) -> None:
    root, data = make_archive(tmp_path)
    rebuild(data, ToyEncoder())
    for path in data.glob("cases.sqlite-*"):
        path.unlink()
    with CaseStore.open(data, read_only=True) as store:
        assert store.counts().examinations == 4
    again(root, data)
    assert verify(data) == ((), ())


def test_a_damaged_page_is_told_and_answered_with_the_way_out(data: Path) -> None:
    with serving(data) as client:
        assert client.get("/api/search?q=mass").status_code == 200
    content = (data / "cases.sqlite").read_bytes()
    (data / "cases.sqlite").write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    with serving(data) as client:
        answer = client.get("/api/search?q=mass")
        assert (answer.status_code, answer.json()["code"]) == (503, "store_damaged")
        assert "verify" in answer.json()["hint"]
        assert client.get("/healthz").status_code == 200
    with pytest.raises(StoreError) as caught:
        verify(data)
    assert "--backup" in caught.value.hint


def test_a_damaged_list_of_terms_leaves_the_shipped_ones(data: Path) -> None:
    for content in ("{", "[[]]", '[["a", 1]]', '{"a": "b"}'):
        (data / "terms.json").write_text(content)
        with SearchEngine.open(data, ToyEncoder()) as engine:
            assert any("terms" in notice for notice in engine.notices)
            assert engine.search(text="mass").hits


def test_a_copy_before_a_migration_is_whole_and_private(data: Path) -> None:
    with closing(sqlite3.connect(data / "cases.sqlite", isolation_level=None)) as database:
        database.execute("ALTER TABLE series DROP COLUMN unscorable")
        database.execute(f"PRAGMA user_version = {SCHEMA - 1}")
    CaseStore.open(data).close()
    copy = data / f"cases.schema{SCHEMA - 1}.bak"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with closing(sqlite3.connect(f"{copy.as_uri()}?mode=ro&immutable=1", uri=True)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (SCHEMA - 1,)
        assert database.execute("SELECT count(*) FROM examination").fetchone() == (4,)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
