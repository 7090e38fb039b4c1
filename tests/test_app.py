"""The HTTP application: its answers are the engine's, it says how ready it is, and every answer carries its headers."""

from __future__ import annotations

import gzip
import io
import json
import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path

import nibabel
import pytest
from fastapi.testclient import TestClient
from http_cases import ADDRESS, PLANTED, assert_refused, serving
from PIL import Image
from search_cases import CASES, SHAPE, build_archive
from toy_encoder import ToyEncoder

from indexer.ingest import ingest
from indexer.rebuild import rebuild
from search_api.answers import BANNER, Answer
from search_api.app import build_app
from search_api.engine import SearchEngine
from search_api.scan_answers import Worklist
from search_api.server import HostRefused, check_host
from search_api.settings import Settings

CALLS = {
    "/api/search": {"get"},
    "/api/facets": {"get"},
    "/api/session": {"get", "post", "delete"},
    "/api/search/scan": {"post"},
    "/api/score": {"post"},
    "/api/suggest": {"post"},
    "/api/check-report": {"post"},
    "/api/examinations/{key}": {"get"},
    "/api/examinations/{key}/suggestions": {"get"},
    "/api/examinations/{key}/series/{number}/slices/{plane}/{index}.png": {"get"},
    "/api/examinations/{key}/series/{number}/heat/{plane}/{index}.png": {"get"},
    "/api/examinations/{key}/series/{number}/heat.nii.gz": {"get"},
    "/api/examinations/{key}/series/{number}/thumbnail.png": {"get"},
    "/api/examinations/{key}/series/{number}/volume.nii.gz": {"get"},
    "/api/triage": {"get"},
    "/api/collections": {"get", "post"},
    "/api/collections/{name}": {"get", "patch", "delete"},
    "/api/collections/{name}/examinations": {"post", "put"},
    "/api/collections/{name}/examinations/{key}": {"delete"},
    "/api/status": {"get"},
    "/healthz": {"get"},
    "/readyz": {"get"},
    "/metrics": {"get"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("app")
    build_archive(folder)
    return folder


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TestClient]:
    with serving(folder / "data") as client:
        yield client


@pytest.fixture(scope="module")
def key(client: TestClient) -> str:
    return str(client.get("/api/search?q=glioma").json()["hits"][0]["key"])


def test_a_search_answers_what_the_engine_answers(client: TestClient, folder: Path) -> None:
    answer = Answer.from_dict(client.get("/api/search?q=hydrocephalus&k=4&sex=M&age=60-80").json())
    with SearchEngine.open(folder / "data", ToyEncoder()) as engine:
        assert answer.generation == engine.generation
    assert answer.hits[0].examination.participant == "sub-hy01"
    assert all(hit.examination.sex == "M" for hit in answer.hits)
    assert answer.k == 4
    assert answer.total == sum(case.sex == "M" and 60 <= case.age <= 80 for case in CASES)


def test_an_example_marks_the_same_person(client: TestClient) -> None:
    hits = client.get("/api/search?q=multiple+sclerosis").json()["hits"]
    example = next(hit for hit in hits if hit["examination"]["participant"] == "sub-ms01")
    like = client.get(f"/api/search?like={example['key']}&k=200").json()["hits"]
    assert example["key"] not in [hit["key"] for hit in like]
    assert [hit["examination"]["participant"] for hit in like if hit["same_participant"]] == ["sub-ms01"]


def test_pages_follow_one_another_and_end(client: TestClient) -> None:
    pages = [client.get(f"/api/search?q=glioma&k=6&page={page}").json()["hits"] for page in (1, 2, 3, 4)]
    keys = [hit["key"] for page in pages for hit in page]
    assert len(keys) == len(set(keys)) == len(CASES)
    assert pages[3] == []


def test_filters_are_counted_and_applied(client: TestClient) -> None:
    facets = client.get("/api/facets").json()
    assert facets["sex"] == {"F": 9, "M": 6}
    assert client.get("/api/facets?sex=M").json()["sex"] == {"M": 6}
    assert client.get("/api/search?q=glioma&reported=false").json()["total"] == 2
    assert client.get("/api/search?q=glioma&source=nowhere").json()["hits"] == []


def test_a_case_has_its_report_and_findings(client: TestClient, key: str) -> None:
    case = client.get(f"/api/examinations/{key}").json()
    assert case["examination"]["diagnosis"] == "glioma"
    assert "Glioma" in case["report"]["text"]
    assert [series["sequence"] for series in case["examination"]["series"]] == ["FLAIR", "T1w"]
    assert case["findings"][0]["finding"] == "abnormal"
    assert "path" not in json.dumps(case)


def test_the_worklist_holds_the_unreported(client: TestClient) -> None:
    worklist = Worklist.from_dict(client.get("/api/triage?operating_point=sensitivity=0.95").json())
    assert {entry.examination.participant for entry in worklist.entries} == {"sub-nr01", "sub-nr02"}
    assert_refused(client.get("/api/triage?operating_point=high"), 400, "bad_operating_point")


def test_slices_thumbnails_and_the_volume(client: TestClient, key: str) -> None:
    series = f"/api/examinations/{key}/series/1"
    for plane, axis in (("sagittal", 0), ("coronal", 1), ("axial", 2)):
        for place in ("0", str(SHAPE[axis] - 1), "key"):
            answer = client.get(f"{series}/slices/{plane}/{place}.png?width=64&window=soft")
            assert answer.headers["content-type"] == "image/png"
            assert answer.headers["cache-control"].startswith("private")
            assert Image.open(io.BytesIO(answer.content)).width == 64
        assert_refused(client.get(f"{series}/slices/{plane}/{SHAPE[axis]}.png"), 404, "no_such_slice")
    assert Image.open(io.BytesIO(client.get(f"{series}/thumbnail.png").content)).width > 16
    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(client.get(f"{series}/volume.nii.gz").content))
    assert image.shape == SHAPE
    assert_refused(client.get(f"{series}/slices/axial/-1.png"), 404, "no_such_slice")
    assert_refused(client.get(f"{series}/slices/oblique/1.png"), 400, "bad_plane")
    assert_refused(client.get(f"{series}/slices/axial/1.png?width=100000"), 400, "bad_width")
    assert_refused(client.get(f"{series}/slices/axial/1.png?window=odd"), 400, "bad_window")
    assert_refused(client.get(f"/api/examinations/{key}/series/9/slices/axial/1.png"), 404, "not_found")
    assert_refused(client.get(f"/api/examinations/{key}/series/0/thumbnail.png"), 400, "bad_number")


def test_a_series_whose_file_is_gone_says_so_without_its_path(tmp_path: Path) -> None:
    data = build_archive(tmp_path)
    with serving(data) as client:
        key = client.get("/api/search?q=glioma").json()["hits"][0]["key"]
        series = f"/api/examinations/{key}/series/1"
        assert client.get(f"{series}/slices/axial/1.png").status_code == 200
        for file in (tmp_path / "dataset").rglob("*.nii.gz"):
            file.unlink()
        assert_refused(client.get(f"{series}/slices/axial/1.png"), 410, "source_missing")
        assert_refused(client.get(f"{series}/volume.nii.gz"), 410, "source_missing")
        assert client.get(f"{series}/thumbnail.png").status_code == 200
        assert client.get("/api/search?q=glioma").status_code == 200


def test_a_collection_from_its_making_to_its_end(client: TestClient, key: str) -> None:
    made = client.post("/api/collections", json={"title": "Tumours for Tuesday"})
    assert made.status_code == 201
    place = f"/api/collections/{made.json()['name']}"
    assert_refused(client.post("/api/collections", json={"title": "Tumours for Tuesday"}), 409, "title_taken")
    assert_refused(client.post("/api/collections", json={"title": "  "}), 400, "bad_title")
    other = client.get("/api/search?q=stroke").json()["hits"][0]["key"]
    for one, note in ((key, "shift"), (other, ""), (key, "midline shift")):
        entries = client.post(f"{place}/examinations", json={"key": one, "note": note}).json()["entries"]
    assert entries == [{"key": key, "note": "midline shift"}, {"key": other, "note": ""}]
    turned = client.put(f"{place}/examinations", json={"keys": [other, key]}).json()
    assert [entry["key"] for entry in turned["entries"]] == [other, key]
    assert_refused(client.put(f"{place}/examinations", json={"keys": [key]}), 400, "bad_order")
    assert_refused(client.post(f"{place}/examinations", json={"key": "nothing"}), 404, "not_found")
    assert client.patch(place, json={"title": "Tumours"}).json()["title"] == "Tumours"
    assert client.delete(f"{place}/examinations/{other}").json()["entries"] == [{"key": key, "note": "midline shift"}]
    assert client.get("/api/collections").json()["collections"][0]["title"] == "Tumours"
    assert client.delete(place).status_code == 204
    assert_refused(client.get(place), 404, "not_found")
    assert client.get(f"/api/examinations/{key}").status_code == 200


@pytest.mark.parametrize("address", ["/api/search?q=glioma", "/api/search?q=", "/nothing", "/healthz", "/openapi.json"])
def test_every_answer_carries_its_headers(client: TestClient, address: str) -> None:
    headers = client.get(address).headers
    assert headers["x-research-use"] == BANNER
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert "referrer-policy" in headers
    assert headers["cache-control"] == "private, no-store"
    assert re.fullmatch(r"[0-9a-f]{16}", headers["x-request-id"])
    assert "access-control-allow-origin" not in headers


def test_a_request_id_is_taken_over_where_it_is_one(client: TestClient) -> None:
    assert client.get("/healthz", headers={"x-request-id": "abc-12345"}).headers["x-request-id"] == "abc-12345"
    assert client.get("/healthz", headers={"x-request-id": "a b"}).headers["x-request-id"] != "a b"


def test_the_description_holds_every_call_with_its_errors(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert {path: set(calls) for path, calls in paths.items()} == CALLS
    for path, calls in paths.items():
        for call in calls.values():
            assert call["summary"]
            assert call["tags"]
            if path.startswith("/api/"):
                assert any(int(status) >= 400 for status in call["responses"])
    assert client.get("/docs").status_code == 404


def test_figures_hold_routes_and_nothing_that_was_asked(client: TestClient, key: str) -> None:
    client.get(f"/api/search?q={PLANTED}")
    client.get(f"/api/examinations/{key}")
    text = client.get("/metrics").text
    assert 'neurorecall_requests_total{method="GET",route="/api/search",status="200"}' in text
    assert "neurorecall_ready 1.0" in text
    assert PLANTED not in text
    assert key not in text


def test_a_server_without_an_index_starts_and_says_what_to_do(tmp_path: Path) -> None:
    with serving(tmp_path / "data", reload_seconds=0.0) as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        ready = client.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["reasons"][0]["hint"]
        for address in ("/api/search?q=glioma", "/api/status", "/api/triage", "/api/collections", "/api/facets"):
            answer = client.get(address)
            assert answer.status_code == 503
            assert "neurorecall" in answer.json()["hint"]
            assert int(answer.headers["retry-after"]) > 0
        upload = client.post("/api/score", files=[("files", ("a_T1w.nii", b"x"))])
        assert upload.status_code == 503
        assert str(tmp_path) not in answer.text + ready.text + upload.text
        build_archive(tmp_path)
        assert client.get("/readyz").json() == {"ready": True, "reasons": [], "notices": []}
        assert client.get("/api/search?q=glioma").status_code == 200


def test_a_newer_generation_is_picked_up_without_a_failing_request(tmp_path: Path) -> None:
    data = build_archive(tmp_path)
    with serving(data, reload_seconds=0.0) as client:
        first = client.get("/api/search?q=abscess").json()["generation"]
        reports = tmp_path / "dataset" / "reports.tsv"
        reports.write_text(reports.read_text("utf-8") + "sub-nr01\tses-1\tCerebral abscess.\tAbscess.\n", "utf-8")
        ingest(str(tmp_path / "dataset"), data, reports=reports)
        rebuild(data, ToyEncoder())
        until = time.monotonic() + 30.0
        while (answer := client.get("/api/search?q=abscess")).json()["generation"] == first:
            assert answer.status_code == 200
            assert time.monotonic() < until
            time.sleep(0.05)
        assert answer.json()["hits"][0]["examination"]["participant"] == "sub-nr01"


def test_another_encoders_index_is_not_served(folder: Path) -> None:
    app = build_app(Settings(data=folder / "data"), encoder=ToyEncoder("other"))
    with TestClient(app, base_url=ADDRESS) as client:
        assert_refused(client.get("/api/search?q=glioma"), 503, "encoder_mismatch")


def test_what_was_not_foreseen_is_one_line_without_what_was_asked(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError(f"{PLANTED} in {folder}")

    with serving(folder / "data") as client:
        assert client.get("/readyz").status_code == 200
        monkeypatch.setattr(SearchEngine, "search", fails)
        document = assert_refused(client.get(f"/api/search?q={PLANTED}"), 500, "unexpected")
    lines = [record for record in caplog.records if record.name == "search_api.guards"]
    assert len(lines) == 1
    assert lines[0].__dict__["request_id"] == document["request_id"]
    assert lines[0].__dict__["error"] == "RuntimeError"
    assert "test_app.py" in lines[0].__dict__["places"]
    assert all(PLANTED not in record.getMessage() for record in caplog.records if not record.name.startswith("httpx"))
    assert all(record.exc_info is None for record in caplog.records if record.levelno >= logging.ERROR)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", "", "127.0.0.1.evil.example"])  # noqa: S104
def test_other_machines_are_not_served_without_authentication(host: str) -> None:
    with pytest.raises(HostRefused, match="nobody has to sign in") as raised:
        check_host(host, protected=False)
    assert "neurorecall key add" in raised.value.hint


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "[::1]", "localhost"])
def test_this_machine_is_served(host: str) -> None:
    check_host(host, protected=False)
