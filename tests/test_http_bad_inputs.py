"""Bad input over HTTP: each gets its status and code, leaves nothing behind, and says nothing that it should not."""

from __future__ import annotations

import gzip
import logging
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from http_cases import PLANTED, assert_discreet, assert_refused, flair_of, seal_of, serving, upload
from search_cases import build_archive
from test_volume import BAD, nifti

STATUS = {"empty_file": 400, "not_nifti": 415, "too_large": 413}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad")
    build_archive(folder)
    return folder


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TestClient]:
    with serving(folder / "data", body_bytes=8 * 1024**2, inflated_bytes=32 * 1024**2) as client:
        assert client.get("/readyz").status_code == 200
        yield client


@pytest.fixture(autouse=True)
def nothing_left(
    folder: Path, client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    """After every test: no temporary file, the same index, nothing planted in the log, and the server answers."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = seal_of(folder / "data")
    with caplog.at_level(logging.DEBUG):
        yield
    assert list(tmp_path.iterdir()) == []
    assert seal_of(folder / "data") == before
    assert PLANTED not in caplog.text
    assert client.get("/healthz").status_code == 200


# Every file is sent to a server process in test_bad_inputs_nifti; here one a status, and what the log says of it.
@pytest.mark.parametrize("case", ["nothing", "magic", "axis too long", "cut in half", "checksum wrong", "noise"])
def test_a_bad_volume_gets_its_status_and_code(client: TestClient, case: str) -> None:
    make, code = BAD[case]
    answer = upload(client, make(), f"../../{PLANTED}_FLAIR.nii.gz")
    assert_refused(answer, STATUS.get(code, 422), code)


def test_what_inflates_beyond_the_limit_is_refused(client: TestClient) -> None:
    bomb = gzip.compress(nifti() + bytes(33 * 1024**2), 1)
    assert_refused(upload(client, bomb), 413, "too_large")


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ("q=", "empty_query"),
        ("", "empty_query"),
        ("q=%20%20", "empty_query"),
        ("q=%3F%21%3B...", "no_words"),
        ("q=the+of", "no_words"),
        ("q=glioma&k=0", "bad_k"),
        ("q=glioma&k=-1", "bad_k"),
        ("q=glioma&k=1000000000", "bad_k"),
        ("q=glioma&k=1e9", "bad_k"),
        ("q=glioma&k=1e999", "bad_k"),
        ("q=glioma&k=" + "9" * 5000, "bad_k"),
        ("q=glioma&page=0", "bad_page"),
        ("q=glioma&page=1000000", "bad_page"),
        ("q=glioma&weight=2", "bad_weight"),
        ("q=glioma&weight=nan", "bad_weight"),
        ("q=glioma&sequence=sonar", "bad_sequence"),
        ("q=glioma&sex=blue", "bad_sex"),
        ("q=glioma&age=old", "bad_age"),
        ("q=glioma&since=yesterday", "bad_since"),
        ("q=glioma&since=2024&until=2020", "bad_since"),
        ("q=glioma&reported=perhaps", "bad_reported"),
        ("q=glioma&expand=perhaps", "bad_expand"),
        ("q=glioma&sexx=F", "unknown_parameter"),
        ("q=glioma&q=stroke", "repeated_parameter"),
        ("q=" + "a" * 60_000, "too_long"),
    ],
)
def test_a_bad_question_is_malformed(client: TestClient, asked: str, code: str) -> None:
    assert_refused(client.get(f"/api/search?{asked}"), 400, code)


@pytest.mark.parametrize(
    "words",
    [
        "T2/FLAIR",
        "don't",
        '"',
        "hydro*",
        "AND glioma",
        "NEAR(glioma",
        "{t}:glioma",
        "%F0%9F%A7%A0 glioma",
        "%ED%A0%80x",
        "glioma%00",
        "glioma%0d%0aevil",
        "%E2%80%AEglioma",
        ">5mm",
        "C1–C2",
    ],
)
def test_awkward_words_are_answered_or_refused(client: TestClient, words: str) -> None:
    answer = client.get(f"/api/search?q={words}")
    assert answer.status_code in (200, 400)
    assert "\x00" not in answer.text
    if answer.status_code == 400:
        assert_refused(answer, 400, "no_words")


@pytest.mark.parametrize(
    ("name", "content", "status", "code"),
    [
        ("a.zip", b"PK\x03\x04" + bytes(400), 415, "not_nifti"),
        ("a.dcm", bytes(128) + b"DICM" + bytes(400), 415, "not_nifti"),
        ("a.nii.gz", b"Rar!\x1a\x07\x00" + bytes(400), 415, "not_nifti"),
    ],
)
def test_archives_and_dicom_are_named_as_what_they_are(
    client: TestClient, name: str, content: bytes, status: int, code: str
) -> None:
    document = assert_refused(upload(client, content, name, sequences="FLAIR"), status, code)
    assert "NIfTI" in document["message"] + document["hint"]


def test_an_unknown_sequence_says_how_to_name_it(client: TestClient, folder: Path) -> None:
    content = flair_of(folder / "dataset").read_bytes()
    assert "sequences" in assert_refused(upload(client, content, f"{PLANTED}.nii.gz"), 422, "unknown_sequence")["hint"]
    assert_refused(upload(client, content, sequences="sonar"), 422, "unknown_sequence")
    assert_refused(upload(client, content, sequences="FLAIR,T1w"), 400, "bad_sequences")
    assert upload(client, content, f"{PLANTED}.nii.gz", sequences="flair").status_code == 200
    assert upload(client, content, f"{PLANTED}.nii.gz", sequence_hint="T2 FLAIR").status_code == 200


def test_a_file_that_is_not_there(client: TestClient) -> None:
    assert_refused(client.post("/api/score", files=[("other", ("a.nii", b"x"))]), 400, "no_files")
    assert_refused(client.post("/api/score", files=[("files", ("a_FLAIR.nii", b""))]), 400, "empty_file")
    assert_refused(client.post("/api/score", data={"files": "text"}), 415, "not_multipart")
    assert_refused(client.post("/api/score", json={"files": []}), 415, "not_multipart")
    assert_refused(client.post("/api/score"), 415, "not_multipart")


def test_a_malformed_multipart_body(client: TestClient) -> None:
    kind = {"content-type": "multipart/form-data"}
    assert_refused(client.post("/api/score", content=b"x" * 1000, headers=kind), 400, "bad_multipart")
    kind = {"content-type": "multipart/form-data; boundary=b"}
    assert_refused(client.post("/api/score", content=b"\r\n" * 1000, headers=kind), 400, "no_files")
    parts = [("files", (f"{number}_FLAIR.nii", b"x")) for number in range(5_000)]
    assert_refused(client.post("/api/score", files=parts), 400, "bad_multipart")
    fields = {f"f{number}": "x" for number in range(2_000)}
    assert_refused(client.post("/api/score", files=parts[:1], data=fields), 400, "bad_multipart")
    header = b"--b\r\nContent-Disposition: form-data; name=" + b"x" * 1_000_000 + b"\r\n\r\nx\r\n--b--\r\n"
    assert client.post("/api/score", content=header, headers=kind).status_code == 400


def test_unknown_repeated_and_long_parts(client: TestClient, folder: Path) -> None:
    content = flair_of(folder / "dataset").read_bytes()
    assert_refused(upload(client, content, sexx="F"), 400, "unknown_parameter")
    assert_refused(upload(client, content, to="search/scan", q="a" * 2_001), 400, "too_long")
    assert_refused(upload(client, content, to="search/scan", k="1e9"), 400, "bad_k")
    assert_refused(upload(client, content, to="search/scan", k="1000000000"), 400, "bad_k")
    assert_refused(upload(client, content, to="search/scan", weight="inf"), 400, "bad_weight")
    assert_refused(upload(client, content, to="search/scan", weight="-1"), 400, "bad_weight")
    assert_refused(upload(client, content, to="search/scan", age="old"), 400, "bad_age")
    assert_refused(upload(client, content, to="search/scan", region="1,2,3"), 422, "region_unsupported")
    assert_refused(upload(client, content, to="check-report"), 400, "empty_report")
    for characters in (100_001, 1_000_000):
        refused = upload(client, content, to="check-report", report="a" * characters)
        said = assert_refused(refused, 413, "too_large")
        assert said["message"] == "Expected at most 100,000 characters in the report, got more."
        as_file = client.post("/api/check-report", files={"report": ("report.txt", b"a" * characters)})
        assert assert_refused(as_file, 413, "too_large")["message"] == said["message"]
    assert upload(client, content, to="check-report", report="No mass. " * 5_000).status_code == 200
    long_words = upload(client, content, to="search/scan", q="a" * 300_000)
    assert "characters in a text part" in assert_refused(long_words, 413, "too_large")["message"]


@pytest.mark.slow
def test_frames_of_a_four_dimensional_file_are_asked_for(client: TestClient) -> None:
    frames = nifti(np.stack([np.kron(np.random.default_rng(1).random((4, 4, 4)), np.ones((6, 6, 6)))] * 2, axis=-1))
    assert "frame" in assert_refused(upload(client, frames), 422, "four_d")["hint"]
    assert upload(client, frames, frame="mean").json()["series"][0]["notes"]
    assert upload(client, frames, frame="1").status_code == 200
    assert_refused(upload(client, frames, frame="7"), 422, "four_d")
    assert_refused(upload(client, frames, frame="x"), 400, "bad_frame")


def test_a_body_over_the_limit_is_cut_with_and_without_its_length(client: TestClient) -> None:
    headers = {"content-type": "multipart/form-data; boundary=b"}
    start = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a_FLAIR.nii"\r\n\r\n'

    def chunks() -> Iterator[bytes]:
        yield start
        for _ in range(16):
            yield bytes(1024**2)

    assert_refused(client.post("/api/score", content=bytes(9 * 1024**2), headers=headers), 413, "too_large")
    assert_refused(client.post("/api/score", content=chunks(), headers=headers), 413, "too_large")
    assert_refused(client.post("/api/collections", content=chunks()), 413, "too_large")


def test_a_compressed_body_is_not_decoded(client: TestClient) -> None:
    body = gzip.compress(b'{"title": "a"}')
    headers = {"content-encoding": "gzip", "content-type": "application/json"}
    assert_refused(client.post("/api/collections", content=body, headers=headers), 415, "encoded_body")


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"title": 1e999}',
        b'{"title": ["a"]}',
        b'{"titel": "a"}',
        b"{",
        b"\xff",
        b'{"title": "a", "x": 1}',
    ],
)
def test_malformed_json(client: TestClient, body: bytes) -> None:
    answer = client.post("/api/collections", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert set(answer.json()) == {"code", "message", "hint", "request_id"}
    assert_discreet(answer.text)


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example",
        "/%5Cevil.example",
        "/api/%2e%2e%2fetc/passwd",
        "/..%5c..%5c",
        "/api/%c0%ae",
        "/api/x%00",
        "/API/search",
        "/api/search/",
        "/api/examinations/../../etc/passwd",
        "/api/examinations/%2e%2e%2f%2e%2e%2fetc",
    ],
)
def test_paths_lead_nowhere_else(client: TestClient, path: str) -> None:
    answer = client.get(f"http://127.0.0.1{path}", follow_redirects=False)
    assert_refused(answer, 404, "not_found")
    assert "location" not in answer.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW", "HEAD"])
def test_other_methods_are_refused(client: TestClient, method: str) -> None:
    answer = client.request(method, "/api/search")
    assert answer.status_code == 405
    if method != "HEAD":
        assert_refused(answer, 405, "method_not_allowed")


@pytest.mark.parametrize("host", ["evil.example", "evil/..@x", "", "127.0.0.1.evil.example", "localhost@evil", "[::1"])
def test_only_this_machine_names_the_server(client: TestClient, host: str) -> None:
    assert_refused(client.get("/healthz", headers={"host": host}), 400, "bad_host")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000"])
def test_this_machine_names_the_server(client: TestClient, host: str) -> None:
    forwarded = {"x-forwarded-host": "evil.example", "x-forwarded-for": "1.2.3.4"}
    assert client.get("/healthz", headers={"host": host, **forwarded}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_other_sites_change_nothing(client: TestClient, headers: dict[str, str]) -> None:
    assert_refused(client.post("/api/collections", json={"title": "x"}, headers=headers), 403, "cross_origin")
    assert_refused(client.delete("/api/collections/x", headers=headers), 403, "cross_origin")


def test_missing_things_are_not_found(client: TestClient) -> None:
    assert_refused(client.get("/api/examinations/nothing"), 404, "not_found")
    assert_refused(client.get("/api/search?like=nothing"), 404, "not_found")
    assert_refused(client.get("/api/collections/nothing"), 404, "not_found")
    assert_refused(client.get("/api/examinations/nothing/series/1/thumbnail.png"), 404, "not_found")


def test_a_nifti_with_a_lying_header_does_not_take_memory(client: TestClient) -> None:
    content = bytearray(nifti())
    struct.pack_into("<4h", content, 40, 3, 1000, 1000, 1000)
    assert_refused(upload(client, gzip.compress(bytes(content))), 413, "too_large")
