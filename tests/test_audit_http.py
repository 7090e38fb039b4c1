"""The audit over HTTP: one record for one act, before its answer leaves, with who, what, which cases, what outcome."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from audit_cases import Told, break_audit, fill_disk, free_disk, mend_audit, recorded
from fastapi.testclient import TestClient
from http_cases import ADDRESS, PLANTED, assert_refused, flair_of, serving, upload
from search_cases import CASES, build_archive
from site_cases import site_of
from starlette.types import Receive, Scope, Send
from toy_encoder import ToyEncoder

from search_api.app import build_app
from search_api.audit_acts import ACTIONS, OPEN, UNCHECKED, UNRECORDED
from search_api.audit_reading import verify
from search_api.settings import Settings


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audited")
    build_archive(folder)
    return folder


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TestClient]:
    with serving(folder / "data") as client:
        assert client.get("/readyz").status_code == 200
        yield client


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[TestClient]:
    with TestClient(site_of(folder / "data"), base_url=ADDRESS) as client:
        yield client


@pytest.fixture
def told(folder: Path, client: TestClient) -> Told:
    return Told(folder / "data")


@pytest.fixture(scope="module")
def key(client: TestClient) -> str:
    return str(client.get("/api/search?q=glioma").json()["hits"][0]["key"])


def test_every_call_of_the_api_is_classified(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    calls = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    left = {call for call in calls if call in ACTIONS or call[1] not in OPEN | UNRECORDED | UNCHECKED}
    assert left == {call for call in ACTIONS if call[1].startswith("/api/")}


def test_a_search_is_recorded_with_its_words_filters_and_the_cases_it_shows(client: TestClient, told: Told) -> None:
    answer = client.get("/api/search?q=hydrocephalus&k=3&sex=M")
    record = told.one()
    hits = answer.json()["hits"]
    assert (record["who"], record["action"], record["outcome"]) == ("local", "search", "200")
    assert record["query"] == {"q": "hydrocephalus", "k": "3", "sex": "M"}
    assert record["cases"] == [hit["key"] for hit in hits]
    assert len(record["cases"]) == 3
    assert record["generation"] == answer.json()["generation"]
    assert record["request_id"] == answer.headers["x-request-id"]


def test_uploads_are_recorded_by_number_and_sequence_never_by_name(
    client: TestClient, told: Told, folder: Path
) -> None:
    content = flair_of(folder / "dataset").read_bytes()
    name = f"{PLANTED}_FLAIR.nii.gz"
    answer = upload(client, content, name, to="search/scan", q="glioma", k="2").json()
    record = told.one()
    assert record["action"] == "search-by-scan"
    assert record["query"] == {"q": "glioma", "k": "2", "scans": ["FLAIR"]}
    assert record["cases"] == [hit["key"] for hit in answer["hits"]]
    upload(client, content, name)
    assert (told.all()[-1]["action"], told.one()["query"]) == ("score", {"scans": ["FLAIR"]})
    upload(client, content, name, to="suggest")
    assert told.one()["action"] == "suggest"
    upload(client, content, name, to="check-report", report=f"Findings: No hydrocephalus. {PLANTED}.")
    record = told.one()
    assert record["action"] == "check-report"
    assert record["query"] == {"report_characters": 46, "scans": ["FLAIR"]}
    assert PLANTED not in str(told.all())


def test_cases_worklists_and_volumes_are_recorded(client: TestClient, told: Told, key: str) -> None:
    client.get(f"/api/examinations/{key}")
    record = told.one()
    assert (record["action"], record["cases"], record["query"]) == ("open-case", [key], {"key": key})
    listed = client.get("/api/triage?operating_point=sensitivity=0.95").json()
    record = told.one()
    assert (record["action"], record["query"]) == ("triage", {"operating_point": "sensitivity=0.95"})
    assert record["cases"] == [entry["key"] for entry in listed["entries"]]
    for _ in range(2):
        client.get(f"/api/examinations/{key}/series/1/volume.nii.gz")
        record = told.one()
        assert (record["action"], record["cases"], record["query"]) == ("volume", [key], {"key": key, "number": "1"})


def test_pictures_belong_to_the_record_that_names_their_case(folder: Path) -> None:
    with serving(folder / "data") as client:
        told = Told(folder / "data")
        hits = client.get("/api/search?q=stroke&k=2").json()["hits"]
        told.one()
        shown, opened = (f"/api/examinations/{hit['key']}" for hit in hits)
        for case in (shown, opened):
            assert client.get(f"{case}/series/1/thumbnail.png").status_code == 200
        assert told.new() == []  # the search names both cases
        client.get(opened)
        told.one()
        for index in ("0", "1", "key"):
            assert client.get(f"{opened}/series/1/slices/axial/{index}.png").status_code == 200
        assert told.new() == []  # the record of the opened case stands for its slices
        for index in ("0", "1", "key"):
            assert client.get(f"{shown}/series/1/slices/axial/{index}.png").status_code == 200
        record = told.one()  # nobody opened this one: its first slice says so
        assert (record["action"], record["cases"]) == ("picture", [hits[0]["key"]])


def test_a_thumbnail_that_no_record_names_has_its_own(folder: Path, key: str) -> None:
    with serving(folder / "data") as client:
        told = Told(folder / "data")
        for _ in range(3):
            client.get(f"/api/examinations/{key}/series/1/thumbnail.png")
        assert (told.all()[-1]["action"], told.one()["cases"]) == ("thumbnail", [key])


def test_changes_of_collections_are_recorded_each(client: TestClient, told: Told, key: str) -> None:
    name = client.post("/api/collections", json={"title": "For Tuesday"}).json()["name"]
    place = f"/api/collections/{name}"
    client.post(f"{place}/examinations", json={"key": key, "note": "shift of Mrs X"})
    client.put(f"{place}/examinations", json={"keys": [key]})
    client.patch(place, json={"title": "For Friday"})
    client.get(place)
    client.delete(f"{place}/examinations/{key}")
    client.delete(place)
    found = told.new()
    assert [one["action"] for one in found] == [
        "make-collection", "add-to-collection", "order-collection", "rename-collection", "open-collection",
        "take-from-collection", "delete-collection",
    ]  # fmt: skip
    assert found[0]["query"] == {"title": "For Tuesday"}
    assert found[1]["query"] == {"name": name, "key": key, "note_characters": 14}
    assert found[3]["query"] == {"name": name, "title": "For Friday"}
    assert [one["cases"] for one in found[1:6]] == [[key], [key], [], [key], [key]]
    assert found[-1]["outcome"] == "204"


@pytest.mark.parametrize(
    ("method", "address", "options", "action", "outcome"),
    [
        ("GET", "/api/search?q=", {}, "search", "400 empty_query"),
        ("GET", "/api/search?q=glioma&k=1e9", {}, "search", "400 bad_k"),
        ("GET", "/api/search?q=glioma&sexx=F", {}, "search", "400 unknown_parameter"),
        ("GET", "/api/facets?sex=blue", {}, "other", "400 bad_sex"),
        ("GET", "/api/examinations/nothing", {}, "open-case", "404 not_found"),
        ("GET", "/api/examinations/nothing/series/1/thumbnail.png", {}, "thumbnail", "404 not_found"),
        ("GET", "/nothing", {}, "other", "404 not_found"),
        ("BREW", "/api/search", {}, "other", "405 method_not_allowed"),
        ("GET", "/api/search?q=x", {"headers": {"host": "evil.example"}}, "other", "400 bad_host"),
        ("POST", "/api/collections", {"headers": {"origin": "http://evil.example"}}, "other", "403 cross_origin"),
        ("POST", "/api/score", {"content": b"x"}, "score", "415 not_multipart"),
        ("POST", "/api/score", {"files": [("files", ("a_T1w.nii", b"x" * 400))]}, "score", "415 not_nifti"),
        ("POST", "/api/collections", {"content": b"["}, "make-collection", "400 bad_body"),
        ("POST", "/api/collections", {"headers": {"content-length": "99999999999"}}, "other", "413 too_large"),
    ],
)
def test_each_refused_request_is_one_line(
    client: TestClient, told: Told, method: str, address: str, options: dict[str, Any], action: str, outcome: str
) -> None:
    answer = client.request(method, address, **options)
    record = told.one()
    assert (record["action"], record["outcome"], record["cases"]) == (action, outcome, [])
    assert record["request_id"] == answer.headers["x-request-id"]


def test_a_secret_in_the_address_is_not_recorded(client: TestClient, told: Told) -> None:
    client.get(f"/api/search?q=glioma&api_key={PLANTED}")
    record = told.one()
    assert record["query"] == {"q": "glioma", "unknown_parameters": 1}
    client.get(f"/{PLANTED}")
    told.one()
    client.get("/api/search?q=" + "a" * 50_000)
    assert told.one()["query"]["q"] == "a" * 2_000 + " (50000 characters)"
    assert PLANTED not in str(told.all())


def test_without_an_audit_nothing_is_answered_and_afterwards_all_is(tmp_path: Path) -> None:
    data = build_archive(tmp_path)
    with TestClient(site_of(data), base_url=ADDRESS) as client:
        key = client.get("/api/search?q=glioma").json()["hits"][0]["key"]
        kept = fill_disk(data)
        name = CASES[0].participant
        for address in ("/api/search?q=glioma", f"/api/examinations/{key}", "/api/triage", "/api/nothing"):
            answer = client.get(address)
            assert_refused(answer, 507, "audit_full")
            assert name not in answer.text
        page = client.get("/search?q=glioma&k=12")
        assert page.status_code == 507
        assert key not in page.text
        made = client.post("/api/collections", json={"title": "x"})
        assert_refused(made, 507, "audit_full")
        free_disk(data, kept)
        assert client.get("/api/search?q=glioma").status_code == 200
        assert len(recorded(data)) == 2
        break_audit(data)
        for address in ("/api/search?q=glioma", f"/api/examinations/{key}/series/1/thumbnail.png", "/api/facets"):
            answer = client.get(address)
            assert_refused(answer, 503, "audit_unavailable")
            assert int(answer.headers["retry-after"]) > 0
        assert client.get("/healthz").status_code == 200
        mend_audit(data)
        assert client.get("/api/search?q=glioma").status_code == 200
    assert not verify(data).problems


def test_what_is_answered_is_on_disk_before_its_first_byte(folder: Path) -> None:
    """Seen from outside of the application: when the answer starts, its record is there."""
    data = folder / "data"
    app = build_app(Settings(data=data), encoder=ToyEncoder())
    told = Told(data)
    seen: list[int] = []

    async def watching(scope: Scope, receive: Receive, send: Send) -> None:
        async def noting(message: Any) -> None:
            if message["type"] == "http.response.start":
                seen.append(len(told.all()))
            await send(message)

        await app(scope, receive, noting)

    with TestClient(watching, base_url=ADDRESS) as client:
        before = len(told.all())
        client.get("/api/search?q=glioma")
        client.get("/api/search?q=")
    assert seen == [before + 1, before + 2]


def test_the_chain_of_all_this_holds(folder: Path, client: TestClient) -> None:
    client.get("/api/search?q=glioma")
    found = verify(folder / "data")
    assert found.records > 0
    assert not found.problems
