"""Fixtures for all tests: the shared real cases, and the real peers that some tests need.

A test that needs a program or the shared data skips with a reason where it is missing. The environment variable
NEURORECALL_REQUIRE (a list such as `browser,orthanc,milvus,ray,shared`) turns such a skip into a failure.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from faults import needs

if TYPE_CHECKING:
    from running_service import Service

pytest.register_assert_rewrite("bad_inputs.checking", "volume_properties")

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "data"
REQUIRED = frozenset(filter(None, os.environ.get("NEURORECALL_REQUIRE", "").split(",")))


def missing(need: str) -> str | None:
    """Why a need cannot be met here, or None where it can."""
    if need == "shared":
        return None if (SHARED / "mri").is_dir() else "the shared real scans are not beside the checkout"
    if need == "browser":
        return None if shutil.which("chromium") else "chromium is not installed"
    if need == "faults":
        return ", ".join(needs.missing()) or None
    if need == "orthanc":
        return None if shutil.which("Orthanc") else "orthanc is not installed"
    modules = {"milvus": ("milvus", "pymilvus"), "ray": ("ray",)}[need]
    absent = [module for module in modules if importlib.util.find_spec(module) is None]
    return f"{' and '.join(absent)} cannot be imported" if absent else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reasons = {need: missing(need) for need in ("shared", "browser", "orthanc", "milvus", "ray", "faults")}
    for item in items:
        for need, reason in reasons.items():
            if reason and item.get_closest_marker(need) and need not in REQUIRED:
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_runtest_setup(item: pytest.Item) -> None:
    for need in sorted(REQUIRED):
        if item.get_closest_marker(need) and (reason := missing(need)):
            pytest.fail(f"{need} is required and {reason}", pytrace=False)


@pytest.fixture(scope="session")
def shared_mri() -> Path:
    """The shared BIDS dataset of real scans; tests that use it carry the marker `shared`."""
    return SHARED / "mri"


@pytest.fixture
def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def artefacts() -> Path:
    """Where tests leave screenshots and sheets for people to look at."""
    folder = ROOT / "artefacts"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server process over the small archive; in the end its whole log is searched for what was planted."""
    # Only here, so that tests without a server need not load one.
    from bad_inputs.checking import check_log
    from running_service import running
    from search_cases import build_archive

    folder = tmp_path_factory.mktemp("service")
    with running(folder / "run", build_archive(folder)) as service:
        yield service
    check_log(service.log.read_text("utf-8", "replace"))
