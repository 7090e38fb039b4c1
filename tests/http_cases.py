"""The API over the small archive of `search_cases`, and what its tests share: uploads, and what must never be seen."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi.testclient import TestClient
from httpx import Response
from search_cases import CASES, scan_of
from toy_encoder import ToyEncoder

from search_api.app import build_app
from search_api.settings import Settings

ADDRESS = "http://127.0.0.1"
# In the names of uploaded files: part of no answer and of no log.
PLANTED = "DOE_JANE_19700101"


@contextmanager
def serving(data: Path, **limits: object) -> Iterator[TestClient]:
    """The API of a data directory, with some settings changed."""
    app = build_app(Settings.model_validate({"data": data, **limits}), encoder=ToyEncoder())
    with TestClient(app, base_url=ADDRESS, raise_server_exceptions=True) as client:
        yield client


def flair_of(dataset: Path, participant: str = "ms01", session: str = "1") -> Path:
    case = next(one for one in CASES if (one.participant, one.session) == (participant, session))
    return scan_of(dataset, case, "FLAIR")


def upload(
    client: TestClient, content: bytes, name: str = "a_FLAIR.nii.gz", to: str = "score", **fields: str
) -> Response:
    return client.post(f"/api/{to}", files=[("files", (name, content))], data=fields)


def assert_refused(answer: Response, status: int, code: str) -> dict[str, str]:
    """The one error shape, and nothing in it that must not be."""
    assert (answer.status_code, answer.json().get("code")) == (status, code), answer.text
    document: dict[str, str] = answer.json()
    assert set(document) == {"code", "message", "hint", "request_id"}
    assert document["message"]
    assert document["hint"]
    assert document["request_id"] == answer.headers["x-request-id"]
    assert_discreet(answer.text)
    return document


def assert_discreet(text: str) -> None:
    for part in (PLANTED, "Traceback", 'File "', "/tmp", "/home", "/root", "site-packages", ".py"):
        assert part not in text


def seal_of(data: Path) -> dict[str, str]:
    """Hash of every file of a data directory, but SQLite's own shared memory and the audit, which notes all."""
    return {
        str(file.relative_to(data)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(data.rglob("*"))
        if file.is_file() and not file.name.endswith(("-shm", "-wal")) and file.parent.name != "audit"
    }
