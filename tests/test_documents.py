"""The documents: generated parts are current, and what they link to is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "encoders" / "pretrained" / "MODEL_CARD.md"]
)


def test_generated_parts_are_current() -> None:
    command = [
        sys.executable,
        "-m",
        "cogapp",
        "-I",
        "docs",
        "--check",
        "--diff",
        "README.md",
        "docs/reference.md",
        "docs/benchmarks.md",
        "docs/text-search.md",
        "docs/deidentification.md",
        "docs/vision.md",
    ]
    outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, f"run `make docs`\n{outcome.stdout[-3000:]}{outcome.stderr[-2000:]}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_within_the_repository_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text("utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), f"{document.name} links to {target}"
