"""What stands before every call: host, origin and body size, and outermost security headers, request id, last resort.

Plain ASGI, so that bodies stream through and are counted as they come. Which exception gets which status is left to
errors, figures and log lines to observing, the audit in between to audit.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Mapping

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from search_api.answers import BANNER
from search_api.errors import Problem, busy, problem_of, refusal
from search_api.logs import places
from search_api.settings import MEBIBYTE, Settings

_LOG = logging.getLogger(__name__)
# As programs make them (UUIDs, trace ids): it stands in logs, where no name and no patient's number may.
_REQUEST_ID = re.compile(r"(?=[0-9-]*[A-Fa-f])[0-9A-Fa-f-]{8,64}")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
# A server that reads a head at once sees no more of it than this, however the network cut it up.
LONGEST_HEAD = 64 * 1024  # bytes
MOST_HEADERS = 128
_HEADERS: Mapping[str, str] = {
    "X-Research-Use": BANNER,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-store",
}


class Shaped:
    """ASGI middleware around the whole application: every answer has an id and the headers, every refusal its shape."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope).get("x-request-id", ""))
        scope["request_id"] = request_id
        reply = _Reply(send, request_id)
        try:
            await self._app(scope, receive, reply.send)
        except Problem as problem:
            await reply.refuse(problem)
        except Exception as error:  # noqa: BLE001  the last resort: nothing may reach the person but the one shape
            unforeseen = {"request_id": request_id, "error": type(error).__name__, "places": places(error)}
            _LOG.error("unforeseen", extra=unforeseen)
            await reply.refuse(problem_of(error))


class Guard:
    """ASGI middleware that refuses by host, origin and size before anything is read."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._hosts = {*settings.hosts, settings.access.public_host}
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        self._under_way += 1
        try:
            self._check(scope, headers)
            body = _Body(receive, self._settings, self._most(headers))
            await self._app(scope, body.receive, send)
        finally:
            self._under_way -= 1

    def _check(self, scope: Scope, headers: Headers) -> None:
        if self._under_way > self._settings.requests:
            raise busy("Too many requests are being answered.")
        if len(scope["headers"]) > MOST_HEADERS or _head_bytes(scope) > LONGEST_HEAD:
            raise Problem(400, "bad_request", "The head of the request is too long.", "Send fewer or shorter headers.")
        host = host_name(headers.get("host", ""))
        if not host or host not in self._hosts:
            raise Problem(
                400, "bad_host", "This server is not reached under that name.", "Use the name that it was set up with."
            )
        if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            raise Problem(415, "encoded_body", "Compressed request bodies are not taken.", "Send the body as it is.")
        declared = headers.get("content-length", "")
        if declared and (not declared.isdecimal() or len(declared) > 15):
            raise Problem(400, "bad_length", "The length of the body cannot be read.", "Send it again.")
        if declared and "transfer-encoding" in headers:
            # Two servers in a row could each believe another one of them.
            raise Problem(400, "bad_length", "The body has two lengths.", "Send its length, or chunks.")
        if declared and int(declared) > self._most(headers):
            raise too_large(self._most(headers))
        if scope["method"] not in _SAFE_METHODS and not self._same_origin(scope, headers):
            raise Problem(403, "cross_origin", "This was sent by another site.", "Use the pages of this server.")

    def _same_origin(self, scope: Scope, headers: Headers) -> bool:
        """Whether a change was asked for by this site's own pages, or by a program that is no browser."""
        site = headers.get("sec-fetch-site")
        if site is not None and site not in ("same-origin", "none"):
            return False
        origin = headers.get("origin", "").lower()
        own = f"{scope.get('scheme', 'http')}://{headers.get('host', '').lower()}"
        # A proxy that ends TLS is reached by another scheme than this server.
        return origin in ("", own, self._settings.access.public_url.lower())

    def _most(self, headers: Headers) -> int:
        """Bytes that the body may have: forms with files are spooled to disk, everything else is held in memory."""
        spooled = headers.get("content-type", "").strip().lower().startswith("multipart/form-data")
        return self._settings.body_bytes if spooled else min(self._settings.text_body_bytes, self._settings.body_bytes)


class _Body:
    """The request's body as it streams in, counted and timed.

    An upload without a declared length ends at the limit too, and one that comes too slowly at its time.
    """

    def __init__(self, receive: Receive, settings: Settings, most: int) -> None:
        self._receive = receive
        self._most = most
        self._settings = settings
        self._until = time.monotonic() + settings.body_seconds
        self._seen = 0
        self._ended = False

    async def receive(self) -> Message:
        if self._ended:
            return await self._receive()  # what comes now is the other side's going, and may take its time
        try:
            with anyio.fail_after(min(self._settings.body_idle_seconds, max(self._until - time.monotonic(), 0.0))):
                message = await self._receive()
        except TimeoutError as error:
            raise Problem(408, "too_slow", "The request came too slowly.", "Send it again.") from error
        self._ended = not message.get("more_body", False)
        self._seen += len(message.get("body", b""))
        if self._seen > self._most:
            raise too_large(self._most)
        return message


class _Reply:
    """The answer on its way out, with the headers that each has."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self._started = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._started = True
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self._request_id
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)

    async def refuse(self, problem: Problem) -> None:
        if self._started:
            return
        for message in refusal(problem, self._request_id):
            await self.send(message)


def too_large(most: int) -> Problem:
    size = f"{most // MEBIBYTE} MiB" if most >= MEBIBYTE else f"{most} bytes"
    return Problem(413, "too_large", f"The request is larger than {size}.", "Send fewer or smaller files.")


def host_name(host: str) -> str:
    """The name in a Host header, without its port; empty where it is malformed.

    >>> host_name("127.0.0.1:8000"), host_name("[::1]:8000"), host_name("evil/..@x")
    ('127.0.0.1', '::1', '')
    """
    found = re.fullmatch(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+))(?::\d{1,5})?", host.strip().lower())
    return (found[1] or found[2]) if found else ""


def _head_bytes(scope: Scope) -> int:
    lines = sum(len(name) + len(value) + 4 for name, value in scope["headers"])
    return lines + len(scope["query_string"]) + len(scope.get("raw_path") or b"")


def _request_id(given: str) -> str:
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
