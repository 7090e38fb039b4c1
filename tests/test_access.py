"""The door: every byte of a protected server, asked for without and with a key, a session and a proxy's header."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from audit_cases import Told
from fastapi.testclient import TestClient
from http_cases import ADDRESS, assert_refused, flair_of
from search_cases import build_archive
from toy_encoder import ToyEncoder

from search_api.access_settings import AccessSettings
from search_api.api_keys import ApiKeys
from search_api.app import build_app
from search_api.client import ApiError, Client
from search_api.principals import Role
from search_api.settings import Settings
from web import build_site, routes_case, routes_collections, routes_desk, routes_search

OPEN = {"/healthz", "/readyz", "/sign-in", "/sign-in/provider", "/sign-in/callback", "/api/session", "/static"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_archive(tmp_path_factory.mktemp("access"))


@pytest.fixture(scope="module")
def keys(data: Path) -> dict[str, str]:
    return {role: ApiKeys(data).add(f"{role} 1", role, 1)[1] for role in Role}


def client_of(data: Path, client: tuple[str, int] = ("127.0.0.1", 50000), **access: object) -> TestClient:
    settings = Settings(data=data, access=AccessSettings.model_validate(access))
    app = build_app(settings, encoder=ToyEncoder())
    build_site(app)
    return TestClient(app, base_url=ADDRESS, client=client, follow_redirects=False)


@pytest.fixture(scope="module")
def site(data: Path, keys: dict[str, str]) -> Iterator[TestClient]:
    with client_of(data, failed_sign_ins_per_minute=100_000) as client:
        client.headers["authorization"] = f"Bearer {keys['admin']}"
        while client.get("/readyz").status_code != 200:
            pass
        del client.headers["authorization"]
        yield client


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def addresses(client: TestClient) -> list[tuple[str, str]]:
    """Every call of the API and every page with its method, whatever in the places of their parameters."""
    described = client.app.openapi()["paths"]  # type: ignore[attr-defined]
    found = [(method.upper(), path) for path, methods in described.items() for method in methods]
    for module in (routes_search, routes_case, routes_collections, routes_desk):
        found += [(method, route.path) for route in module.router.routes for method in route.methods]
    filled = [(method, re.sub(r"{[^}]+}", "1", path)) for method, path in found]
    return sorted({*filled, ("GET", "/openapi.json"), ("GET", "/nowhere"), ("GET", "/api/nowhere"), ("HEAD", "/")})


def test_nothing_but_the_open_pages_is_had_without_a_key(site: TestClient) -> None:
    asked = [(method, path) for method, path in addresses(site) if path not in OPEN]
    assert len(asked) > 40
    for method, path in asked:
        answer = site.request(method, path)
        page = not path.startswith(("/api", "/metrics", "/openapi"))
        if page and method in ("GET", "HEAD"):
            assert answer.status_code == 303, (method, path)
            assert answer.headers["location"].startswith("/sign-in?after=%2F"), path
        else:
            assert answer.status_code == 401, (method, path, answer.status_code)
            assert answer.headers["www-authenticate"].startswith("Bearer")
        assert len(answer.content) < 4_000
        assert "no-store" in answer.headers["cache-control"] or page


def test_what_is_open_says_nothing_of_the_data(site: TestClient, tmp_path: Path) -> None:
    assert site.get("/healthz").json() == {"status": "ok"}
    assert site.get("/readyz").json() == {"ready": True, "reasons": [], "notices": []}
    assert site.get("/api/session").json() == {"name": None, "role": None, "required": True, "ways": ["key"]}
    with client_of(tmp_path, required=True) as empty:
        answer = empty.get("/readyz")
        assert (answer.status_code, answer.json()) == (503, {"ready": False, "reasons": [], "notices": []})
    page = site.get("/sign-in")
    assert page.status_code == 200
    assert "API key" in page.text
    assert "/triage" not in page.text


def test_a_reader_searches_and_sees_but_changes_no_collection(site: TestClient, keys: dict[str, str]) -> None:
    reader = bearer(keys["reader"])
    hit = site.get("/api/search?q=hydrocephalus", headers=reader).json()["hits"][0]
    assert site.get(f"/api/examinations/{hit['key']}", headers=reader).status_code == 200
    assert site.get(f"/case/{hit['key']}", headers=reader).status_code == 200
    assert_refused(site.post("/api/collections", json={"title": "mine"}, headers=reader), 403, "not_allowed")
    page = site.post("/collections", data={"title": "mine"}, headers=reader)
    assert page.status_code == 403
    assert "needs the role curator" in page.text
    made = site.post("/api/collections", json={"title": "mine"}, headers=bearer(keys["curator"]))
    assert made.status_code == 201
    assert site.delete(f"/api/collections/{made.json()['name']}", headers=reader).status_code == 403
    assert site.delete(f"/api/collections/{made.json()['name']}", headers=bearer(keys["admin"])).status_code == 204


@pytest.mark.parametrize(
    "header",
    [
        "Bearer nr_00000000_" + "A" * 43,
        "Bearer ",
        "Bearer null",
        "Basic YWRtaW46YWRtaW4=",
        "Bearer eyJhbGciOiJub25lIn0.eyJyb2xlIjoiYWRtaW4ifQ.",
        "Bearer " + "x" * 5_000,
    ],
)
def test_a_proof_that_is_wrong_is_refused(site: TestClient, header: str) -> None:
    answer = site.get("/api/search?q=tumour", headers={"Authorization": header})
    assert_refused(answer, 401, "bad_key")
    assert header.partition(" ")[2][:20] not in answer.text or not header.partition(" ")[2]


def test_a_key_in_the_address_is_no_proof(site: TestClient, keys: dict[str, str]) -> None:
    for name in ("key", "api_key", "access_token", "authorization"):
        assert site.get(f"/api/search?q=tumour&{name}={keys['admin']}").status_code == 401


def test_a_session_is_opened_with_a_key_and_ends_with_it(data: Path) -> None:
    made, key = ApiKeys(data).add("browser", Role.READER, 1)
    with client_of(data) as client:
        wrong = client.post("/sign-in", data={"key": key[:-1], "after": "/triage"})
        assert (wrong.status_code, "not valid" in wrong.text) == (401, True)
        answer = client.post("/sign-in", data={"key": f" {key} ", "after": "/triage"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/triage")
        cookie = answer.headers["set-cookie"]
        assert "httponly" in cookie.lower()
        assert "samesite=lax" in cookie.lower()
        assert key[12:] not in cookie
        page = client.get("/search?q=hydrocephalus")
        assert page.status_code == 200
        assert "browser" in page.text
        assert client.get("/api/session").json()["name"] == "key:browser"
        ApiKeys(data).revoke(made.id)
        assert client.get("/api/search?q=hydrocephalus").status_code == 401
        assert client.get("/search?q=hydrocephalus").status_code == 303


def test_the_audit_names_who_signs_in_asks_and_is_turned_away(data: Path, keys: dict[str, str]) -> None:
    told = Told(data)
    with client_of(data) as client:
        client.post("/sign-in", data={"key": keys["reader"]})
        client.get("/search?q=hydrocephalus")
        client.post("/collections", data={"title": "mine"})
        client.post("/sign-out")
        client.get("/search?q=hydrocephalus")
        client.get("/metrics", headers=bearer("nr_00000000_" + "A" * 43))
    records = [(one["who"], one["action"], one["outcome"].split()[0]) for one in told.new()]
    me = "key:reader 1"
    assert records[:4] == [
        (me, "sign-in", "303"),
        (me, "search", "200"),
        (me, "make-collection", "403"),
        (me, "sign-out", "303"),
    ]
    assert [record[0] for record in records[4:]] == ["unknown", "unknown"]
    assert [record[2] for record in records[4:]] == ["401", "401"]


def test_signing_out_ends_a_session(data: Path, keys: dict[str, str]) -> None:
    with client_of(data) as client:
        assert client.post("/api/session", json={"key": keys["reader"]}).json()["role"] == "reader"
        assert client.get("/api/facets").status_code == 200
        assert client.post("/sign-out").headers["location"] == "/sign-in"
        assert client.get("/api/facets").status_code == 401


def test_a_cookie_that_was_changed_or_signed_elsewhere_is_worth_nothing(
    data: Path, keys: dict[str, str], tmp_path: Path
) -> None:
    with client_of(data) as client:
        client.post("/api/session", json={"key": keys["reader"]})
        cookie = client.cookies["neurorecall_session"]
    ApiKeys(tmp_path).add("a", Role.ADMIN, 1)
    with client_of(tmp_path) as other:
        other.cookies["neurorecall_session"] = cookie
        assert other.get("/api/status").status_code == 401
    forged = cookie[:-2] + ("AA" if not cookie.endswith("AA") else "BB")
    for value in (forged, "", "e30=", json.dumps({"name": "x", "role": "admin"})):
        with client_of(data) as client:
            client.cookies["neurorecall_session"] = value
            assert client.get("/api/status").status_code == 401


def test_another_site_cannot_sign_a_browser_in_or_out(data: Path, keys: dict[str, str]) -> None:
    with client_of(data) as client:
        for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
            answer = client.post("/sign-in", data={"key": keys["reader"]}, headers=headers)
            assert answer.status_code == 403
            assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("after", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_signing_in_leads_to_no_other_site(data: Path, keys: dict[str, str], after: str) -> None:
    with client_of(data) as client:
        answer = client.post("/sign-in", data={"key": keys["reader"], "after": after})
        assert answer.headers["location"] == "/"


def test_the_cookie_goes_over_tls_alone_where_the_site_does(data: Path, keys: dict[str, str]) -> None:
    address = "https://neurorecall.example.org"
    with client_of(data, public_url=address) as client:
        client.base_url = address  # as a proxy that keeps the name passes it on
        answer = client.post("/api/session", json={"key": keys["reader"]}, headers={"Origin": address})
        assert answer.status_code == 200
        assert "secure" in answer.headers["set-cookie"].lower()
        client.base_url = "http://elsewhere.example.org"
        assert client.get("/healthz").status_code == 400


PROXY = ("10.0.0.5", 40000)


class TestProxy:
    def test_its_header_counts_from_its_own_address_only(self, data: Path) -> None:
        headers = {"X-Remote-User": "alice", "X-Remote-Groups": "staff, neurorecall-curators"}
        with client_of(data, client=PROXY, proxy_addresses=("10.0.0.5",)) as client:
            assert client.get("/api/session", headers=headers).json()["name"] == "proxy:alice"
            assert client.get("/api/session", headers=headers).json()["role"] == "curator"
            assert client.get("/api/facets", headers=headers).status_code == 200
            assert client.get("/search?q=tumour", headers=headers).status_code == 200
            assert client.get("/api/facets").status_code == 401
        for elsewhere in ("10.0.0.6", "127.0.0.1", "::1"):
            with client_of(data, client=(elsewhere, 40000), proxy_addresses=("10.0.0.5",)) as client:
                forwarded = headers | {"X-Forwarded-For": "10.0.0.5", "Forwarded": "for=10.0.0.5"}
                assert client.get("/api/facets", headers=forwarded).status_code == 401

    def test_its_address_is_the_same_written_as_ipv6(self, data: Path) -> None:
        headers = {"X-Remote-User": "alice", "X-Remote-Groups": "neurorecall-readers"}
        with client_of(data, client=("::ffff:10.0.0.5", 40000), proxy_addresses=("10.0.0.5",)) as client:
            assert client.get("/api/facets", headers=headers).status_code == 200

    def test_whoever_is_in_no_group_of_ours_is_not_let_in(self, data: Path) -> None:
        with client_of(data, client=PROXY, proxy_addresses=("10.0.0.5",)) as client:
            answer = client.get("/api/facets", headers={"X-Remote-User": "bob", "X-Remote-Groups": "staff"})
            assert_refused(answer, 403, "no_role")
            long = {"X-Remote-User": "b" * 121, "X-Remote-Groups": "neurorecall-readers"}
            assert client.get("/api/facets", headers=long).status_code == 401


def test_a_broken_file_of_keys_closes_the_door(tmp_path: Path) -> None:
    ApiKeys(tmp_path).add("a", Role.ADMIN, 1)
    with client_of(tmp_path) as client:
        (tmp_path / "access" / "keys.json").write_text("{", "utf-8")
        answer = client.get("/api/status")
        assert (answer.status_code, answer.json()["code"]) == (503, "keys_broken")
        assert client.get("/healthz").status_code == 200


def test_the_first_key_closes_a_server_that_runs_already(data: Path, tmp_path: Path) -> None:
    with client_of(tmp_path) as client:
        assert client.get("/api/status").status_code == 503  # let in, though there is no index
        ApiKeys(tmp_path).add("a", Role.READER, 1)
        assert client.get("/api/status").status_code == 401


class TestLimits:
    def test_one_who_asks_too_often_waits_and_others_do_not(self, data: Path, keys: dict[str, str]) -> None:
        with client_of(data, questions_per_minute=3, pictures_per_minute=2, uploads_per_minute=1) as client:
            reader, curator = bearer(keys["reader"]), bearer(keys["curator"])
            assert [client.get("/api/facets", headers=reader).status_code for _ in range(4)] == [200, 200, 200, 429]
            answer = client.get("/api/facets", headers=reader)
            assert_refused(answer, 429, "too_many_requests")
            assert 1 <= int(answer.headers["retry-after"]) <= 60
            assert client.get("/api/facets", headers=curator).status_code == 200
            page = client.get("/triage", headers=reader)
            assert (page.status_code, "at most 3 questions" in page.text) == (429, True)
            # Pictures and uploads are counted apart.
            picture = "/api/examinations/x/series/1/thumbnail.png"
            assert [client.get(picture, headers=reader).status_code for _ in range(3)] == [404, 404, 429]
            scan = flair_of(data.parent / "bids") if (data.parent / "bids").is_dir() else None
            files = [("files", ("a_FLAIR.nii.gz", scan.read_bytes() if scan else b"x"))]
            statuses = [client.post("/api/score", files=files, headers=reader).status_code for _ in range(2)]
            assert statuses[0] != 429
            assert statuses[1] == 429

    def test_a_page_counts_once(self, data: Path, keys: dict[str, str]) -> None:
        with client_of(data, questions_per_minute=2) as client:
            reader = bearer(keys["reader"])
            statuses = [client.get("/search?q=hydrocephalus", headers=reader).status_code for _ in range(3)]
            assert statuses == [200, 200, 429]

    def test_guessing_is_slowed_down_and_the_right_key_still_opens(self, data: Path, keys: dict[str, str]) -> None:
        with client_of(data, failed_sign_ins_per_minute=3) as client:
            wrong = bearer("nr_00000000_" + "A" * 43)
            assert [client.get("/api/facets", headers=wrong).status_code for _ in range(5)] == [401, 401, 401, 429, 429]
            assert client.post("/sign-in", data={"key": "guess"}).status_code == 429
            assert client.get("/api/facets", headers=bearer(keys["reader"])).status_code == 200


def test_the_client_sends_its_key(keys: dict[str, str], site: TestClient) -> None:
    def asked(request: httpx.Request) -> httpx.Response:
        answer = site.get(str(request.url), headers=dict(request.headers))
        return httpx.Response(answer.status_code, json=answer.json())

    with Client(ADDRESS, api_key=keys["reader"], transport=httpx.MockTransport(asked)) as client:
        assert client.search("hydrocephalus").hits
    with Client(ADDRESS, transport=httpx.MockTransport(asked)) as client, pytest.raises(ApiError) as refused:
        client.search("hydrocephalus")
    assert refused.value.status == 401


def test_keys_that_are_lost_leave_the_door_shut(tmp_path: Path) -> None:
    _, key = ApiKeys(tmp_path).add("a", Role.ADMIN, 1)
    file = tmp_path / "access" / "keys.json"
    with client_of(tmp_path) as client:
        kept = file.read_bytes()
        file.unlink()
        for headers in ({}, bearer(key)):
            answer = client.get("/api/status", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (503, "keys_broken")
        assert client.get("/readyz").status_code == 503
        file.write_bytes(kept)
        assert client.get("/api/status").status_code == 401
        assert client.get("/api/session", headers=bearer(key)).json()["role"] == "admin"
    file.unlink()
    made, _ = ApiKeys(tmp_path).add("b", Role.READER, 1)
    assert ApiKeys(tmp_path).all() == (made,)


def test_a_name_that_a_proxy_let_through_beside_its_own_is_refused(data: Path) -> None:
    groups = ("X-Remote-Groups", "neurorecall-readers")
    twice = (
        [("X-Remote-User", "bob"), ("X-Remote-User", "eve"), groups],
        [("X-Remote-User", "bob"), ("X-Remote-Groups", "neurorecall-admins"), groups],
    )
    with client_of(data, client=PROXY, proxy_addresses=("10.0.0.5",)) as client:
        for headers in twice:
            assert_refused(client.get("/api/facets", headers=headers), 401, "sign_in_failed")
        assert client.get("/api/facets", headers=[("X-Remote-User", "bob"), groups]).status_code == 200
