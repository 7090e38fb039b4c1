"""The audit of the command line: what each command leaves, and `neurorecall audit export|verify|prune`."""

from __future__ import annotations

import csv
import getpass
import io
import json
import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from audit_cases import break_audit, fill_disk, free_disk, mend_audit, newest, recorded, write
from search_cases import CASES, build_archive, scan_of
from toy_encoder import ToyEncoder
from typer.testing import CliRunner, Result

import encoders
import neurorecall
from indexer.generation_files import current_name
from search_api.audit_chain import AuditTrail
from search_api.audit_records import Entry

ME = f"os:{pwd.getpwuid(os.getuid()).pw_name}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    build_archive(folder)
    return folder


@pytest.fixture
def data(folder: Path) -> Path:
    return folder / "data"


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(encoders, "load", lambda *_: ToyEncoder())
    monkeypatch.setenv("NEURORECALL_DATA", str(folder / "data"))
    monkeypatch.setenv("LOGNAME", "somebody-else")
    assert getpass.getuser() == "somebody-else"  # an environment variable, which the audit does not believe


def run(*arguments: object) -> Result:
    return CliRunner().invoke(neurorecall.build_application(), [*map(str, arguments)])


def new(data: Path, *arguments: object, status: int = 0) -> list[dict[str, Any]]:
    """What a command adds to the audit."""
    before = len(recorded(data)) if (data / "audit").is_dir() else 0
    result = run(*arguments)
    assert result.exit_code == status, result.output
    return recorded(data)[before:]


def test_a_search_leaves_one_record_with_the_cases_it_shows(data: Path) -> None:
    result = run("search", "hydrocephalus", "-k", "3", "--sex", "M", "--json")
    record = recorded(data)[-1]
    assert (record["who"], record["action"], record["outcome"]) == (ME, "search", "done")
    assert record["query"] == {"q": "hydrocephalus", "k": 3, "page": 1, "sex": "M"}
    answer = json.loads(result.stdout)
    assert record["cases"] == [hit["key"] for hit in answer["hits"]]
    assert record["generation"] == answer["generation"]


def test_each_command_says_what_it_asked_and_showed(data: Path, folder: Path, tmp_path: Path) -> None:
    scan = scan_of(folder / "dataset", CASES[0], "FLAIR")
    report = tmp_path / "report.txt"
    report.write_text("Findings: No hydrocephalus.", "utf-8")
    (record,) = new(data, "search", "--scan", scan)
    assert (record["query"]["scans"], len(record["cases"])) == (["FLAIR"], 10)
    key = record["cases"][0]
    (record,) = new(data, "score", scan)
    assert (record["action"], record["query"]) == ("score", {"scans": ["FLAIR"]})
    (record,) = new(data, "triage", "--operating-point", "sensitivity=0.95")
    assert len(record["cases"]) == 2
    (record,) = new(data, "suggest", "--key", key)
    assert (record["query"], record["cases"][0]) == ({"key": key}, key)
    (record,) = new(data, "check-report", "--scan", scan, "--report", report)
    assert record["query"] == {"report_characters": 27, "scans": ["FLAIR"]}
    assert [one["action"] for one in (*new(data, "status"), *new(data, "verify"))] == ["status", "verify"]
    begun, done = new(data, "export", "multiple", "sclerosis", "--to", tmp_path / "cohort", "-k", "4")
    assert (begun["outcome"], done["outcome"]) == ("begun", "done")
    assert begun["cases"] == done["cases"]
    assert len(done["cases"]) == 4
    assert done["query"] == {"q": "multiple sclerosis", "k": 4, "format": "csv"}
    assert str(tmp_path) not in str(recorded(data))
    assert scan.name not in str(recorded(data))


def test_what_changes_the_archive_is_recorded_when_it_begins_and_when_it_ends(tmp_path: Path) -> None:
    data = tmp_path / "data"
    build_archive(tmp_path / "source")
    dataset = tmp_path / "source" / "dataset"
    where = ("--data", data)
    assert run("ingest", dataset, *where, "--reports", dataset / "reports.tsv", "--dry-run").exit_code == 0
    assert not data.exists()
    begun, done = new(data, "ingest", dataset, *where, "--reports", dataset / "reports.tsv")
    assert (begun["action"], begun["outcome"], done["outcome"]) == ("ingest", "begun", "done")
    assert begun["request_id"] == done["request_id"]
    assert done["query"]["added"] == len(CASES)
    begun, done = new(data, "rebuild", *where)
    assert done["generation"]
    (record,) = new(data, "search", "glioma", *where)
    key = record["cases"][0]
    begun, done = new(data, "remove", key, *where)
    assert (begun["cases"], done["cases"], done["outcome"]) == ([key], [key], "done")
    assert (key in str(recorded(data)[-3]), recorded(data)[-3]["action"]) == (True, "search")  # its past stays
    begun, failed = new(data, "remove", "nothing", *where, status=1)
    assert (failed["cases"], failed["outcome"]) == (["nothing"], "failed case_missing")
    begun, failed = new(data, "restore", "000009-x", *where, status=1)
    assert failed["query"] == {"generation": "000009-x"}
    begun, done = new(data, "restore", str(current_name(data)), *where)
    assert (done["outcome"], done["generation"]) == ("done", current_name(data))


def test_what_cannot_be_done_is_recorded_with_its_code(data: Path) -> None:
    (record,) = new(data, "search", "glioma", "--age", "old", status=2)
    assert (record["outcome"], record["cases"]) == ("failed filter_error", [])
    (record,) = new(data, "search", "--like", "nosuchcase00", status=1)
    assert record["outcome"] == "failed case_missing"
    (record,) = new(data, "suggest", status=2)
    assert record["outcome"] == "failed wrong_usage"


def test_help_and_what_cannot_be_read_leave_nothing(data: Path) -> None:
    assert new(data, "search", "--help") == []
    assert new(data, "search", "-k", "many", status=2) == []
    assert new(data, "audit", "verify") == []


def test_where_there_is_no_data_directory_only_what_makes_one_is_recorded(tmp_path: Path) -> None:
    assert run("search", "glioma", "--data", tmp_path / "nothing").exit_code == 1
    assert not (tmp_path / "nothing").exists()


def test_without_an_audit_nothing_is_printed_and_nothing_is_done(data: Path, tmp_path: Path) -> None:
    key = recorded(data)[-1]["cases"][0] if run("search", "glioma").exit_code == 0 else ""
    kept = fill_disk(data)
    for arguments in (
        ("search", "glioma"),
        ("search", "glioma", "--json"),
        ("triage",),
        ("export", "glioma", "--to", tmp_path / "cohort"),
        ("remove", key),
    ):
        result = run(*arguments)
        assert result.exit_code == 1
        assert key not in result.output
        assert result.output.count("no space left for the audit") == 1
    assert not (tmp_path / "cohort").exists()
    free_disk(data, kept)
    assert run("suggest", "--key", key).exit_code == 0  # it was not removed
    break_audit(data)
    assert "cannot be written" in run("search", "glioma").stderr
    mend_audit(data)
    assert run("search", "glioma").exit_code == 0


def test_audit_export_as_csv_guards_against_formulas_and_as_json_lines_is_the_record(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write(data, 3)
    AuditTrail(data).append(Entry("=cmd()", "search", {"q": "=1+1"}, ("a1", "a2"), "", "200", ""))
    rows = list(csv.DictReader(io.StringIO(run("audit", "export", "--data", data).stdout)))
    assert [row["sequence"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert (rows[3]["who"], rows[3]["cases"], rows[3]["query"]) == ("'=cmd()", "a1 a2", '{"q": "=1+1"}')
    assert (rows[4]["action"], rows[4]["who"]) == ("audit export", ME)
    lines = run("audit", "export", "--data", data, "--format", "jsonl", "--who", "=cmd()").stdout.splitlines()
    assert [json.loads(line) for line in lines] == [recorded(data)[3]]
    document = json.loads(run("audit", "export", "--data", data, "--json", "--action", "search").stdout)
    assert len(document["records"]) == 4


def test_audit_export_by_days_and_into_a_new_private_file(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write(data, 2)
    today = recorded(data)[0]["utc"][:10]
    for since, until, count in ((today, today, 3), ("2001-01-01", "2001-12-31", 0), (today[:4], "", 4)):
        file = tmp_path / f"{since}{until}.csv"
        arguments = ("audit", "export", "--data", data, "--since", f"{since}-01" if len(since) == 4 else since)
        result = run(*arguments, "--until", until, "--to", file)
        if len(since) == 4:
            assert result.exit_code == 0
            continue
        assert result.stdout == f"{count} records written.\n"
        assert file.stat().st_mode & 0o777 == 0o600
        assert len(file.read_text("utf-8").splitlines()) == count + 1
    assert run("audit", "export", "--data", data, "--to", file.with_name(f"{today}{today}.csv")).exit_code == 1
    assert run("audit", "export", "--data", data, "--since", "yesterday").exit_code != 0


def test_audit_verify_gives_the_head_and_names_what_lies(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write(data, 4)
    document = json.loads(run("audit", "verify", "--data", data, "--json").stdout)
    head = recorded(data)[-1]["hash"]
    assert (document["status"], document["records"]) == ("done", 4)
    assert document["head"] == {"sequence": 4, "hash": head}
    plain = run("audit", "verify", "--data", data, "--head", head)
    assert plain.exit_code == 0
    assert f"Head: 4 {head}" in plain.stdout
    assert "The chain holds." in plain.stdout
    newest(data).write_bytes(newest(data).read_bytes().replace(b"glioma 1", b"stroke 1"))
    lying = run("audit", "verify", "--data", data)
    assert lying.exit_code == 1
    assert lying.stdout.startswith("Record 2 (000001.jsonl, line 2) was changed")
    assert json.loads(run("audit", "verify", "--data", data, "--json").stdout)["status"] == "failed"
    assert run("audit", "verify", "--data", data, "--head", "0" * 64).exit_code == 1
    nothing = run("audit", "verify", "--data", tmp_path / "nothing")
    assert (nothing.exit_code, "no audit here" in nothing.stderr) == (1, True)


def test_audit_prune_keeps_the_chain_and_says_who(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    for module in ("audit_records", "audit_chain"):
        monkeypatch.setattr(f"search_api.{module}.now", lambda: "2026-01-15T08:00:00.000Z")
    write(data, 4)
    monkeypatch.undo()
    write(data, 1)
    result = run("audit", "prune", "--data", data, "--before", "2026-02-01")
    assert result.stdout == "4 records deleted.\n"
    last = recorded(data)[-1]
    assert (last["action"], last["who"], last["query"]["records"]) == ("audit-pruned", ME, 4)
    assert run("audit", "verify", "--data", data).exit_code == 0
    assert run("audit", "prune", "--data", data, "--before", "soon").exit_code == 2
    assert recorded(data)[-1]["outcome"] == "failed bad_before"
    assert run("audit", "prune", "--data", data, "--before", "2026-02-01").stdout == "0 records deleted.\n"
    assert (recorded(data)[-1]["action"], recorded(data)[-1]["outcome"]) == ("audit prune", "done")
