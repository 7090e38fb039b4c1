"""The reader of an upload under its limits: each is exceeded, and each holds.

`confine` is what the reader calls before it looks at a file; here other code calls it and then tries what it may not.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from bad_inputs.nifti_rows import bomb
from fastapi.testclient import TestClient
from http_cases import ADDRESS
from search_cases import build_archive
from test_uploads import OPTIONS, parsed
from test_volume import nifti
from toy_encoder import ToyEncoder

from encoders.volume import VolumeError
from search_api.app import build_app
from search_api.settings import MEBIBYTE, Settings
from search_api.uploads import run_worker

ROOT = Path(__file__).parent.parent
GIBIBYTE = 1024 * MEBIBYTE
CONFINED = """
import errno, os, resource, socket, sys, threading
from search_api.volume_worker import confine
confine(memory_bytes={memory}, seconds={seconds}, outcome_bytes=65536)
try:
    {attempt}
except (OSError, MemoryError, ValueError, RuntimeError) as error:
    number = getattr(error, "errno", None)
    print(type(error).__name__, errno.errorcode.get(number, "") if number else "", flush=True)
else:
    print("done", flush=True)
"""


def confined(attempt: str, memory: int = GIBIBYTE, seconds: int = 20) -> subprocess.CompletedProcess[str]:
    """What becomes of an attempt in a process that has confined itself."""
    return subprocess.run(
        [sys.executable, "-P", "-s", "-c", CONFINED.format(attempt=attempt, memory=memory, seconds=seconds)],
        env={"PYTHONPATH": str(ROOT), "PATH": os.defpath},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("attempt", "outcome"),
    [
        ("bytearray(2 << 30)", "MemoryError"),
        ("open('/etc/passwd')", "OSError EMFILE"),
        ("open('/tmp/left-behind', 'w')", "OSError EMFILE"),
        ("socket.socket()", "OSError EMFILE"),
        ("socket.create_connection(('127.0.0.1', 1))", "OSError EMFILE"),
        ("os.dup(0)", "OSError EMFILE"),
        ("os.pipe()", "OSError EMFILE"),
        ("os.open('/', os.O_RDONLY)", "OSError EMFILE"),
    ],
)
def test_what_a_reader_has_no_need_of_is_not_to_be_had(attempt: str, outcome: str) -> None:
    assert confined(attempt).stdout.strip() == outcome


@pytest.mark.parametrize(
    "attempt",
    [
        "os.fork()",
        "threading.Thread(target=print).start()",
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))",
        "resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
        "os.setuid(0)",
    ],
)
def test_no_process_no_thread_and_no_way_back(attempt: str) -> None:
    if _stays_root():
        pytest.skip("this kernel lets root neither become nobody nor be limited")
    said = confined(attempt).stdout.strip()
    if attempt == "os.setuid(0)" and os.getuid() == 0:
        assert said == "PermissionError EPERM"
    elif attempt != "os.setuid(0)":
        assert said in {"BlockingIOError EAGAIN", "RuntimeError", "ValueError", "PermissionError EPERM"}


def test_there_is_no_network() -> None:
    found = confined("print(os.readlink('/proc/self/ns/net'))").stdout.splitlines()[0]
    own = str(Path("/proc/self/ns/net").readlink())
    if found == own and not _may_unshare():
        pytest.skip("this kernel gives a process no network namespace of its own; no socket can be opened all the same")
    assert found != own


def test_processor_time_is_limited() -> None:
    began = time.monotonic()
    ended = confined("any(iter(int, 1))", seconds=1)  # a loop without end
    assert ended.returncode in (-signal.SIGXCPU, -signal.SIGKILL)
    assert time.monotonic() - began < 20


def test_what_is_written_is_limited() -> None:
    script = CONFINED.format(attempt="os.write(1, bytes(65536)); os.write(1, b'x')", memory=GIBIBYTE, seconds=20)
    with tempfile.TemporaryFile() as outcome:
        subprocess.run(
            [sys.executable, "-P", "-s", "-c", script],
            env={"PYTHONPATH": str(ROOT), "PATH": os.defpath},
            stdout=outcome,
            stderr=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        assert os.fstat(outcome.fileno()).st_size == 65536


@pytest.mark.slow
def test_the_reader_itself_ends_at_its_processor_time() -> None:
    assert parsed({"inflated_bytes": 16 * GIBIBYTE, "seconds": 1}, bomb()) == b""


def test_a_reader_that_hangs_is_ended_at_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note = tmp_path / "number"
    _stand_in(tmp_path, monkeypatch, f"echo $$ > {note}\nexec sleep 60")
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as outcome:
        began = time.monotonic()
        with pytest.raises(VolumeError) as raised:
            run_worker(OPTIONS, source, outcome, 1.0)
    assert raised.value.code == "too_slow"
    assert time.monotonic() - began < 10
    assert not Path(f"/proc/{note.read_text().strip()}").exists()


def test_the_reader_is_given_its_limits_and_nothing_of_the_surroundings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """4 GiB, 60 s; no variable but its own, no open file but the three."""
    data, seen = build_archive(tmp_path / "archive"), tmp_path / "seen"
    with TestClient(build_app(Settings(data=data), encoder=ToyEncoder()), base_url=ADDRESS) as client:
        assert client.get("/readyz").status_code == 200
        monkeypatch.setenv("PACS_PASSWORD", "zq-secret")
        _stand_in(tmp_path, monkeypatch, f"env > {seen}; ls /proc/self/fd > {seen}.files; echo $PWD >> {seen}")
        assert client.post("/api/score", files=[("files", ("a_FLAIR.nii", nifti()))]).status_code == 422
    given = dict(line.split("=", 1) for line in seen.read_text().splitlines() if "=" in line)
    options = json.loads(given.pop("NEURORECALL_WORKER"))
    assert options["memory_bytes"] == 4 * GIBIBYTE
    assert options["seconds"] == 60
    assert options["inflated_bytes"] == GIBIBYTE
    assert options["voxels"] == 512**3
    shell = {"PWD", "OLDPWD", "SHLVL", "_"}
    assert set(given) - shell == {"PATH", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "OPENBLAS_NUM_THREADS"} | {
        "OMP_NUM_THREADS"
    }
    assert "zq-secret" not in seen.read_text()
    assert given["PWD"] == "/"
    # As `ls` has them, whose fourth is the folder that it lists.
    assert Path(f"{seen}.files").read_text().split() == ["0", "1", "2", "3"]


def _stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Have a shell script run in the place of the reader's interpreter."""
    program = folder / "reader"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))


def _stays_root() -> bool:
    return os.getuid() == 0 and confined("print(os.getuid())").stdout.split()[0] == "0"


def _may_unshare() -> bool:
    return subprocess.run(["unshare", "--user", "--net", "true"], capture_output=True, check=False).returncode == 0
