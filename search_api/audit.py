"""The audit of requests: a record of each act is on disk before the first byte of its answer leaves.

Where it cannot be written, the answer is withheld and a refusal goes out instead. It stands outside of the guards and
of whoever finds out who asks, so that what these refuse is recorded too. A page asks the API in process: its first call
is the record of what a person did, those that follow serve the same page, and each change is a record of its own.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import anyio
import anyio.to_thread
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from indexer.acts import Act
from search_api.audit_acts import (
    HEAT_MAP,
    OTHER,
    PICTURE,
    THUMBNAIL,
    UNCHECKED,
    UNRECORDED,
    UPLOADS,
    act_of_page,
    action_of,
    cleaned,
    is_open,
    query_of,
    template_of,
    who_of,
)
from search_api.audit_chain import AuditTrail
from search_api.audit_records import AuditError, Entry
from search_api.errors import RETRY_AFTER, Problem, problem_of, refusal
from search_api.metrics import Metrics

# Slices come by the dozen: those of a case that a record of the same person names are part of that record so long.
SHOWN_SECONDS = 3600.0
MOST_SHOWN = 100_000
AUDIT_THREADS = 4  # they take turns at the lock
_READING = frozenset({"GET", "HEAD"})


def unwritable(error: AuditError) -> Problem:
    """The refusal that an audit without space, or one that cannot be written, stands for."""
    if error.code == "audit_full":
        return Problem(507, error.code, str(error), error.hint)
    return Problem(503, error.code, str(error), error.hint, RETRY_AFTER)


class Audited:
    """ASGI middleware between what gives every answer its shape and the guards."""

    def __init__(self, app: ASGIApp, trail: AuditTrail, metrics: Metrics) -> None:
        self._app = app
        self._trail = trail
        self._metrics = metrics
        self._shown = _Shown()
        # Threads of its own: a record must not stand in the queue of searches that it would let out.
        self._threads = anyio.CapacityLimiter(AUDIT_THREADS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        asking = _Asking(scope)
        reply = _Reply(send)
        if scope["path"] not in UNCHECKED:
            await self._check()

        async def recording(message: Message) -> None:
            if message["type"] == "http.response.start":
                problem = await self._settle(asking, int(message["status"]))
                if problem is not None:
                    await reply.withhold(problem, str(scope.get("request_id", "")))
            await reply.send(message)

        try:
            await self._app(scope, receive, recording)
        except Exception as error:
            if not reply.started:
                found = problem_of(error)
                asking.act.code = found.code
                problem = await self._settle(asking, found.status)
                if problem is not None:
                    raise problem from error
            raise

    async def _check(self) -> None:
        """Raises Problem where no record could be written, before anything is looked up."""
        try:
            await anyio.to_thread.run_sync(self._trail.check, limiter=self._threads)
        except AuditError as error:
            self._metrics.audit_failures.inc()
            raise unwritable(error) from error

    async def _settle(self, asking: _Asking, status: int) -> Problem | None:
        """Record and count; the refusal to answer with where the record could not be written."""
        counted = not asking.serves_a_page
        problem = await self._record(asking, status)
        kind = action_of(asking.scope)
        if kind is not None and counted:
            status = status if problem is None else problem.status
            self._metrics.count_query(kind, status, time.perf_counter() - asking.began)
            if kind in UPLOADS and asking.scope["method"] == "POST" and status >= 400:
                self._metrics.count_refused_upload(asking.act.code)
        return problem

    async def _record(self, asking: _Asking, status: int) -> Problem | None:
        """Write the record where there is to be one."""
        action = asking.action(status)
        if action is None or self._shown.covers(asking, action, status):
            return None
        began = time.perf_counter()
        try:
            await anyio.to_thread.run_sync(self._trail.append, asking.entry(action, status), limiter=self._threads)
        except AuditError as error:
            self._metrics.audit_failures.inc()
            return unwritable(error)
        self._metrics.audit_seconds.observe(time.perf_counter() - began)
        asking.written()
        if status < 400:
            self._shown.remember(asking, action)
        return None


class _Asking:
    """One request: its scope, its act, and the act of the page that makes it, where one does."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.began = time.perf_counter()
        state: dict[str, Any] = dict(scope.get("state") or {})
        self._page = act_of_page(scope)
        self.act = Act()
        scope["state"] = state | {"act": self.act}

    @property
    def serves_a_page(self) -> bool:
        """Whether a page reads more for an act that is recorded already."""
        return self._page is not None and self._page.written and self.scope["method"] in _READING

    def action(self, status: int) -> str | None:
        """What to record this as; None where there is nothing to record."""
        if self.act.written or self.serves_a_page:
            return None
        action = action_of(self.scope)
        if action is not None:
            return action
        refused = status >= 400 and self._page is None
        return OTHER if refused or self._unlisted() else None

    def cases(self, status: int) -> tuple[str, ...]:
        """The cases that are shown or changed; the one in the address is, where the call was answered."""
        key = self.scope.get("path_params", {}).get("key")
        return () if status >= 400 else tuple(dict.fromkeys((*self.act.cases, *([str(key)] if key else []))))

    def entry(self, action: str, status: int) -> Entry:
        code = f" {self.act.code}" if status >= 400 and self.act.code else ""
        return Entry(
            who="unknown" if status == 401 else who_of(self.scope),
            action=action,
            query=cleaned(query_of(self.scope) | self.act.query),
            cases=self.cases(status),
            generation=self.act.generation,
            outcome=f"{status}{code}",
            request_id=str(self.scope.get("request_id", "")),
        )

    def written(self) -> None:
        self.act.written = True
        if self._page is not None:
            self._page.written = True

    def _unlisted(self) -> bool:
        """A call of the API that nobody has classified is recorded rather than forgotten."""
        template = template_of(self.scope)
        return template.startswith("/api/") and template not in UNRECORDED


class _Reply:
    """The answer on its way out, or the refusal in its stead."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._withheld = False
        self.started = False

    async def send(self, message: Message) -> None:
        self.started = True
        if not self._withheld:
            await self._send(message)

    async def withhold(self, problem: Problem, request_id: str) -> None:
        self.started = self._withheld = True
        for message in refusal(problem, request_id):
            await self._send(message)


class _Shown:
    """Which cases, and pictures of them, records of the last hour name to whom; forgets the oldest, and with a restart.

    Thumbnails belong to any record that names their case, slices to one that opens it, heat maps to one that asks the
    same; a volume is recorded each time.
    """

    def __init__(self) -> None:
        self._since: OrderedDict[tuple[str, ...], float] = OrderedDict()

    def covers(self, asking: _Asking, action: str, status: int) -> bool:
        if status >= 400 or action not in (THUMBNAIL, PICTURE, HEAT_MAP):
            return False
        since = self._since.get(_mark(asking, action))
        return since is not None and time.monotonic() - since < SHOWN_SECONDS

    def remember(self, asking: _Asking, action: str) -> None:
        who, path = who_of(asking.scope), asking.scope.get("path_params", {})
        marks: list[tuple[str, ...]] = [(THUMBNAIL, who, key) for key in asking.cases(200)]
        if action != THUMBNAIL and "key" in path:
            marks.append((PICTURE, who, str(path["key"])))
        if action == HEAT_MAP:
            marks.append(_mark(asking, action))
        self._keep(marks)

    def _keep(self, marks: Iterable[tuple[str, ...]]) -> None:
        for mark in marks:
            self._since[mark] = time.monotonic()
            self._since.move_to_end(mark)
        while len(self._since) > MOST_SHOWN:
            self._since.popitem(last=False)


def _mark(asking: _Asking, action: str) -> tuple[str, ...]:
    asked = query_of(asking.scope)
    given = ("key", "number", "finding", "q") if action == HEAT_MAP else ("key",)
    return (action, who_of(asking.scope), *(str(asked.get(name, "")) for name in given))
