"""Settings of a vision training: what cannot be is refused, and a run goes on with its own alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from test_vision import training, write_examples

from encoders.vision import VisionConfigError
from training import vision as training_vision
from training.vision import train
from training.vision_settings import VisionTraining, VisionTrainingError, load_config

__all__ = ["training"]  # the fixture


def test_an_unknown_key_of_the_configuration_is_refused(tmp_path: Path) -> None:
    shipped = (Path(training_vision.__file__).parent / "configs" / "vision.toml").read_text("utf-8")
    (tmp_path / "odd.toml").write_text(f"{shipped}\nmirror = true\n", "utf-8")
    with pytest.raises(VisionTrainingError, match="mirror"):
        load_config(tmp_path / "odd.toml")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("phantoms", '"four"'),
        ("phantoms", "0"),
        ("phantoms", "true"),
        ("tune_batch", "0"),
        ("tune_batch", "9000"),
        ("learning_rate", "-1"),
        ("share_normal", "7"),
        ("workers", "-1"),
        ("ridge", "[]"),
        ("ridge", '["a"]'),
        ("channels", "16"),
        ("channels", "[3, 5, 8, 8]"),
        ("mask_classes", '["unicorn"]'),
        ("test_seed", "1_000_001"),
        ("fit_seed", "1_000_000"),
        ("checkpoint_seconds", '"x"'),
    ],
)
def test_settings_that_cannot_be_are_refused(setting: str, value: str, tmp_path: Path) -> None:
    shipped = (Path(training_vision.__file__).parent / "configs" / "vision.toml").read_text("utf-8")
    lines = [f"{setting} = {value}" if line.startswith(f"{setting} =") else line for line in shipped.splitlines()]
    (tmp_path / "odd.toml").write_text("\n".join(lines), "utf-8")
    with pytest.raises((VisionTrainingError, VisionConfigError)) as refused:
        load_config(tmp_path / "odd.toml")
    assert setting.split("_")[0] in str(refused.value)


def test_a_run_is_not_gone_on_with_by_other_settings(training: VisionTraining, tmp_path: Path) -> None:
    write_examples(training, tmp_path)
    (tmp_path / "weights").mkdir()
    with pytest.raises(VisionTrainingError, match="flair"):
        train(training, tmp_path, start=tmp_path / "weights")
    with pytest.raises(VisionTrainingError, match="another learning_rate"):
        train(dataclasses.replace(training, learning_rate=0.5, workers=3), tmp_path)
