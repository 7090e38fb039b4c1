"""Reliability of calibrated scores: figures that follow from the definitions, the table, and the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import neurorecall
from encoders.calibration import Calibration, OperatingPoint, ScoreSet
from training.reliability import reliability, reliability_table


def calibration(present: np.ndarray, absent: np.ndarray) -> Calibration:
    scores = ScoreSet(np.sort(present), np.sort(absent))
    return Calibration(1.0, 0.0, OperatingPoint("specificity", 0.9), scores, scores, "made up")


def test_scores_that_are_probabilities_have_little_error_and_overconfident_ones_more() -> None:
    rng = np.random.default_rng(3)
    scores = rng.uniform(0, 1, 4000)
    ill = rng.random(4000) < scores
    honest = reliability({"x": calibration(scores[ill], scores[~ill])})["x"]
    sure = np.where(scores > 0.5, 0.98, 0.02)
    bold = reliability({"x": calibration(sure[ill], sure[~ill])})["x"]
    assert honest["calibration_error"] < 0.03
    assert bold["calibration_error"] > 0.15
    assert honest["brier"] < bold["brier"]
    assert honest["brier"] == pytest.approx(1 / 6, abs=0.01)  # of a uniform score: mean of p (1 - p)
    assert honest["brier_of_prevalence"] == pytest.approx(0.25, abs=0.01)
    assert sum(part["n"] for part in honest["bins"]) == honest["n"] == 4000
    for part in honest["bins"]:
        assert part["interval"][0] <= part["share"] <= part["interval"][1]
    assert "| x |" in reliability_table({"x": honest})


def test_the_command_prints_the_shipped_bundles_figures_and_draws(tmp_path: Path) -> None:
    told = CliRunner().invoke(
        neurorecall.build_application(), ["evaluate", "calibration", "--plot", str(tmp_path / "reliability.png")]
    )
    assert told.exit_code == 0, told.output
    assert "| abnormal |" in told.output
    assert (tmp_path / "reliability.png").read_bytes().startswith(b"\x89PNG")
