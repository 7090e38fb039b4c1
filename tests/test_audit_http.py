"""The audit over HTTP: one record for one act, before its answer leaves, with who, what, which cases, what outcome."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from audit_cases import break_audit, fill_disk, free_disk, mend_audit, recorded
from fastapi.testclient import TestClient
from http_cases import ADDRESS, PLANTED, assert_refused, flair_of, serving, upload
from search_cases import CASES, build_archive
from site_cases import site_of
from starlette.types import ASGIApp, Receive, Scope, Send
from toy_encoder import ToyEncoder

from search_api.app import build_app
from search_api.audit_acts import ACTIONS, OPEN, UNRECORDED
from search_api.audit_reading import verify
from search_api.errors import Problem
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


class Told:
    """What was recorded since it was last asked."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._seen = len(self._all())

    def _all(self) -> list[dict[str, Any]]:
        return recorded(self._data) if (self._data / "audit").is_dir() else []

    def new(self) -> list[dict[str, Any]]:
        found = self._all()
        fresh, self._seen = found[self._seen :], len(found)
        return fresh

    def one(self) -> dict[str, Any]:
        fresh = self.new()
        assert len(fresh) == 1, [(one["action"], one["outcome"]) for one in fresh]
        return fresh[0]


@pytest.fixture
def told(folder: Path, client: TestClient) -> Told:
    return Told(folder / "data")


@pytest.fixture(scope="module")
def key(client: TestClient) -> str:
    return str(client.get("/api/search?q=glioma").json()["hits"][0]["key"])


def test_every_call_of_the_api_is_classified(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    calls = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    left = {(method, path) for method, path in calls if path not in OPEN | UNRECORDED}
    assert left == set(ACTIONS)


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
    assert (told._all()[-1]["action"], told.one()["query"]) == ("score", {"scans": ["FLAIR"]})
    upload(client, content, name, to="suggest")
    assert told.one()["action"] == "suggest"
    upload(client, content, name, to="check-report", report=f"Findings: No hydrocephalus. {PLANTED}.")
    record = told.one()
    assert record["action"] == "check-report"
    assert record["query"] == {"report_characters": 46, "scans": ["FLAIR"]}
    assert PLANTED not in str(told._all())


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
        assert (told._all()[-1]["action"], told.one()["cases"]) == ("thumbnail", [key])


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
    assert PLANTED not in str(told._all())


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
    assert (told._all()[-1]["action"], len(told.one()["cases"])) == ("triage", 2)
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
    assert (told._all()[-1]["action"], told.one()["cases"]) == ("open-collection", [key])
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
                seen.append(len(told._all()))
            await send(message)

        await app(scope, receive, noting)

    with TestClient(watching, base_url=ADDRESS) as client:
        before = len(told._all())
        client.get("/api/search?q=glioma")
        client.get("/api/search?q=")
    assert seen == [before + 1, before + 2]


def test_the_chain_of_all_this_holds(folder: Path, client: TestClient) -> None:
    client.get("/api/search?q=glioma")
    found = verify(folder / "data")
    assert found.records > 0
    assert not found.problems
