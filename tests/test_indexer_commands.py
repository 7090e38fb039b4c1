"""The indexer's commands: what they print, and how they end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from datasets import cut_in_half, write_bids
from toy_encoder import ToyEncoder
from typer.testing import CliRunner, Result

import encoders
from indexer import commands
from indexer.writer_lock import writer_lock


@pytest.fixture
def application(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    monkeypatch.setattr(encoders, "load", lambda *_: ToyEncoder())
    built = typer.Typer()
    commands.register(built)
    return built


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_bids(tmp_path / "bids")


def run(application: typer.Typer, data: Path, *words: str) -> Result:
    return CliRunner().invoke(application, [*words], env={"NEURORECALL_DATA": str(data)})


def document(result: Result) -> dict[str, Any]:
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


def test_from_a_dataset_to_an_index_and_back(application: typer.Typer, root: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    reports = str(root / "reports.tsv")
    dry = run(application, data, "ingest", str(root), "--reports", reports, "--dry-run", "--json")
    assert (dry.exit_code, document(dry)["added"]) == (0, 4)
    assert not data.exists()
    taken = run(application, data, "ingest", str(root), "--reports", reports)
    assert taken.exit_code == 0
    assert "4 examinations, 4 with a report: 4 added" in taken.stdout
    built = run(application, data, "rebuild", "--json")
    assert built.exit_code == 0
    first = document(built)["generation"]
    assert document(built)["encoded"] == 24
    status = document(run(application, data, "status", "--json"))
    assert status["counts"]["examinations"] == 4
    assert [one["name"] for one in status["generations"] if one["current"]] == [first]
    assert status["up_to_date"]
    second = document(run(application, data, "rebuild", "--full", "--json"))["generation"]
    assert run(application, data, "restore", first).exit_code == 0
    assert f"{first}, current" in run(application, data, "status").stdout
    assert run(application, data, "restore", second).exit_code == 0
    assert run(application, data, "verify").exit_code == 0
    key = commands_key(data)
    removed = run(application, data, "remove", key)
    assert removed.exit_code == 0
    assert document(run(application, data, "status", "--json"))["counts"]["examinations"] == 3
    assert run(application, data, "remove", key).exit_code == 1


def commands_key(data: Path) -> str:
    from indexer.case_store import CaseStore

    with CaseStore.open(data, read_only=True) as store:
        return store.examinations([1])[1].key


def test_refused_items_are_listed_and_end_with_three(application: typer.Typer, root: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    (root / "sub-03" / "anat" / "sub-03_T1w.nii.gz").write_bytes(b"")
    cut_in_half(root / "sub-02" / "anat" / "sub-02_T1w.nii.gz")
    taken = run(application, data, "ingest", str(root))
    assert taken.exit_code == 3
    assert "refused: sub-03/anat/sub-03_T1w.nii.gz" in taken.stdout
    assert "[empty_file]" in taken.stdout
    built = run(application, data, "rebuild", "--json")
    assert built.exit_code == 3
    assert [one["code"] for one in document(built)["refused"]] == ["truncated"]
    assert "[truncated]" in run(application, data, "status").stdout


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["rebuild", "--store", "milvus:http://x"], 2, "not in this build"),
        (["rebuild", "--ray", "auto"], 2, "--workers"),
        (["rebuild", "--workers", "0"], 2, "workers"),
        (["rebuild"], 1, "neurorecall ingest"),
        (["ingest", "/nowhere/at/all"], 1, "Expected a folder"),
        (["ingest", "dicomweb:pacs"], 1, "not in this build"),
        (["status"], 1, "no case store"),
        (["verify"], 1, "no case store"),
        (["restore", "000001-20260101T000000Z"], 1, "Expected one of the generations"),
        (["remove", "abc"], 1, "no case store"),
        (["remove"], 2, "KEY"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    application: typer.Typer, tmp_path: Path, words: list[str], status: int, text: str
) -> None:
    result = run(application, tmp_path / "data", *words)
    assert result.exit_code == status
    assert text in " ".join(result.output.replace("│", " ").split())
    assert "Traceback" not in result.output
    assert not (tmp_path / "data" / "cases.sqlite").exists()
    if status == 1:
        failed = run(application, tmp_path / "data", *words, "--json")
        assert failed.exit_code == 1
        assert document(failed)["status"] == "failed"


def test_a_locked_store_names_its_writer(application: typer.Typer, root: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert run(application, data, "ingest", str(root)).exit_code == 0
    with writer_lock(data):
        result = run(application, data, "rebuild", "--json")
    assert result.exit_code == 1
    assert document(result)["code"] == "locked"
    assert "since" in document(result)["message"]


def test_verify_ends_with_one_on_a_lie(application: typer.Typer, root: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    run(application, data, "ingest", str(root))
    name = document(run(application, data, "rebuild", "--json"))["generation"]
    path = data / "generations" / name / "series.faiss"
    content = bytearray(path.read_bytes())
    content[100] ^= 4
    path.write_bytes(content)
    result = run(application, data, "verify", "--json")
    assert result.exit_code == 1
    assert any("SHA-256" in problem for problem in document(result)["problems"])
