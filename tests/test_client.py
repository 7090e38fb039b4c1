"""The client speaks the contract's HTTP: what it asks, what it makes of answers, and of errors."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from search_api.answers import Answer
from search_api.client import ApiError, Client

ANSWER = Answer(
    query="glioma",
    expanded=(),
    hits=(),
    total=0,
    good_match=False,
    generation="g",
    encoder_id="e",
    milliseconds=1.0,
)


def client(handler) -> Client:
    return Client("http://test", api_key="secret", transport=httpx.MockTransport(handler))


def test_a_search_asks_what_was_given_and_reads_the_answer() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/api/search"
        assert dict(request.url.params) == {"q": "glioma", "k": "5", "page": "1", "expand": "false", "sex": "F"}
        assert request.headers["authorization"] == "Bearer secret"
        return httpx.Response(200, json=ANSWER.to_dict())

    with client(handler) as asking:
        assert asking.search("glioma", k=5, expand=False, sex="F") == ANSWER


def test_scans_are_uploaded_under_their_names(tmp_path: Path) -> None:
    scan = tmp_path / "scan_FLAIR.nii.gz"
    scan.write_bytes(b"voxels")

    def handler(request: httpx.Request) -> httpx.Response:
        content = request.read()
        assert request.url.path == "/api/search/scan"
        assert b'filename="scan_FLAIR.nii.gz"' in content
        assert b"voxels" in content
        assert str(tmp_path).encode() not in content
        return httpx.Response(200, json=ANSWER.to_dict())

    with client(handler) as asking:
        assert asking.search("glioma", scans=[scan]) == ANSWER


def test_an_error_of_the_server_is_an_error_with_its_code_and_hint() -> None:
    document = {"code": "no_words", "message": "No word", "hint": "Name a finding", "request_id": "r1"}
    with client(lambda _: httpx.Response(400, json=document)) as asking, pytest.raises(ApiError) as caught:
        asking.search("?")
    error = caught.value
    assert (error.status, error.code, str(error), error.hint, error.request_id) == (
        400,
        "no_words",
        "No word",
        "Name a finding",
        "r1",
    )


def test_a_server_that_is_not_there_or_speaks_no_json_is_an_api_error() -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with client(away) as asking, pytest.raises(ApiError) as caught:
        asking.search("glioma")
    assert (caught.value.status, caught.value.code) == (0, "unreachable")
    with client(lambda _: httpx.Response(502, text="<html>")) as asking, pytest.raises(ApiError) as caught:
        asking.search("glioma")
    assert (caught.value.status, caught.value.code) == (502, "not_json")
