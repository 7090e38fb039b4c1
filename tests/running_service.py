"""A server process on a loopback port, and what can be seen of it from outside: log, temporary files, memory, answers.

Requests are bytes on a socket, so that what no HTTP library would send can be sent.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
TOY = (sys.executable, str(ROOT / "tests" / "toy_service.py"), "{data}", "{port}")
SHIPPED = (sys.executable, str(ROOT / "neurorecall.py"), "serve", "--data", "{data}", "--port", "{port}")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
BOUNDARY = "b0undary"
MULTIPART = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; `peak` is by how many bytes the processes of the server grew meanwhile, at most."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    peak: int = 0

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Service:
    """A running server; everything is asked of the operating system, nothing of the server itself."""

    process: subprocess.Popen[bytes]
    port: int
    data: Path
    temporary: Path
    log: Path

    def memory(self) -> int:
        """Resident bytes of the server and of the processes that it started."""
        total = 0
        for number in processes_of(self.process.pid):
            with suppress(OSError, IndexError):
                total += int(Path(f"/proc/{number}/statm").read_text().split()[1]) * PAGE_BYTES
        return total

    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))  # noqa: PTH208  a symbolic link may be gone meanwhile

    def send(self, parts: Iterable[bytes], *, seconds: float = 60.0, method: str = "GET") -> Reply:
        """Write the parts while the answer is awaited; what is left of them when it comes is not sent."""
        began, before = time.monotonic(), self.memory()
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as line, watched(self.memory) as peak:
            done = threading.Event()
            sender = threading.Thread(target=_write, args=(line, parts, done), daemon=True)
            sender.start()
            response = http.client.HTTPResponse(line, method=method)
            try:
                response.begin()
                body = response.read()
            finally:
                done.set()
                with suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)
                sender.join(seconds)
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, headers, body, time.monotonic() - began, max(peak[0] - before, 0))

    def ask(self, path: str, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes = b"") -> Reply:
        return self.send([request(path, method, headers, body)], method=method)

    def upload(self, content: bytes, name: str, path: str = "/api/score", **fields: str) -> Reply:
        return self.ask(path, "POST", MULTIPART, multipart([(name, content)], fields))


def request(
    path: str | bytes, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes = b""
) -> bytes:
    """A request as it goes over the wire; the path is not made any better."""
    given = {"Host": "127.0.0.1", "Connection": "close"} | dict(headers or {})
    if body and not {"Transfer-Encoding", "Content-Length"} & set(given):
        given["Content-Length"] = str(len(body))
    target = path if isinstance(path, bytes) else path.encode("utf-8", "surrogatepass")
    lines = b"".join(f"{name}: {value}\r\n".encode("latin-1") for name, value in given.items())
    return method.encode() + b" " + target + b" HTTP/1.1\r\n" + lines + b"\r\n" + body


def multipart(files: Sequence[tuple[str, bytes]], fields: Mapping[str, str | bytes] | None = None) -> bytes:
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode()
        + (value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass"))
        for name, value in (fields or {}).items()
    ]
    parts += [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode() + content
        for name, content in files
    ]
    return b"\r\n".join([*parts, f"--{BOUNDARY}--\r\n".encode()])


@contextmanager
def watched(measure: Callable[[], int], step: float = 0.02) -> Iterator[list[int]]:
    """The highest measure of the time within, as the one item of a list."""
    highest, done = [measure()], threading.Event()

    def look() -> None:
        while not done.wait(step):
            highest[0] = max(highest[0], measure())

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield highest
    finally:
        done.set()
        watcher.join()


def processes_of(parent: int) -> Iterator[int]:
    """A process and all that it started, as /proc tells it."""
    yield parent
    with suppress(OSError):
        for task in Path(f"/proc/{parent}/task").iterdir():
            with suppress(OSError):
                for child in (task / "children").read_text().split():
                    yield from processes_of(int(child))


@contextmanager
def running(
    folder: Path, data: Path, command: Sequence[str] = TOY, environment: Mapping[str, str] | None = None
) -> Iterator[Service]:
    """A server of a data directory, ready to answer; ended with the context, by its process number."""
    temporary, log = folder / "tmp", folder / "log"
    temporary.mkdir(parents=True)
    port = _free_port()
    # Nothing of the surroundings but what a service manager would give.
    given = {
        name: os.environ[name] for name in ("PATH", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS") if name in os.environ
    }
    given |= {"PYTHONPATH": str(ROOT), "TMPDIR": str(temporary), **(environment or {})}
    with log.open("wb") as written:
        process = subprocess.Popen(
            [part.format(data=data, port=port) for part in command],
            stdout=written,
            stderr=written,
            stdin=subprocess.DEVNULL,
            env=given,
        )
    service = Service(process, port, data, temporary, log)
    try:
        _wait_until_ready(service)
        yield service
    finally:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(service: Service, seconds: float = 120.0) -> None:
    until = time.monotonic() + seconds
    while True:
        assert service.process.poll() is None, service.log.read_text()
        assert time.monotonic() < until, service.log.read_text()
        with suppress(OSError, http.client.HTTPException):
            if service.ask("/readyz").status == 200:
                return
        time.sleep(0.1)


def _write(line: socket.socket, parts: Iterable[bytes], done: threading.Event) -> None:
    with suppress(OSError):
        for part in parts:
            if done.is_set():
                return
            line.sendall(part)
