"""HTTP/1.1 on the wire: uvicorn's own protocol, with the two things that it leaves to a proxy.

A connection that does not get its request's head together in time is closed, and so is one that goes on sending the
body of a request that was answered long ago. What cannot be read as HTTP at all is refused in the one shape of errors.
Everything else is left to uvicorn, and what is asked to guards.
"""

from __future__ import annotations

import asyncio
import json
import secrets

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from search_api.errors import Problem, document_of

HEAD_SECONDS = 30.0  # until the head of a request is whole; an idle connection is closed sooner, by uvicorn
LINGER_SECONDS = 10.0  # that an answered request may go on sending; closed at once, its sender might not see the answer


class BoundedProtocol(H11Protocol):
    """One connection."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_head()

    def on_response_complete(self) -> None:
        if self.conn.their_state is h11.SEND_BODY and not self.transport.is_closing():
            self.loop.call_later(LINGER_SECONDS, self._end_if_still_sending, self.cycle)
        super().on_response_complete()
        self._watch_head()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  uvicorn's sentence says less
        problem = Problem(400, "bad_request", "This is not HTTP, or its head is too long.", "Send it again.")
        request_id = secrets.token_hex(8)
        body = json.dumps(document_of(problem, request_id)).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), "X-Request-Id": request_id}
        headers |= {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-store", "Connection": "close"}
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            self.transport.write(f"HTTP/1.1 400 Bad Request\r\n{lines}\r\n".encode() + body)
        self.transport.close()

    def _watch_head(self) -> None:
        """Start the clock of a head that is awaited, stop it once the head is there."""
        if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
            self._stop_watching()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._end)

    def _stop_watching(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _end_if_still_sending(self, cycle: object) -> None:
        if self.cycle is cycle and self.conn.their_state is h11.SEND_BODY:
            self._end()

    def _end(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
