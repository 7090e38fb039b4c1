"""What is seen of every request from outside: a log line and figures, by the address as it was declared.

Neither the address as it was asked nor who asked is in them, only which kind of principal it was.
"""

from __future__ import annotations

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from search_api.audit_acts import OPEN, act_of_page, template_of, who_of
from search_api.metrics import METHODS, Metrics

_LOG = logging.getLogger(__name__)
_PRINCIPALS = frozenset({"local", "key", "person"})


class Observed:
    """ASGI middleware, the outermost of the API."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
            await send(message)

        own = act_of_page(scope) is None  # the calls of a page are under way with it
        self._metrics.in_progress.inc(own)
        try:
            await self._app(scope, receive, noting)
        finally:
            self._metrics.in_progress.dec(own)
            self._tell(scope, status, time.perf_counter() - began)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in METHODS else "other"
        template = template_of(scope)
        self._metrics.count(method, template, status, seconds)
        if template in OPEN and status < 400:
            return  # probes come every few seconds
        kind = who_of(scope).partition(":")[0]
        fields = {
            "request_id": scope.get("request_id", ""),
            "method": method,
            "route": template,
            "status": status,
            "milliseconds": round(1000 * seconds, 1),
            "principal": kind if kind in _PRINCIPALS else "other",
        }
        _LOG.log(logging.ERROR if status == 500 else logging.INFO, "request", extra=fields)
