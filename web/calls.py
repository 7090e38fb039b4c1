"""The pages' way to the API: in-process calls to the same application, so that a page can do no more than its twin.

A refusal of the API becomes a `Problem` with its sentence, hint and request id. Limits, checks and the audit are the
API's; headers that say who asks are passed on.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote

import httpx
from fastapi import Request
from starlette.types import Receive, Scope, Send

# Who asks, from where and under which request id; everything else is made anew.
_PASSED_ON = ("authorization", "cookie", "user-agent", "origin", "sec-fetch-site", "sec-fetch-mode")

Parameters = tuple[tuple[str, str], ...]


class Problem(Exception):
    """What the API refused to do: its status, code, sentence, hint and request id."""

    def __init__(self, status: int, document: Mapping[str, Any], retry_after: str | None = None) -> None:
        self.status = status
        self.code = _text(document.get("code")) or "unavailable"
        self.message = _text(document.get("message")) or "The server could not answer."
        hint = _text(document.get("hint"))
        self.hint = "" if "openapi.json" in hint else hint  # that one is for programs
        self.request_id = _text(document.get("request_id"))
        self.retry_after = retry_after
        super().__init__(self.message)


async def get(request: Request, path: str, parameters: Parameters = ()) -> Any:
    """The JSON document at an address of the API; raises Problem."""
    async with _client(request) as client:
        return _document(await client.get(path, params=parameters))


async def send(request: Request, method: str, path: str, document: Mapping[str, object] | None = None) -> Any:
    """Send a JSON document; raises Problem."""
    async with _client(request) as client:
        return _document(await client.request(method, path, json=document))


async def pass_on(request: Request, path: str) -> Any:
    """Hand the body of this request to the API as it streams in, without keeping any of it; raises Problem."""
    headers = {name: request.headers[name] for name in ("content-type", "content-length") if name in request.headers}
    async with _client(request) as client:
        return _document(await client.post(path, content=_body(request), headers=headers))


def segment(text: str) -> str:
    """A text as one part of an address, whatever stands in it."""
    return quote(text, safe="")


async def _body(request: Request) -> AsyncIterator[bytes]:
    async for part in request.stream():
        if part:
            yield part


def _client(request: Request) -> httpx.AsyncClient:
    address = (request.client.host, request.client.port) if request.client else ("127.0.0.1", 0)
    headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
    # The call and the page are one request: one id finds both in the log.
    headers |= {"x-request-id": str(request.scope["request_id"])} if "request_id" in request.scope else {}
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=_inside(request), raise_app_exceptions=False, client=address),
        base_url=str(request.base_url),
        headers=headers,
        timeout=None,  # noqa: S113  the transport knows no timeout: the API's own limits end a call
        trust_env=False,
    )


def _inside(request: Request) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """The application for a call that is part of a request: it knows who asks and for which act, as no header can say.

    What a person does on a page is one act, however many calls it takes; see the audit.
    """

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = dict(request.scope.get("state", {}))
        await request.app(scope, receive, send)

    return application


def _document(response: httpx.Response) -> Any:
    if response.status_code == 204:
        return None
    try:
        document = response.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        document = {}
    if response.is_success:
        return document
    problem = document if isinstance(document, dict) else {}
    raise Problem(response.status_code, problem, response.headers.get("retry-after"))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
