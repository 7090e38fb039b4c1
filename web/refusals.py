"""Refusals on the way to a browser: what the API's guards and handlers refuse of a page becomes a page.

It stands outside everything else, so that also an upload that is too large, a form sent by another site and an unknown
address are answered in the one look. The API's own addresses keep their JSON.
"""

from __future__ import annotations

import json
from urllib.parse import urlencode

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.calls import Problem
from web.rendering import Pages, problem_page

# Addresses of programs: they get what the API says as it is.
_NOT_PAGES = ("/api/", "/static/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/redoc")


class RefusalPages:
    """ASGI middleware; passes everything on as it comes but a JSON refusal of a page."""

    def __init__(self, app: ASGIApp, pages: Pages) -> None:
        self._app = app
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_NOT_PAGES) or scope["path"] == "/api":
            await self._app(scope, receive, send)
            return
        refusal = _Refusal(send)
        await self._app(scope, receive, refusal.send)
        if refusal.problem is not None:
            page = self._page(Request(scope), refusal.problem)
            for name, value in refusal.guarding.items():
                page.headers.setdefault(name, value)
            await page(scope, receive, send)

    def _page(self, request: Request, problem: Problem) -> Response:
        if problem.code == "not_signed_in" and request.method in ("GET", "HEAD"):
            asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/sign-in?{urlencode({'after': asked})}", 303)
        return problem_page(self._pages, request, problem)


class _Refusal:
    """Holds a JSON refusal back until it is whole; `problem` is it then."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._status = 0
        self._headers = Headers()
        self._body = b""
        self.problem: Problem | None = None

    @property
    def guarding(self) -> dict[str, str]:
        """The headers of the refusal that do not belong to its body: the guards' own, which the page needs as well."""
        return {
            name: value for name, value in self._headers.items() if not name.startswith("content-") or "policy" in name
        }

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = Headers(raw=message["headers"])
            if message["status"] >= 400 and headers.get("content-type", "").startswith("application/json"):
                self._status, self._headers = message["status"], headers
                return
        if not self._status:
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if not message.get("more_body", False):
            document = json.loads(self._body)
            retry_after = self._headers.get("retry-after")
            self.problem = Problem(self._status, document if isinstance(document, dict) else {}, retry_after)
