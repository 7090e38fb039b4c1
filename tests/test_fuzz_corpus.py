"""The corpus of the fuzz target, replayed: what was ever found, and one file a way of storing a volume."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from volume_properties import check_any

FUZZ = Path(__file__).parent / "fuzz"
CORPUS = sorted((FUZZ / "corpus").iterdir())


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
@pytest.mark.parametrize("frame", [None, "mean", 1])
def test_a_file_of_the_corpus_is_a_sound_volume_or_refused(path: Path, frame: int | str | None) -> None:
    outcome = check_any(path.read_bytes(), frame=frame)
    readable = path.name.startswith(("nifti1-", "nifti2")) and (frame is not None or "frames" not in path.name)
    assert (outcome == "volume") == readable


def test_the_corpus_is_what_its_command_writes(tmp_path: Path) -> None:
    program = (FUZZ / "make_corpus.py").read_text("utf-8")
    (tmp_path / "make_corpus.py").write_text(program, "utf-8")
    subprocess.run([sys.executable, str(tmp_path / "make_corpus.py")], check=True)
    written = {path.name: path.read_bytes() for path in (tmp_path / "corpus").iterdir()}
    assert written == {path.name: path.read_bytes() for path in CORPUS if not path.name.startswith("crash-")}
