"""The comparison of objectives: what each run adds, what it is measured on, and that it is not done twice."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from pathlib import Path

import pytest
from test_vision import toy_texts, training, write_examples

from encoders.bundle import PRETRAINED
from encoders.catalogue import load_findings
from training import vision_ablation
from training.vision_ablation import VARIANTS, run_ablations
from training.vision_settings import VisionTraining

__all__ = ["training"]  # the fixture


def test_every_run_adds_one_part_of_the_objective() -> None:
    left_out = [set(changes) for _, changes in VARIANTS]
    assert left_out[-1] == set()
    for before, after in pairwise(left_out):
        assert len(before - after) == 1
        assert after < before


@pytest.mark.slow
def test_the_runs_are_compared_on_phantoms_that_none_saw(
    training: VisionTraining,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = dataclasses.replace(training, phantoms=40, tune_volumes=60, tune_batch=6)
    write_examples(config, tmp_path)
    seen: set[int] = set()
    update = vision_ablation.learn_kind

    def learn(run: VisionTraining, *rest: object) -> Path:
        seen.update(run.train_seeds)
        return update(run, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(vision_ablation, "learn_kind", learn)
    findings = load_findings(PRETRAINED / "findings.toml")
    said: list[str] = []
    table = run_ablations(config, tmp_path, toy_texts, findings, None, said.append)
    assert seen == set(config.train_seeds[10:])
    assert said == [name for name, _ in VARIANTS]
    assert all(f"| {name} |" in table for name in said)
    assert "measured on 10 others" in table
    assert run_ablations(config, tmp_path, toy_texts, findings, None, said.append) == table
    assert len(said) == len(VARIANTS)
