"""The door: who a request comes from, or that nobody knows; every byte but the sign-in page and /healthz is behind it.

An API key, a session's cookie, or the header of a proxy at a configured address says who asks. A server on loopback for
which none of these was configured lets in whoever reaches it. What each role may do is left to the calls.
"""

from __future__ import annotations

import ipaddress
import secrets
from pathlib import Path

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from indexer.durable import first_file
from search_api.access_settings import AccessSettings
from search_api.api_keys import FOLDER, ApiKey, ApiKeyError, ApiKeys
from search_api.errors import Problem, not_ready
from search_api.principals import LOCAL, Principal, Role, principal_in, set_principal, unknown
from search_api.rate_limits import RateLimits

SESSION_COOKIE = "neurorecall_session"
SESSION_KEY = "session.key"
_OPEN = frozenset({"/healthz", "/readyz", "/favicon.ico", "/sign-in", "/sign-in/provider", "/sign-in/callback"})
_OPEN_FOLDERS = ("/static/",)
_OPEN_CALLS = frozenset({("GET", "/api/session"), ("POST", "/api/session"), ("DELETE", "/api/session")})
LONGEST_NAME = 120


class Access:
    """Who is let in to one data directory's service, and how much they may ask."""

    def __init__(self, data: Path, settings: AccessSettings) -> None:
        self.settings = settings
        self.keys = ApiKeys(data)
        self.limits = RateLimits(settings)
        self._data = data

    @property
    def required(self) -> bool:
        """Whether one has to be known. Raises Problem (503) where the keys cannot be read."""
        if self.settings.required or self.settings.configured:
            return True
        try:
            return bool(self.keys.all())
        except ApiKeyError as error:
            raise not_ready(str(error), error.hint, error.code) from error

    def principal(self, request: Request) -> Principal | None:
        """Who asks, or None. Raises Problem (401, 429) for a proof that is wrong."""
        if not self.required:
            return LOCAL
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme:
            return self.owner(key.strip() if scheme.lower() == "bearer" else "", request.scope).principal
        return self._of_proxy(request) or self._of_session(request)

    def owner(self, key: str, scope: Scope) -> ApiKey:
        """The API key that was sent. Raises Problem (401, 429)."""
        found = self.keys.owner(key)
        if found is None:
            self.limits.count_failure(client_address(scope))
            raise unknown("This API key is not valid, or no longer.", "bad_key")
        return found

    def role_of(self, groups: frozenset[str]) -> Role | None:
        """The highest role that one of the groups has."""
        settings = self.settings
        given = ((Role.ADMIN, settings.admin_groups), (Role.CURATOR, settings.curator_groups))
        for role, names in (*given, (Role.READER, settings.reader_groups)):
            if groups.intersection(names):
                return role
        return None

    def session_secret(self) -> str:
        """What cookies are signed with: kept with the keys, so that a restart signs nobody out."""
        path = self._data / FOLDER / SESSION_KEY
        try:
            return path.read_text("ascii")
        except FileNotFoundError:
            made = secrets.token_hex(32)
        if not self.required:
            return made
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        first_file(path, made.encode())
        return path.read_text("ascii")

    def _of_proxy(self, request: Request) -> Principal | None:
        settings = self.settings
        names = request.headers.getlist(settings.proxy_user_header)
        if not names or client_address(request.scope) not in settings.proxy_addresses:
            return None
        given = request.headers.getlist(settings.proxy_groups_header)
        if len(names) > 1 or len(given) > 1:
            # One of them may be the client's own, which the proxy did not take away.
            raise unknown("The name that was vouched for was given twice.", "sign_in_failed")
        name, groups = names[0], "".join(given)
        return self.person("proxy", name, frozenset(part.strip() for part in groups.replace(";", ",").split(",")))

    def person(self, vouched_by: str, name: str, groups: frozenset[str]) -> Principal:
        """Somebody whom a provider or a proxy vouches for. Raises Problem (403) without a role, 401 without a name."""
        if not name.isprintable() or not 0 < len(name) <= LONGEST_NAME:
            raise unknown("The name that was vouched for cannot be used.", "sign_in_failed")
        role = self.role_of(groups)
        if role is None:
            raise Problem(
                403, "no_role", "You are known, but in no group that may use this server.", "Ask whoever runs it."
            )
        return Principal(f"{vouched_by}:{name}", role)

    def _of_session(self, request: Request) -> Principal | None:
        session = request.session
        if "key" in session:
            key = self.keys.find(str(session["key"]))
            # A session lasts no longer than the key that it was opened with.
            return key.principal if key and key.valid else None
        try:
            return Principal(str(session["name"]), Role(session["role"]))
        except (KeyError, ValueError):
            return None


class Door:
    """ASGI middleware that lets nobody past who is not known."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A page's own calls to the API come from within, with the principal whom the page was let in for.
        if scope["type"] == "http" and principal_in(scope) is None:
            self._enter(scope)
        await self._app(scope, receive, send)

    def _enter(self, scope: Scope) -> None:
        path, method = str(scope["path"]), str(scope["method"])
        is_open = path in _OPEN or path.startswith(_OPEN_FOLDERS) or (method, path) in _OPEN_CALLS
        try:
            principal = self._access.principal(Request(scope))
        except (Problem, ApiKeyError) as error:
            if is_open:
                return
            if isinstance(error, ApiKeyError):
                raise not_ready(str(error), error.hint, error.code) from error
            raise
        if principal is not None:
            set_principal(scope, principal)
        if is_open:
            return
        if principal is None:
            raise unknown()
        self._access.limits.count(principal, method, path, Headers(scope=scope).get("content-type", ""))


def client_address(scope: Scope) -> str:
    """The peer's address, as it is whatever headers say."""
    client = scope.get("client")
    try:
        address = ipaddress.ip_address(client[0]) if client else None
    except ValueError:
        return ""
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address or "")
