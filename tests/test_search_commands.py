"""The search floor's commands: what they print, for people and for programs, and how they end."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import typer
from search_cases import CASES, build_archive, scan_of, write_volume
from test_report_check import FixedScores
from toy_encoder import ToyEncoder
from typer.testing import CliRunner, Result

import encoders
import search_api.commands
from indexer.case_store import CaseStore
from search_api.answers import BANNER, Answer
from search_api.scan_answers import ReportCheck, ScoreReport, Worklist


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    build_archive(folder)
    return folder


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "load", ToyEncoder)


def run(*arguments: object, data: Path | None = None) -> Result:
    app = typer.Typer()
    search_api.commands.register(app)
    where = ["--data", str(data)] if data else []
    return CliRunner().invoke(app, [*map(str, arguments), *where])


def document(result: Result) -> dict[str, object]:
    assert len(result.stdout.strip().splitlines()) == 1
    return json.loads(result.stdout)


def test_search_prints_plain_lines_with_the_banner(folder: Path) -> None:
    result = run("search", "hydrocephlus", data=folder / "data")
    assert result.exit_code == 0
    assert '"hydrocephlus" read as "hydrocephalus"' in result.stdout
    assert BANNER in result.stdout
    lines = [line.split("\t") for line in result.stdout.splitlines() if "\t" in line]
    assert lines[0][:3] == ["rank", "score", "key"]
    assert len(lines) == 11
    assert lines[1][0] == "1"


def test_search_prints_one_json_document(folder: Path) -> None:
    result = run("search", "glioma", "-k", "3", "--sex", "M", "--json", data=folder / "data")
    answer = Answer.from_dict(document(result))
    assert (result.exit_code, len(answer.hits)) == (0, 3)
    assert {hit.examination.sex for hit in answer.hits} == {"M"}


def test_search_takes_scans_examples_filters_and_literal_words(folder: Path) -> None:
    scan = scan_of(folder / "dataset", CASES[2], "FLAIR")
    found = Answer.from_dict(document(run("search", "--scan", scan, "--json", data=folder / "data")))
    assert "hy01" in found.hits[0].examination.participant
    assert found.findings
    like = Answer.from_dict(document(run("search", "--like", found.hits[0].key, "--json", data=folder / "data")))
    assert found.hits[0].key not in [hit.key for hit in like.hits]
    aged = Answer.from_dict(document(run("search", "MS", "--age", "30-34", "--json", data=folder / "data")))
    assert aged.total == sum(30 <= age <= 34 for age in (31, 31))
    literal = Answer.from_dict(document(run("search", "MS", "--literal", "--json", data=folder / "data")))
    assert literal.expanded == ()


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (["search"], 2, "empty_query"),
        (["search", ""], 2, "empty_query"),
        (["search", "?!"], 2, "no_words"),
        (["search", "glioma", "-k", "0"], 2, "bad_k"),
        (["search", "glioma", "-k", "1000000000"], 2, "bad_k"),
        (["search", "glioma", "--age", "old"], 2, "filter_error"),
        (["search", "--like", "nosuchcase00"], 1, "case_missing"),
        (["triage", "--operating-point", "best"], 2, "bad_operating_point"),
        (["export", "glioma", "--to", "x", "--format", "xml"], 2, "bad_format"),
    ],
)
def test_what_cannot_be_done_ends_with_its_status(folder: Path, arguments: list[str], status: int, code: str) -> None:
    result = run(*arguments, "--json", data=folder / "data")
    assert result.exit_code == status
    assert document(result)["code"] == code
    plain = run(*arguments, data=folder / "data")
    assert (plain.exit_code, plain.stdout) == (status, "")
    assert plain.stderr.strip()
    assert "Traceback" not in plain.stderr


def test_no_store_and_no_index_say_what_to_run(tmp_path: Path) -> None:
    nothing = run("search", "glioma", data=tmp_path / "nothing")
    assert nothing.exit_code == 1
    assert "neurorecall ingest" in nothing.stderr
    CaseStore.open(tmp_path / "empty").close()
    unindexed = run("search", "glioma", data=tmp_path / "empty")
    assert unindexed.exit_code == 1
    assert "neurorecall rebuild" in unindexed.stderr


def test_a_broken_scan_ends_the_search_and_is_left_out_of_a_score(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken_T1w.nii.gz"
    broken.write_bytes(scan_of(folder / "dataset", CASES[0], "T1w").read_bytes()[:500])
    result = run("search", "--scan", broken, data=folder / "data")
    assert result.exit_code == 1
    assert "broken_T1w.nii.gz" in result.stderr
    assert str(tmp_path) not in result.stderr
    scored = run("score", scan_of(folder / "dataset", CASES[0], "FLAIR"), broken, "--json")
    assert scored.exit_code == 3
    assert [item["item"] for item in document(scored)["refused"]] == ["broken_T1w.nii.gz"]
    assert run("score", broken).exit_code == 1


def test_score_gives_every_finding_with_the_abnormal_first(folder: Path, tmp_path: Path) -> None:
    result = run("score", scan_of(folder / "dataset", CASES[0], "FLAIR"), "--json")
    report = ScoreReport.from_dict({key: value for key, value in document(result).items() if key != "refused"})
    assert result.exit_code == 0
    assert report.findings[0] == report.abnormal
    assert report.series[0].sequence == "FLAIR"
    unnamed = write_volume(tmp_path / "volume.nii.gz", 3)
    refused = run("score", unnamed, "--json")
    assert (refused.exit_code, document(refused)["code"]) == (1, "unknown_sequence")
    assert run("score", unnamed, "--sequence", "t1 post").exit_code == 0
    assert run("score", unnamed, "--sequence", "T3").exit_code == 1
    assert "at most 1" in run("score", unnamed, "--sequence", "T1w", "--sequence", "T2w").stderr


def test_of_a_4d_file_the_volume_that_is_meant_is_scored(folder: Path, tmp_path: Path) -> None:
    one = nibabel.load(scan_of(folder / "dataset", CASES[0], "FLAIR"))
    several = tmp_path / "several_FLAIR.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.stack([one.get_fdata()] * 3, axis=-1), one.affine), several)
    assert "frame" in run("score", several).stderr
    for frame in ("2", "mean"):
        assert run("score", several, "--frame", frame).exit_code == 0
    for frame in ("3", "-1", "last"):
        assert run("score", several, "--frame", frame).exit_code == 1


def test_triage_lists_the_unreported(folder: Path) -> None:
    listed = Worklist.from_dict(document(run("triage", "--json", data=folder / "data")))
    assert len(listed.entries) == 2
    assert BANNER in run("triage", data=folder / "data").stdout


def test_check_report_prints_what_is_flagged_for_review(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoders, "load", lambda: FixedScores(hydrocephalus=0.95))
    scan = scan_of(folder / "dataset", CASES[0], "FLAIR")
    report = tmp_path / "report.txt"
    report.write_text("Findings: No hydrocephalus.", "utf-8")
    result = run("check-report", "--scan", scan, "--report", report)
    assert result.exit_code == 0
    assert "flagged for review" in result.stdout.casefold()
    checked = ReportCheck.from_dict(document(run("check-report", "--scan", scan, "--report", report, "--json")))
    assert [one.finding for one in checked.statements] == ["hydrocephalus"]
    assert run("check-report", "--scan", scan, "--report", tmp_path / "none.txt").exit_code == 1


def test_a_report_that_cannot_be_checked_is_said_to_be_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "load", FixedScores)
    report = tmp_path / "report.txt"

    def said(content: bytes, code: int) -> str:
        report.write_bytes(content)
        result = run("check-report", "--report", report)
        assert result.exit_code == code, result.output
        return result.output

    text = "FINDINGS: Right frontal mass.\nIMPRESSION: Left frontal mass."
    for encoding in ("utf-8", "utf-16"):
        found = said(text.encode(encoding), 0)
        assert "2 statements of findings and impression compared" in found and "1 flag for review." in found
    assert "Expected plain text" in said(bytes(range(256)) * 8, 2)
    assert "at most 100,000 characters" in said(b"No mass. " * 100_000, 2)
    foreign = said(b"Nessun meningioma. Nessuna emorragia.", 0)
    assert "not seem to be in English" in foreign and "Nothing could be compared." in foreign
    assert "Nothing is flagged" not in foreign and "Nothing flagged" not in foreign


def test_export_writes_a_cohort_and_says_what_it_left_out(folder: Path, tmp_path: Path) -> None:
    result = run("export", "multiple", "sclerosis", "--to", tmp_path / "table", "-k", "5", data=folder / "data")
    assert result.exit_code == 0
    assert len((tmp_path / "table" / "cases.csv").read_text("utf-8").splitlines()) >= 6
    dataset = run("export", "MS", "--to", tmp_path / "bids", "--format", "bids", "--json", data=folder / "data")
    assert document(dataset)["cases"] == len(CASES)
    assert len(list((tmp_path / "bids").rglob("*.nii.gz"))) == 2 * len(CASES)
    again = run("export", "MS", "--to", tmp_path / "bids", "--format", "bids", data=folder / "data")
    assert again.exit_code == 1


def test_a_refused_file_is_named_once(folder: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).normal(500, 100, (24, 24, 24)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(noise, np.diag([4.0, 4.0, 4.0, 1.0])), tmp_path / "noise_FLAIR.nii.gz")
    refused = run("suggest", tmp_path / "noise_FLAIR.nii.gz", "--json", data=folder / "data")
    whole = run(
        "suggest",
        scan_of(folder / "dataset", CASES[0], "T1w"),
        tmp_path / "noise_FLAIR.nii.gz",
        "--json",
        data=folder / "data",
    )
    for result in (refused, whole):
        assert result.exit_code == 1
        assert str(document(result)["message"]).count("noise_FLAIR.nii.gz") == 1


def test_score_takes_an_operating_point(folder: Path) -> None:
    scan = scan_of(folder / "dataset", CASES[0], "T1w")
    assert run("score", scan, "--operating-point", "best").exit_code == 2
    assert run("score", scan, "--operating-point", "sensitivity=0.95").exit_code == 0
