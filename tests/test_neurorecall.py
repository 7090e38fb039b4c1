"""The front door: every command of the contract is there, and the demo goes from nothing to an index that answers."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

import neurorecall

COMMANDS = (
    "demo", "ingest", "rebuild", "search", "score", "triage", "check-report", "serve", "export", "status", "verify",
    "restore", "remove", "train", "evaluate",
)  # fmt: skip


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small demo, made by the command itself."""
    data = tmp_path_factory.mktemp("demo")
    outcome = run("demo", "--data", str(data), "--cases", "10", "--no-serve")
    assert outcome.returncode == 0, outcome.stderr
    assert "neurorecall serve" in outcome.stdout
    return data


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "neurorecall", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_contract_is_there(command: str) -> None:
    outcome = CliRunner().invoke(neurorecall.build_application(), [command, "--help"])
    assert outcome.exit_code == 0
    assert command in outcome.output


def test_an_unknown_command_is_wrong_usage() -> None:
    assert CliRunner().invoke(neurorecall.build_application(), ["diagnose"]).exit_code == 2


@pytest.mark.slow
def test_the_demo_answers_in_words(demo: Path) -> None:
    outcome = run("search", "hydrocephalus", "--data", str(demo), "--json")
    assert outcome.returncode == 0, outcome.stderr
    answer = json.loads(outcome.stdout)
    assert answer["total"] == 10
    assert answer["hits"][0]["examination"]["diagnosis"] == "hydrocephalus"
    assert answer["hits"][0]["evidence"]


@pytest.mark.slow
def test_the_demo_finds_a_scan_that_is_shown_to_it_again(demo: Path) -> None:
    scan = sorted(demo.rglob("sub-*_FLAIR.nii.gz"))[0]
    outcome = run("search", "--scan", str(scan), "--data", str(demo), "--json")
    hits = json.loads(outcome.stdout)["hits"]
    assert hits[0]["score"] >= 0.999
    assert hits[0]["examination"]["participant"] in scan.name


@pytest.mark.slow
def test_a_second_demo_changes_nothing_and_the_index_verifies(demo: Path) -> None:
    before = json.loads(run("status", "--data", str(demo), "--json").stdout)
    again = run("demo", "--data", str(demo), "--cases", "10", "--no-serve")
    assert again.returncode == 0, again.stderr
    after = json.loads(run("status", "--data", str(demo), "--json").stdout)
    assert before["counts"] == after["counts"]
    assert run("verify", "--data", str(demo)).returncode == 0


@pytest.mark.slow
def test_the_demo_serves_its_pages_and_says_where(demo: Path, free_port: int) -> None:
    command = [sys.executable, "-m", "neurorecall", "serve", "--data", str(demo), "--port", str(free_port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            assert f"http://127.0.0.1:{free_port}" in server.stderr.readline()
            page = _page(f"http://127.0.0.1:{free_port}/?q=hydrocephalus")
            assert "Not a medical device" in page and "hydrocephalus" in page
        finally:
            server.terminate()
            server.wait(30)


def _page(url: str) -> str:
    for _ in range(150):
        try:
            response = httpx.get(url, timeout=30, trust_env=False, follow_redirects=True)
        except httpx.TransportError:
            time.sleep(0.2)
            continue
        assert response.status_code == 200, response.text
        return response.text
    pytest.fail("the server did not answer")
