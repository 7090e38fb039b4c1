"""What the commands of training and evaluation refuse: in one sentence, with exit status 1 or 2, before a long run."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

import encoders
import neurorecall
from encoders.bundle import PRETRAINED
from training import evaluation_commands, evaluation_making
from training.evaluated_data import EvaluatedData, Phantoms, folder_hash
from training.evaluation_html import Chapter
from training.reading_delay import Department

pytestmark = pytest.mark.slow

CONFIGS = Path(neurorecall.__file__).parent / "training" / "configs"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(neurorecall.build_application(), [str(one) for one in arguments])


def refused(told: Result, *words: str) -> None:
    assert told.exit_code in (1, 2), told.output
    assert isinstance(told.exception, SystemExit), told.exception
    said = " ".join(told.output.replace("│", " ").split())
    assert "Traceback" not in said and all(word in said for word in words), said


def with_line(folder: Path, name: str, line: str) -> Path:
    """A shipped configuration with one of its lines replaced."""
    key = line.partition(" =")[0]
    lines = (CONFIGS / name).read_text("utf-8").splitlines()
    assert any(one.startswith(f"{key} =") for one in lines)
    path = folder / name
    path.write_text("\n".join(line if one.startswith(f"{key} =") else one for one in lines), "utf-8")
    return path


@pytest.mark.parametrize(
    "line",
    [
        "examinations = -5", "examinations = 0", "examinations = 31", 'examinations = "x"', "examinations = 2.5",
        "examinations = true", "seed = -1", 'seed = "x"', "workers = 0", "sequences = []", 'sequences = "T1w"',
        "sequences = [1]", 'sequences = ["T9"]', "operating_point = 5", 'operating_point_abnormal = "often"',
    ],
)  # fmt: skip
def test_a_configuration_of_calibration_that_cannot_be_is_refused(tmp_path: Path, line: str) -> None:
    refused(
        run("train", "calibrate", with_line(tmp_path, "calibration.toml", line)),
        "Expected" if "T9" not in line else "T9",
    )


@pytest.mark.parametrize(
    "line",
    [
        "checkpoint_every = 0", "threads = -1", "heads = 7", "layers = 0", "batch = 0", "warm_up = -3",
        "learning_rate = nan", "learning_rate = inf", "size = 0", "kept_back_percent = -1",
    ],
)  # fmt: skip
def test_a_configuration_of_neurobert_that_cannot_be_is_refused(tmp_path: Path, line: str) -> None:
    config = with_line(tmp_path, "neurobert.toml", line)
    refused(run("train", "neurobert", config, "--text", tmp_path, "--out", tmp_path / "out"), "Expected")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("line", ["learning_rate = nan", "weight_decay = inf", "phantoms = 0"])
def test_a_configuration_of_vision_that_cannot_be_is_refused(tmp_path: Path, line: str) -> None:
    config = with_line(tmp_path, "vision.toml", line)
    refused(run("train", "vision", config, "--out", tmp_path / "out"), line.partition(" ")[0])


COMMANDS = ("text", "assertions", "deidentification", "vision", "retrieval", "evidence", "report-check", "suggestions")


@pytest.mark.parametrize("command", [*COMMANDS, "calibration", "triage", "all"])
def test_a_report_that_cannot_be_written_is_refused_before_the_run(tmp_path: Path, command: str) -> None:
    for bad in (tmp_path / "none" / "report.html", tmp_path, Path("/proc/report.html")):
        refused(run("evaluate", command, "--html", bad), "--html", "cannot be written")
    (tmp_path / "report.html").write_text("old")
    wrong = run("evaluate", command, "--html", tmp_path / "report.html", "--colour")
    assert wrong.exit_code == 2 and (tmp_path / "report.html").read_text() == "old"


@pytest.mark.parametrize("command", ["calibration", "triage"])
def test_a_plot_that_cannot_be_drawn_is_refused_before_the_run(tmp_path: Path, command: str) -> None:
    refused(run("evaluate", command, "--plot", tmp_path / "none" / "plot.png"), "--plot", "cannot be written")
    refused(run("evaluate", command, "--plot", tmp_path / "plot.xyz"), "--plot", ".png")
    assert not list(tmp_path.iterdir())


def test_a_bundle_in_which_nothing_is_calibrated_is_told_and_not_drawn(tmp_path: Path) -> None:
    home = tmp_path / "bundle"
    shutil.copytree(PRETRAINED, home)
    shipped = encoders.load(PRETRAINED)
    measured = shipped.calibration_set
    assert measured is not None
    none = {name: np.zeros_like(row) for name, row in measured.present.items()}
    replace(measured, present=none).save(home, shipped.encoder_id)
    options = ("evaluate", "calibration", "--bundle", home)
    refused(run(*options, "--plot", tmp_path / "plot.png"), "--plot", "No finding is calibrated")
    told = run(*options, "--html", tmp_path / "report.html")
    assert told.exit_code == 0 and "No finding is calibrated" in told.output
    assert "No finding is calibrated" in (tmp_path / "report.html").read_text("utf-8")


@pytest.mark.filterwarnings("error")
def test_a_department_in_which_nobody_abnormal_is_read_says_so(tmp_path: Path) -> None:
    options = ["evaluate", "triage", "--prevalence", "0.0001", "--days", "1", "--arrivals", "1", "--capacity", "1"]
    told = run(*options, "--backlog", "5", "--plot", tmp_path / "delays.png")
    assert told.exit_code == 0, told.output
    assert "no abnormal examination was read" in told.output and "nan" not in told.output
    assert "0.01% are abnormal" in told.output
    assert (tmp_path / "delays.png").read_bytes().startswith(b"\x89PNG")

    def no_constant(name: str) -> None:
        raise AssertionError(name)

    printed = run(*options, "--backlog", "5", "--json").stdout
    (chapter,) = json.loads(printed, parse_constant=no_constant).values()
    assert {one["abnormal"]["value"] for one in chapter["orders"].values()} == {None}
    some = run("evaluate", "triage", "--prevalence", "0.001", "--days", "1").output
    assert "departments that read one" in some and "nan" not in some


@pytest.mark.parametrize("option", [("--seed", "-1"), ("--lines", "0")])
def test_counts_and_seeds_below_none_are_refused(option: tuple[str, str]) -> None:
    refused(run("evaluate", "deidentification", *option), option[0])


def test_unknown_sequences_are_refused() -> None:
    for names in ("", ",", "T9w"):
        for command in ("calibration", "triage"):
            refused(run("evaluate", command, "--sequences", names), "--sequences")


def test_everything_has_a_chapter_of_every_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What takes minutes is stood for by a title; triage is the real one.
    made = {"text": False, "assertions": False, "deidentification": False, "retrieval": False, "evidence": False}
    for name, several in {
        **made,
        "suggestions": False,
        "vision": True,
        "report_check": True,
        "calibration": True,
    }.items():
        chapter = Chapter(name.replace("_", "-"), f"| {name} |\n|---|", {})
        found = [chapter] if several else chapter
        place = evaluation_making if name == "deidentification" else evaluation_commands
        ending = "chapters" if several else "chapter"
        monkeypatch.setattr(place, f"{name}_{ending}", lambda *_, found=found: found)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "scan.txt").write_text("x")
    told = run(
        "evaluate", "all", "--dataset", tmp_path / "data", "--text", tmp_path / "data", "--html", tmp_path / "all.html"
    )
    assert told.exit_code == 0, told.output
    page = (tmp_path / "all.html").read_text("utf-8")
    titles = re.findall(r"<h2[^>]*>([^<]*)", page)
    assert set(COMMANDS) | {"calibration", "Reporting delays by reading order"} < set(titles)
    groups = typer.main.get_command(neurorecall.build_application()).commands["evaluate"].commands  # type: ignore[attr-defined]
    assert set(groups) == {*COMMANDS, "calibration", "triage", "all"}
    assert "report check: 200 of seeds from 9700000" in page and "SHA-256" in page and str(tmp_path) not in page
    assert re.search(r"About \d+ minutes on \d+ processors", told.output) and "3 of 10, vision" in told.output


def test_the_hash_of_a_folder_is_of_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one").write_text("1")
    first = folder_hash(tmp_path)
    (tmp_path / "a" / "one").rename(tmp_path / "a" / "two")
    second = folder_hash(tmp_path)
    (tmp_path / "a" / "two").write_text("2")
    assert first[0] == 1 and len({first, second, folder_hash(tmp_path)}) == 3
    said = EvaluatedData((Phantoms("x", 3, 7),), tmp_path / "a").to_dict()
    assert said["phantoms"] == "x: 3 of seeds from 7" and said["real examinations"].startswith("a: 1 files, SHA-256 ")


def test_the_usual_department_is_that_of_the_command() -> None:
    department = json.loads(run("evaluate", "triage", "--json").stdout)["Reporting delays by reading order"][
        "department"
    ]
    assert department == asdict(Department())


def test_make_evaluates_shared_data_where_they_are_and_needs_none(tmp_path: Path) -> None:
    home = tmp_path / "checkout"
    home.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(Path(neurorecall.__file__).parent / name, home)

    def asked(*more: str) -> str:
        made = subprocess.run(["make", "-n", "evaluate", *more], cwd=home, capture_output=True, text=True, check=True)
        return next(line for line in made.stdout.splitlines() if "evaluate all" in line)

    assert "--dataset" not in asked() and "--text" not in asked()
    for name in ("mri", "text"):
        (tmp_path / "shared" / "data" / name).mkdir(parents=True)
    assert "--dataset ../shared/data/mri" in asked() and "--text ../shared/data/text" in asked()
    assert "--dataset elsewhere" in asked("DATASET=elsewhere") and "--text" not in asked("TEXT=")
