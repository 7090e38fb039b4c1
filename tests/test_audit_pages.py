"""The audit of pages and of who asks: one record for what a person does on a page, under their own name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from audit_cases import Told
from fastapi.testclient import TestClient
from http_cases import ADDRESS, PLANTED, assert_refused, flair_of, serving
from search_cases import build_archive
from site_cases import site_of
from starlette.types import ASGIApp, Receive, Scope, Send

from search_api.errors import Problem


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
def told(folder: Path) -> Told:
    return Told(folder / "data")


@pytest.fixture(scope="module")
def key(client: TestClient) -> str:
    return str(client.get("/api/search?q=glioma").json()["hits"][0]["key"])


def test_probes_figures_and_static_files_are_not_recorded(client: TestClient, site: TestClient, told: Told) -> None:
    for address in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/api/facets", "/api/status"):
        assert client.get(address).status_code == 200
    for address in ("/", "/about", "/suggestions", "/report-check", "/status", "/static/nothing.js"):
        site.get(address)
    assert told.new() == []


def test_a_page_is_one_record(site: TestClient, folder: Path, told: Told) -> None:
    page = site.get("/search?q=hydrocephalus&k=12")
    record = told.one()
    assert record["action"] == "search"
    assert all(key in page.text for key in record["cases"])
    assert page.text.count('class="card-link"') == len(record["cases"]) > 8
    assert record["request_id"] == page.headers["x-request-id"]
    key = record["cases"][0]
    site.get(f"/case/{key}?q=hydrocephalus")
    record = told.one()
    assert (record["action"], record["cases"]) == ("open-case", [key])
    site.get("/triage")
    assert (told.all()[-1]["action"], len(told.one()["cases"])) == ("triage", 2)
    scan = flair_of(folder / "dataset")
    site.post("/search/scan", files=[("files", (f"{PLANTED}_FLAIR.nii.gz", scan.read_bytes()))])
    record = told.one()
    assert (record["action"], record["query"]) == ("search-by-scan", {"scans": ["FLAIR"]})
    assert len(record["cases"]) == 10


def test_a_refused_page_is_one_record(site: TestClient, told: Told) -> None:
    for address, outcome in (
        ("/case/nothing", "404 not_found"),
        ("/search?q=glioma&k=1e9", "400 bad_k"),
        ("/nowhere", "404 not_found"),
    ):
        site.get(address)
        assert told.one()["outcome"] == outcome


def test_each_change_that_a_page_makes_is_a_record(site: TestClient, told: Told, key: str) -> None:
    site.post(f"/case/{key}/collect", data={"title": "New folder", "note": "see"}, follow_redirects=False)
    made, added = told.new()
    assert (made["action"], made["outcome"]) == ("make-collection", "201")
    assert (added["action"], added["cases"]) == ("add-to-collection", [key])
    assert made["request_id"] == added["request_id"]
    name = added["query"]["name"]
    site.get(f"/collections/{name}")
    assert (told.all()[-1]["action"], told.one()["cases"]) == ("open-collection", [key])
    site.post(f"/collections/{name}/delete", follow_redirects=False)
    assert told.one()["action"] == "delete-collection"


class Named:
    """Stands where authentication will: says who asks, refuses one, and is no longer asked within a page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = dict(scope["headers"]).get(b"x-test-person", b"nobody").decode()
            if given == "nobody":
                raise Problem(401, "not_signed_in", "Who are you?", "Sign in.")
            scope["state"]["principal"] = type("Principal", (), {"name": f"person:{given}", "role": "reader"})()
        await self._app(scope, receive, send)


@pytest.fixture
def guarded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    from web import calls

    monkeypatch.setattr(calls, "_PASSED_ON", (*calls._PASSED_ON, "x-test-person"))
    app = site_of(folder / "data")
    app.user_middleware.append(type(app.user_middleware[0])(Named))  # innermost, where the guards are passed
    with TestClient(app, base_url=ADDRESS) as client:
        yield client


def test_who_asks_stands_in_the_record_of_calls_and_pages(guarded: TestClient, folder: Path) -> None:
    told = Told(folder / "data")
    person = {"x-test-person": "alice@example.org"}
    guarded.get("/api/search?q=glioma", headers=person)
    assert told.one()["who"] == "person:alice@example.org"
    guarded.get("/search?q=glioma&k=12", headers=person)
    assert told.one()["who"] == "person:alice@example.org"
    assert_refused(guarded.get("/api/search?q=glioma"), 401, "not_signed_in")
    record = told.one()
    assert (record["who"], record["outcome"]) == ("unknown", "401 not_signed_in")


def test_pictures_that_one_person_was_shown_are_not_covered_for_another(guarded: TestClient, folder: Path) -> None:
    told = Told(folder / "data")
    key = guarded.get("/api/search?q=glioma", headers={"x-test-person": "alice"}).json()["hits"][0]["key"]
    told.one()
    for person, records in (("alice", 0), ("bob", 1), ("bob", 0)):
        guarded.get(f"/api/examinations/{key}/series/1/thumbnail.png", headers={"x-test-person": person})
        assert len(told.new()) == records
