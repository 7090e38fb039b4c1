"""Signing in through an OpenID Connect provider that runs here, as a browser does it: every redirect is followed."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import httpx2
import pytest
from fastapi.testclient import TestClient
from http_cases import ADDRESS, assert_refused
from toy_encoder import ToyEncoder

from search_api import sign_in
from search_api.access_settings import AccessSettings
from search_api.app import build_app
from search_api.settings import Settings
from web import build_site

pytestmark = pytest.mark.slow

CLIENT = "neurorecall"
SECRET = "a secret of some length, as providers give them"


PEOPLE = (
    {"sub": "alice", "email": "alice@example.org", "groups": ["staff", "neurorecall-curators"]},
    {"sub": "bob", "email": "bob@example.org", "groups": ["staff"]},
    {"sub": "carol", "groups": ["neurorecall-readers"]},
)


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """A provider in a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    people = [part for person in PEOPLE for part in ("--user-claims", json.dumps(person))]
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), "--host", "127.0.0.1", *people]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as provider:
        address = f"http://127.0.0.1:{port}"
        try:
            until = time.monotonic() + 30
            while not _answers(f"{address}/.well-known/openid-configuration"):
                assert provider.poll() is None, "the provider did not start"
                assert time.monotonic() < until
                time.sleep(0.1)
            yield address
        finally:
            provider.terminate()


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, trust_env=False).is_success
    except httpx.HTTPError:
        return False


@pytest.fixture
def site(tmp_path: Path, issuer: str) -> Iterator[TestClient]:
    yield from serving(tmp_path, issuer)


def serving(folder: Path, issuer: str, **changed: object) -> Iterator[TestClient]:
    (folder / "secret").write_text(f"{SECRET}\n", "utf-8")
    given = {"oidc_issuer": issuer, "oidc_client_id": CLIENT, "oidc_client_secret_file": folder / "secret"}
    access = AccessSettings.model_validate(given | changed)
    app = build_app(Settings(data=folder / "data", access=access), encoder=ToyEncoder())
    build_site(app)
    with TestClient(app, base_url=ADDRESS, follow_redirects=False) as client:
        yield client


def at_the_provider(site: TestClient, person: str, after: str = "/triage") -> str:
    """Where the provider sends a person back to, as the browser gets it."""
    away = site.get("/sign-in/provider", params={"after": after})
    assert away.status_code == 302, away.text
    asked = parse_qs(urlsplit(away.headers["location"]).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["nonce"]
    assert asked["redirect_uri"] == [f"{ADDRESS}/sign-in/callback"]
    back = httpx.post(away.headers["location"], data={"sub": person}, follow_redirects=False, trust_env=False)
    return back.headers["location"]


def test_a_person_is_let_in_with_the_role_of_their_group(site: TestClient) -> None:
    assert site.get("/triage").headers["location"] == "/sign-in?after=%2Ftriage"
    assert "hospital account" in site.get("/sign-in?after=/triage").text
    answer = site.get(at_the_provider(site, "alice"))
    assert (answer.status_code, answer.headers["location"]) == (303, "/triage")
    found = site.get("/api/session").json()
    assert (found["name"], found["role"]) == ("person:alice@example.org", "curator")
    assert site.get("/api/status").status_code == 503  # let in, though there is no index
    assert "alice@example.org" in site.get("/about").text


def test_whoever_has_no_name_in_the_claim_is_named_by_subject(site: TestClient) -> None:
    site.get(at_the_provider(site, "carol"))
    found = site.get("/api/session").json()
    assert (found["name"], found["role"]) == ("person:carol", "reader")


def test_whoever_is_in_no_group_of_ours_is_not_let_in(site: TestClient) -> None:
    page = site.get(at_the_provider(site, "bob"))
    assert page.status_code == 403
    assert "in no group" in page.text
    assert site.get("/api/session").json()["name"] is None


def test_a_code_is_worth_nothing_to_another_browser_or_twice(site: TestClient, tmp_path: Path, issuer: str) -> None:
    address = at_the_provider(site, "alice")
    (tmp_path / "other").mkdir()
    for other in serving(tmp_path / "other", issuer):
        assert other.get(address).status_code == 401
        assert other.get("/api/session").json()["name"] is None
    assert site.get(address).status_code == 303
    site.cookies.clear()
    assert site.get(address).status_code == 401


@pytest.mark.parametrize("query", ["", "?code=x", "?code=x&state=y", "?error=access_denied", "?state=%00&code=%00"])
def test_a_callback_out_of_nowhere_lets_nobody_in(site: TestClient, query: str) -> None:
    page = site.get(f"/sign-in/callback{query}")
    assert page.status_code == 401, page.text
    assert "was not completed" in page.text
    assert site.get("/api/session").json()["name"] is None


def test_a_refusal_of_the_provider_is_said(site: TestClient) -> None:
    away = site.get("/sign-in/provider")
    back = httpx.post(away.headers["location"], data={"action": "deny"}, follow_redirects=False, trust_env=False)
    page = site.get(back.headers["location"])
    assert page.status_code == 401
    assert site.get("/api/session").json()["name"] is None


@pytest.mark.parametrize("after", ["//evil.example", "https://evil.example/x", "/\\evil"])
def test_coming_back_leads_to_no_other_site(site: TestClient, after: str) -> None:
    assert site.get(at_the_provider(site, "alice", after)).headers["location"] == "/"


class TestForgedTokens:
    """What a provider's own key did not sign for us and now is refused, whatever else is right."""

    @pytest.mark.parametrize("what", ["unsigned", "signed with the secret", "issuer", "audience", "expired", "nonce"])
    def test_a_token_that_lies_lets_nobody_in(
        self, site: TestClient, issuer: str, monkeypatch: pytest.MonkeyPatch, what: str
    ) -> None:
        away = site.get("/sign-in/provider").headers["location"]
        asked = {name: values[0] for name, values in parse_qs(urlsplit(away).query).items()}
        claims = {
            "iss": issuer if what != "issuer" else "https://evil.example",
            "aud": CLIENT if what != "audience" else "another",
            "sub": "alice",
            "email": "alice@example.org",
            "groups": ["neurorecall-admins"],
            "nonce": asked["nonce"] if what != "nonce" else "another",
            "iat": int(time.time()) - 3600,
            "exp": int(time.time()) + (600 if what != "expired" else -600),
        }
        forged = ForgingProvider(claims, what)
        provider = site.app.state.provider  # type: ignore[attr-defined]
        monkeypatch.setitem(provider.client_kwargs, "transport", httpx2.MockTransport(forged.answer))
        answer = site.get("/sign-in/callback", params={"code": "any", "state": asked["state"]})
        assert forged.asked == ["/oauth2/token"] or "/oauth2/token" in forged.asked
        assert answer.status_code == 401, answer.text
        assert site.get("/api/session").json()["name"] is None

    def test_the_same_token_without_a_lie_lets_in(
        self, site: TestClient, issuer: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """So that the refusals above are for the lie and nothing else."""
        away = site.get("/sign-in/provider").headers["location"]
        asked = {name: values[0] for name, values in parse_qs(urlsplit(away).query).items()}
        now = int(time.time())
        claims = {"iss": issuer, "aud": CLIENT, "sub": "alice", "groups": ["neurorecall-admins"]}
        forged = ForgingProvider(claims | {"nonce": asked["nonce"], "iat": now, "exp": now + 600}, "")
        provider = site.app.state.provider  # type: ignore[attr-defined]
        monkeypatch.setitem(provider.client_kwargs, "transport", httpx2.MockTransport(forged.answer))
        answer = site.get("/sign-in/callback", params={"code": "any", "state": asked["state"]})
        assert answer.status_code == 303, answer.text
        assert site.get("/api/session").json()["role"] == "admin"


class ForgingProvider:
    """Answers as the provider does, with a token and keys of its own."""

    def __init__(self, claims: dict[str, object], what: str) -> None:
        from joserfc import jwt
        from joserfc.jwk import OctKey, RSAKey
        from joserfc.jws import JWSRegistry

        key = RSAKey.generate_key(2048, {"kid": "1"})
        registry = JWSRegistry(algorithms=["HS256", "RS256"])
        if what == "unsigned":
            token = ".".join((*(encoded(part) for part in ({"alg": "none", "typ": "JWT"}, claims)), ""))
        elif what == "signed with the secret":
            token = jwt.encode({"alg": "HS256", "kid": "1"}, claims, OctKey.import_key(SECRET), registry=registry)
        else:
            token = jwt.encode({"alg": "RS256", "kid": "1"}, claims, key, registry=registry)
        self._token = {"access_token": "x", "token_type": "Bearer", "expires_in": 60, "id_token": token}
        self._keys = {"keys": [key.as_dict(private=False)]}
        self.asked: list[str] = []
        self._issuer = str(claims["iss"])

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request.url.path)
        if request.url.path.endswith("/token"):
            return httpx2.Response(200, json=self._token)
        return httpx2.Response(200, json=self._keys)


def encoded(part: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def test_a_provider_that_does_not_answer_is_said(tmp_path: Path) -> None:
    for site in serving(tmp_path, "http://127.0.0.1:9"):
        answer = site.get("/sign-in/provider")
        assert answer.status_code == 503
        assert "provider does not answer" in answer.text
        assert answer.headers["retry-after"]


def test_without_a_provider_there_is_no_way_to_one(tmp_path: Path) -> None:
    app = build_app(Settings(data=tmp_path, access=AccessSettings(required=True)), encoder=ToyEncoder())
    with TestClient(app, base_url=ADDRESS, follow_redirects=False) as client:
        assert_refused(client.get("/sign-in/provider"), 404, "not_found")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"oidc_issuer": "https://id.example.org"}, "needs oidc_client_id"),
        ({"oidc_issuer": "http://id.example.org"}, "expected https"),
        ({"oidc_issuer": "id.example.org"}, "expected an address"),
        ({"public_url": "https://x.example.org/?q=1"}, "expected an address"),
        ({"proxy_addresses": ("proxy.example.org",)}, "does not appear to be an IPv4 or IPv6 address"),
        ({"session_hours": 0}, "greater than 0"),
        ({"questions_per_minute": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_the_start(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        AccessSettings.model_validate(given)


def test_the_examples_in_the_docstrings_hold() -> None:
    import doctest

    from search_api import principals, server

    assert [doctest.testmod(module).failed for module in (sign_in, principals, server)] == [0, 0, 0]
