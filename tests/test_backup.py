"""Backups and what comes back from them: checked before, kept aside after, row ids never given twice."""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
import typer
from audit_cases import recorded, write
from datasets import write_scan
from indexed import again, key_of, make_archive
from toy_encoder import ToyEncoder
from typer.testing import CliRunner, Result

import encoders
from indexer import commands
from indexer.backup import BackupError, make_backup, restore_backup
from indexer.case_store import CaseStore
from indexer.generation_manifest import digest_of
from indexer.generations import Index, Kind
from indexer.ingest import ingest
from indexer.pseudonyms import PseudonymError, Pseudonyms
from indexer.rebuild import rebuild
from indexer.removal import remove_cases
from indexer.schema import StoreError
from indexer.verification import verify
from indexer.writer_lock import LockedError, writer_lock
from search_api.api_keys import ApiKeys
from search_api.audit_reading import verify as verify_audit
from search_api.engine import SearchEngine
from search_api.principals import Role


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root, data = make_archive(tmp_path)
    write_scan(tmp_path / "clinic" / "Doe, Jane" / "scan_FLAIR.nii.gz", seed=5)
    ingest(tmp_path / "clinic", data)
    rebuild(data, ToyEncoder())
    return root


@pytest.fixture
def data(root: Path) -> Path:
    return root.parent / "data"


@pytest.fixture
def application(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    monkeypatch.setattr(encoders, "load", lambda *_: ToyEncoder())
    built = typer.Typer()
    commands.register(built)
    return built


def run(application: typer.Typer, data: Path, *words: str) -> Result:
    return CliRunner().invoke(application, [*words], env={"NEURORECALL_DATA": str(data)})


def document(result: Result) -> dict[str, Any]:
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


def keys_in(data: Path) -> set[str]:
    with CaseStore.open(data, read_only=True) as store:
        return {case.key for case in store.examinations(range(100)).values()}


def test_a_backup_holds_all_that_cannot_be_made_again_and_is_private(
    application: typer.Typer, data: Path, tmp_path: Path
) -> None:
    (data / "terms.json").write_text('[["mass", "lesion"]]')
    (data / "kept-by-another-part.log").write_text("a line\n")
    folder = tmp_path / "backups" / "monday"
    made = document(run(application, data, "backup", str(folder), "--json"))
    assert made["examinations"] == 5
    files = {"cases.sqlite", "pseudonym.key", "terms.json", "kept-by-another-part.log"}
    assert set(made["files"]) == files
    assert {path.name for path in folder.iterdir()} == files | {"backup.json"}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    before = keys_in(data)
    shutil.rmtree(data)
    back = run(application, data, "restore", "--backup", str(folder))
    assert back.exit_code == 0
    assert "5 examinations" in back.stdout
    assert keys_in(data) == before
    # The same person has the same pseudonym again.
    assert ingest(tmp_path / "clinic", data).unchanged == 1
    assert run(application, data, "rebuild").exit_code == 0
    assert verify(data) == ((), ())


def test_a_backup_that_cannot_be_made_is_refused(application: typer.Typer, data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    assert run(application, data, "backup", str(folder)).exit_code == 0
    taken = run(application, data, "backup", str(folder), "--json")
    assert (taken.exit_code, document(taken)["code"]) == (1, "backup_exists")
    inside = run(application, data, "backup", str(data / "backup"), "--json")
    assert (inside.exit_code, document(inside)["code"]) == (1, "inside_data")
    nothing = run(application, tmp_path / "nowhere", "backup", str(tmp_path / "b"), "--json")
    assert (nothing.exit_code, document(nothing)["code"]) == (1, "store_missing")
    assert not (tmp_path / "b").exists()
    assert run(application, data, "restore").exit_code == 2
    assert run(application, data, "restore", "000001-20260101T000000Z", "--backup", str(folder)).exit_code == 2


def test_what_a_restoring_replaces_is_kept_and_ids_are_never_given_again(data: Path, root: Path) -> None:
    folder = root.parent / "backup"
    make_backup(data, folder)
    write_scan(root / "sub-09" / "anat" / "sub-09_T1w.nii.gz", seed=77)
    again(root, data)
    rebuild(data, ToyEncoder())
    with CaseStore.open(data, read_only=True) as store:
        newest = store.id_of(key_of(data, "sub-09"))
        series = int(Index.open(data).keys(Kind.SERIES).max())
    summary = restore_backup(data, folder)
    kept = data / summary.kept
    assert {path.name for path in kept.iterdir()} == {"cases.sqlite", "pseudonym.key"}
    assert key_of(kept, "sub-09")
    # The generation knows sub-09 still; nobody else gets its ids, and it is not answered.
    with SearchEngine.open(data, ToyEncoder()) as engine:
        assert newest not in {engine.store.id_of(hit.key) for hit in engine.search(text="mass", k=50).hits}
    write_scan(root.parent / "other" / "sub-zz" / "anat" / "sub-zz_T1w.nii.gz", seed=78)
    ingest(root.parent / "other", data)
    rebuild(data, ToyEncoder())
    with CaseStore.open(data, read_only=True) as store:
        assert store.id_of(key_of(data, "sub-zz")) > newest
    assert Index.open(data).keys(Kind.SERIES).max() > series
    assert verify(data) == ((), ())


@pytest.mark.parametrize("file", ["cases.sqlite", "pseudonym.key", "backup.json"])
@pytest.mark.parametrize("harm", ["bit", "cut", "gone"])
def test_a_backup_that_is_not_as_it_was_written_replaces_nothing(data: Path, root: Path, file: str, harm: str) -> None:
    folder = root.parent / "backup"
    make_backup(data, folder)
    content = bytearray((folder / file).read_bytes())
    content[len(content) // 2] ^= 1
    if harm == "gone":
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(bytes(content) if harm == "bit" else content[:-9])
    before = keys_in(data)
    with pytest.raises(BackupError) as caught:
        restore_backup(data, folder)
    assert caught.value.code == "bad_backup"
    assert keys_in(data) == before
    assert not list(data.glob("replaced-*"))
    assert verify(data) == ((), ())


def test_nothing_is_restored_under_a_server_or_beside_a_writer(data: Path, root: Path) -> None:
    folder = root.parent / "backup"
    make_backup(data, folder)
    with CaseStore.open(data, read_only=True) as store:
        assert store.counts().examinations == 5
        with pytest.raises(BackupError) as caught:
            restore_backup(data, folder)
        assert caught.value.code == "in_use"
        assert store.counts().examinations == 5
    with writer_lock(data), pytest.raises(LockedError):
        restore_backup(data, folder)
    assert verify(data)[0] == ()


def test_a_removal_deletes_the_copies_that_hold_the_case(data: Path, root: Path) -> None:
    folder = root.parent / "backup"
    make_backup(data, folder)
    kept = restore_backup(data, folder).kept
    shutil.copy(data / "cases.sqlite", data / "cases.schema3.bak")
    summary = remove_cases(data, [key_of(data, "sub-02")])
    assert {kept, "cases.schema3.bak"} == set(summary.deleted)
    assert not (data / kept).exists()
    assert not (data / "cases.schema3.bak").exists()


def test_cases_that_are_lost_are_not_begun_anew(data: Path, root: Path) -> None:
    for harm in ("gone", "empty"):
        for path in data.glob("cases.sqlite*"):
            if not path.name.endswith(".seal"):
                path.unlink()
        if harm == "empty":
            (data / "cases.sqlite").touch()
        with pytest.raises(StoreError) as caught:
            again(root, data)
        assert caught.value.code == "store_lost"
        assert "--backup" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"zz", b"ab" * 32 + b" 0123456789abcdef\n", b"ab" * 31])
def test_a_key_of_pseudonyms_that_changed_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pseudonym.key").write_bytes(content)
    with pytest.raises(PseudonymError):
        Pseudonyms.open(tmp_path)


def test_keys_of_earlier_releases_are_read(tmp_path: Path) -> None:
    (tmp_path / "pseudonym.key").write_bytes(b"ab" * 32)
    assert Pseudonyms.open(tmp_path).name("p", "x") == Pseudonyms(b"\xab" * 32).name("p", "x")


def test_keys_and_audit_come_back_to_a_new_machine_and_the_chain_goes_on(data: Path, tmp_path: Path) -> None:
    _, key = ApiKeys(data).add("ward-7", Role.READER, 1)
    write(data, 3)
    make_backup(data, tmp_path / "backup")
    fresh = tmp_path / "fresh"
    restore_backup(fresh, tmp_path / "backup")
    assert ApiKeys(fresh).owner(key) is not None
    write(fresh, 1)
    assert [one["sequence"] for one in recorded(fresh)] == [1, 2, 3, 4]
    assert not verify_audit(fresh).problems
    # What is there already has gone on since, and stays.
    write(data, 2)
    restore_backup(data, tmp_path / "backup")
    assert len(recorded(data)) == 5


@pytest.mark.parametrize("name", ["../evil", "audit/../../evil", "/etc/evil", "generations/evil", "audit/"])
def test_a_manifest_that_names_a_place_outside_is_refused(data: Path, tmp_path: Path, name: str) -> None:
    make_backup(data, tmp_path / "backup")
    manifest = tmp_path / "backup" / "backup.json"
    body = json.loads(manifest.read_text("utf-8"))
    body.pop("digest")
    body["files"][name] = {"size": 0, "sha256": hashlib.sha256(b"").hexdigest()}
    manifest.write_text(json.dumps({**body, "digest": digest_of(body)}), "utf-8")
    with pytest.raises(BackupError, match="found a path"):
        restore_backup(tmp_path / "fresh", tmp_path / "backup")
