"""The log of a server: JSON lines that join answers and audit by request ids, without names, queries and paths."""

from __future__ import annotations

import json
import logging
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from audit_cases import recorded
from http_cases import PLANTED
from search_cases import build_archive

from search_api.logs import JsonLines

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
SERVER = """
import sys, threading, warnings, logging
sys.path[:0] = [{root!r}, {tests!r}]
from pathlib import Path
from site_cases import site_of
from search_api.engine import SearchEngine
from search_api.server import serve
def fails(*_, **__):
    warnings.warn("{planted}")
    logging.getLogger("somebody.else").error("found %s", "{planted}")
    threading.Thread(target=lambda: Path("/nowhere/{planted}").read_text()).start()
    raise RuntimeError("{planted} in /nowhere")
SearchEngine.suggest = fails
serve(site_of(Path({data!r})), "127.0.0.1", {port})
"""


@dataclass(slots=True)
class Served:
    """A server that ran: what it answered by request id, and the lines of its standard error."""

    data: Path
    statuses: dict[str, int] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    def requests(self) -> list[dict[str, Any]]:
        return [one for one in self.documents() if one["event"] == "request"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A real server that was asked for what must not be seen in every way that there is, and has ended."""
    folder = tmp_path_factory.mktemp(f"logs-{PLANTED}")
    found = Served(build_archive(folder))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    program = SERVER.format(root=str(ROOT), tests=str(ROOT / "tests"), data=str(found.data), port=port, planted=PLANTED)
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            ask(f"http://127.0.0.1:{port}", found)
            malformed(port)
        finally:
            server.send_signal(signal.SIGTERM)
            _, written = server.communicate(timeout=60)
    found.lines = written.splitlines()
    yield found


def ask(address: str, found: Served) -> None:
    with httpx.Client(base_url=address, timeout=60, trust_env=False) as client:
        for _ in range(150):
            try:
                client.get("/healthz")
                break
            except httpx.TransportError:
                time.sleep(0.2)
        key = client.get("/api/search?q=glioma").json()["hits"][0]["key"]
        file = ("files", (f"{PLANTED}_FLAIR.nii.gz", b"x" * 1000))
        answers = [
            client.get("/api/search", params={"q": f"glioma {PLANTED}", "k": 3}),
            client.get("/search", params={"q": f"glioma {PLANTED}"}),
            client.get("/api/search", params={"q": f"{PLANTED}\r\nlevel=error"}),
            client.get("/api/search", params={PLANTED: "x"}),
            client.get(f"/{PLANTED}/../{PLANTED}"),
            client.get(f"/api/examinations/{PLANTED}"),
            client.get(f"/case/{PLANTED}"),
            client.request(PLANTED, "/api/search"),
            client.get("/api/search?q=x", headers={"host": f"{PLANTED}.example"}),
            client.get("/api/search?q=x", headers={"user-agent": PLANTED, "cookie": f"id={PLANTED}"}),
            client.get("/api/search?q=x", headers={"x-request-id": PLANTED.replace("_", "-")}),
            client.get("/api/search?q=x", headers={"x-request-id": "19700101"}),
            client.get("/api/search?q=x", headers={"authorization": f"Bearer {PLANTED}"}),
            client.post("/api/score", files=[file]),
            client.post("/api/score", files=[file], data={"sequences": PLANTED}),
            client.post("/api/check-report", data={"report": f"Findings: {PLANTED}."}, files=[file]),
            client.post("/api/collections", json={"title": PLANTED}),
            client.get(f"/api/examinations/{key}/suggestions"),
            client.get(f"/suggestions/{key}"),
        ]
    found.statuses = {answer.headers["x-request-id"]: answer.status_code for answer in answers}
    assert sorted(found.statuses.values()).count(500) == 2


def malformed(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        line.sendall(f"{PLANTED} nonsense\r\n\r\n".encode())
        line.recv(1000)


def test_every_line_is_one_json_document_and_none_holds_what_must_not_be_seen(served: Served) -> None:
    assert len(served.documents()) == len(served.lines) > len(served.statuses)
    whole = "\n".join(served.lines)
    for part in (PLANTED, "glioma", "19700101", str(served.data), "/tmp", "/nowhere", "Traceback", "sub-", "nonsense"):
        assert part not in whole, part
    for one in served.documents():
        assert {"time", "level", "event"} <= set(one)
        assert one["time"].endswith("Z")


def test_a_request_is_a_line_with_its_route_status_and_time(served: Served) -> None:
    search = next(one for one in served.requests() if one["route"] == "/api/search" and one["status"] == 200)
    assert set(search) == {
        "time", "level", "event", "request_id", "method", "route", "status", "milliseconds", "principal",
    }  # fmt: skip
    assert (search["method"], search["principal"]) == ("GET", "local")
    assert search["milliseconds"] > 0
    routes = {one["route"] for one in served.requests()}
    assert {"/api/examinations/{key}", "/case/{key}", "unmatched"} <= routes
    assert "other" in {one["method"] for one in served.requests()}
    assert "/healthz" not in routes


def test_request_ids_join_answers_log_and_audit(served: Served) -> None:
    logged = {one["request_id"]: one for one in served.requests()}
    audited = {record["request_id"]: record for record in recorded(served.data)}
    for request_id, status in served.statuses.items():
        of_request = [one for one in served.requests() if one["request_id"] == request_id]
        assert status in {one["status"] for one in of_request}
        assert request_id in logged
        assert request_id in audited
        assert audited[request_id]["outcome"].split()[0] == str(status)


def test_what_was_not_foreseen_is_told_by_its_type_and_place(served: Served) -> None:
    unforeseen = [one for one in served.documents() if one["event"] == "unforeseen"]
    assert len(unforeseen) == 2
    for one in unforeseen:
        assert (one["level"], one["error"]) == ("error", "RuntimeError")
        assert one["request_id"] in served.statuses
        assert ":" in one["places"]
    uncaught = [one for one in served.documents() if one["event"] == "uncaught in a thread"]
    assert {one["error"] for one in uncaught} == {"FileNotFoundError"}
    assert {one["logger"] for one in served.documents() if one["event"] == "library"} >= {"somebody.else"}


def test_a_line_of_another_library_keeps_its_place_and_an_exception_its_type() -> None:
    try:
        raise ValueError(PLANTED)
    except ValueError:
        record = logging.LogRecord("uvicorn.error", logging.ERROR, "/x/h11.py", 7, f"bad {PLANTED}", (), sys.exc_info())
    line = json.loads(JsonLines().format(record))
    assert line.pop("places").startswith("test_logs.py:")
    assert line.pop("time")
    assert line == {"level": "error", "event": "library", "logger": "uvicorn.error", "error": "ValueError"}


def test_a_line_of_ours_carries_only_known_fields() -> None:
    record = logging.LogRecord("search_api.audit", logging.INFO, "audit.py", 1, "told", (), None)
    record.__dict__ |= {"request_id": "abc12345", "query": PLANTED, "path": PLANTED}
    line = json.loads(JsonLines().format(record))
    assert set(line) == {"time", "level", "event", "request_id"}
