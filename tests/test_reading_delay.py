"""The simulated department: who is read when, and what follows for delays."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import neurorecall
from encoders.calibration import Calibration, ScoreSet, parse_operating_point
from training.reading_delay import ORDERS, Arrivals, Department, DepartmentError, read_days, simulate


def calibration(present: list[float], absent: list[float]) -> Calibration:
    scores = ScoreSet(np.array(sorted(present)), np.array(sorted(absent)))
    return Calibration(1.0, 0.0, parse_operating_point("sensitivity=0.9"), scores, scores, "made up")


def test_who_arrives_first_is_read_first_and_the_least_key_before_that() -> None:
    made = Arrivals(np.array([0, 0, 0, 1]), np.zeros(4, bool), np.zeros(4), np.zeros(4))
    assert read_days(made, np.zeros(4), 2).tolist() == [0, 0, 1, 1]
    assert read_days(made, np.array([2.0, 0.0, 1.0, -1.0]), 1).tolist() == [3, 0, 2, 1]


def test_nobody_is_read_before_arrival() -> None:
    day = np.arange(6)
    made = Arrivals(day, np.zeros(6, bool), np.zeros(6), np.zeros(6))
    assert (read_days(made, -day.astype(float), 5) == day).all()


def test_a_perfect_score_reads_the_abnormal_as_one_who_knows_and_a_useless_one_as_chance() -> None:
    department = Department(arrivals=10, capacity=10, backlog=200, prevalence=0.4, days=30)
    orders = simulate(calibration([0.9] * 9, [0.1] * 9), department)["orders"]
    knowing, first = orders["abnormal first, if one knew"], orders["first come, first read"]
    assert orders["highest score first"] == knowing == orders["flagged first"]
    assert knowing["abnormal"]["value"] < first["abnormal"]["value"] / 5
    assert knowing["normal"]["value"] > first["normal"]["value"]
    assert first["abnormal"]["value"] == pytest.approx(20, abs=3)
    useless = simulate(calibration([0.5] * 9, [0.5] * 9), department)["orders"]
    assert useless["highest score first"] == useless["first come, first read"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"arrivals": 0}, {"capacity": 0}, {"backlog": -1}, {"prevalence": 0}, {"prevalence": 1.5}, {"days": 0},
        {"backlog": 10**9},
    ],
)  # fmt: skip
def test_a_department_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    usual = {"arrivals": 10, "capacity": 10, "backlog": 10, "prevalence": 0.5, "days": 10}
    with pytest.raises(DepartmentError):
        Department(**usual | wrong)  # type: ignore[arg-type]


def test_the_command_prints_every_order_and_draws(tmp_path: Path) -> None:
    app = neurorecall.build_application()
    options = ["--arrivals", "5", "--capacity", "5", "--backlog", "20", "--days", "10"]
    told = CliRunner().invoke(app, ["evaluate", "triage", *options, "--plot", str(tmp_path / "delays.png")])
    assert told.exit_code == 0, told.output
    assert all(f"| {name} |" in told.output for name in ORDERS)
    assert (tmp_path / "delays.png").read_bytes().startswith(b"\x89PNG")
    document = json.loads(CliRunner().invoke(app, ["evaluate", "triage", *options, "--json"]).output)
    assert set(document["Reporting delays by reading order"]["orders"]) == set(ORDERS)
    assert CliRunner().invoke(app, ["evaluate", "triage", "--prevalence", "2"]).exit_code == 2
