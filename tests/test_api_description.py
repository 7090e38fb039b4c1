"""Schemathesis asks a running server all that its OpenAPI description allows, and much that it forbids.

Deterministic: the same description makes the same requests. What it asks of is the small archive, with a collection.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bad_inputs.checking import check_log
from running_service import Service, running
from search_cases import build_archive

pytestmark = pytest.mark.slow
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "use_after_free",
)
# Left out: positive_data_acceptance. A description cannot say which bytes are a brain, nor which words are words.


@pytest.fixture(scope="module")
def own_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server of its own: collections are made and deleted in it."""
    folder = tmp_path_factory.mktemp("described")
    with running(folder / "run", build_archive(folder)) as service:
        yield service
    check_log(service.log.read_text("utf-8", "replace"))


def test_every_answer_is_as_the_description_says(own_service: Service, tmp_path: Path) -> None:
    key = own_service.ask("/api/search?q=glioma").document["hits"][0]["key"]
    made = own_service.ask(
        "/api/collections", "POST", {"Content-Type": "application/json"}, json.dumps({"title": "kept"}).encode()
    )
    name = made.document["name"]
    settings = tmp_path / "schemathesis.toml"
    settings.write_text(
        f'[parameters]\nkey = "{key}"\n"path.number" = 1\nplane = "axial"\nindex = "key"\n'
        f'[[operations]]\ninclude-path-regex = "/api/collections"\n[operations.parameters]\nname = "{name}"\n',
        "utf-8",
    )
    memory = own_service.memory()
    asked = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", f"--config-file={settings}", "run", "--generation-deterministic"]
        + [f"http://127.0.0.1:{own_service.port}/openapi.json", f"--checks={','.join(CHECKS)}", "--max-examples=10"]
        + ["--continue-on-failure", "--max-time=30", "--request-timeout=30", "--no-color", "--warnings=off"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert asked.returncode == 0, asked.stdout[-8_000:] + asked.stderr[-2_000:]
    described = own_service.ask("/openapi.json").document["paths"]
    calls = sum(len(methods) for methods in described.values())
    assert f"Tested: {calls}\n" in asked.stdout, asked.stdout[-3_000:]
    print(asked.stdout[-600:])
    assert own_service.memory() < 1.5 * memory
    assert own_service.process.poll() is None
