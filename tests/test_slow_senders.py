"""Who sends slowly, or never ends, is told or let go, and keeps nobody else from being answered."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from http_cases import flair_of
from running_service import BOUNDARY, MULTIPART, multipart, request
from search_cases import build_archive
from toy_encoder import ToyEncoder

from search_api import http_protocol
from search_api.app import build_app
from search_api.settings import Settings

pytestmark = pytest.mark.slow
SHORT = 0.6  # seconds, instead of the many that a real network needs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slow")
    build_archive(folder)
    return folder


@pytest.fixture
def port(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server of one upload at a time, and little patience."""
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", SHORT)
    monkeypatch.setattr(http_protocol, "LINGER_SECONDS", SHORT)
    settings = Settings(data=folder / "data", uploads=1, body_idle_seconds=SHORT, body_seconds=3.0)
    app = build_app(settings, encoder=ToyEncoder())
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_level="warning", ws="none", http=http_protocol.BoundedProtocol)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        end = time.monotonic() + 30
        while not server.started:
            assert time.monotonic() < end, "the server did not start"
            time.sleep(0.02)
        yield int(listener.getsockname()[1])
        server.should_exit = True
        thread.join(30)


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def received(line: socket.socket) -> bytes:
    """Everything until the server closes."""
    found = b""
    while part := line.recv(1 << 16):
        found += part
    return found


def started(length: int = 100_000) -> bytes:
    return request("/api/score", "POST", MULTIPART | {"Content-Length": str(length)}) + f"--{BOUNDARY}\r\n".encode()


def test_a_body_that_stops_is_refused(port: int) -> None:
    with connected(port) as line:
        line.sendall(started())
        answer = received(line)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "too_slow"


def test_a_body_that_trickles_ends_at_its_time(port: int) -> None:
    began = time.monotonic()
    with connected(port) as line:
        line.sendall(started())
        line.settimeout(SHORT / 3)
        answer = b""
        while not answer:
            assert time.monotonic() - began < 15
            line.sendall(b"C")  # of a header of the part that never ends
            try:
                answer = line.recv(1 << 16)
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("start", [b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "])
def test_a_head_that_is_never_whole_is_let_go(port: int, start: bytes) -> None:
    began = time.monotonic()
    with connected(port) as line:
        line.sendall(start)
        assert received(line) == b""
    assert time.monotonic() - began < 10


def test_who_goes_on_sending_after_the_answer_is_cut_off(port: int) -> None:
    with connected(port) as line:
        line.sendall(request("/api/collections", "POST", {"Transfer-Encoding": "chunked", "Connection": "keep-alive"}))
        line.sendall(b"200000\r\n" + bytes(2 << 20) + b"\r\n")
        assert line.recv(1 << 16).startswith(b"HTTP/1.1 413 ")
        began = time.monotonic()
        with pytest.raises(OSError, match=r"reset|pipe"):
            while time.monotonic() - began < 20:
                line.sendall(b"1000\r\n" + bytes(4096) + b"\r\n")
                time.sleep(0.01)


def test_a_connection_serves_several_requests(port: int) -> None:
    with connected(port) as line:
        for _ in range(3):
            line.sendall(request("/healthz", headers={"Connection": "keep-alive"}))
            answer = b""
            while b"ok" not in answer.partition(b"\r\n\r\n")[2]:
                answer += line.recv(1 << 16)
            assert answer.startswith(b"HTTP/1.1 200 ")
            time.sleep(SHORT / 3)


def test_a_slow_sender_does_not_keep_others_from_being_read(port: int, folder: Path) -> None:
    whole = multipart([("a_FLAIR.nii.gz", flair_of(folder / "dataset").read_bytes())])
    with connected(port) as slow, connected(port) as quick:
        slow.sendall(started())
        quick.sendall(request("/api/score", "POST", MULTIPART, whole))
        assert received(quick).startswith(b"HTTP/1.1 200 ")
