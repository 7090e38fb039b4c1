"""JSON bodies read strictly: each member once, and no number that JSON has not.

Python's reader takes the last of two equal members and knows NaN and Infinity; another program in the same chain may
read the first, or refuse. What the members mean is left to the models of the calls.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from search_api.errors import Problem

_HINT = "Send a JSON object as described in /openapi.json."


class StrictRoute(APIRoute):
    """A route whose JSON body is read strictly, and is not taken from a form."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return strictly


class _StrictRequest(Request):
    async def body(self) -> bytes:
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "multipart/form-data":
            # Bodies of that kind may be as large as uploads, and this one would be held in memory.
            raise Problem(415, "not_json", "Expected a JSON document.", _HINT)
        return await super().body()

    async def json(self) -> Any:
        return read_strictly(await self.body())


def read_strictly(content: bytes) -> Any:
    """The value of a JSON text.

    Raises
    ------
    Problem
        400, for a member that is given twice, for NaN and Infinity, for what is nested too deeply or is no UTF-8
    json.JSONDecodeError

    >>> read_strictly(b'{"title": "a"}')
    {'title': 'a'}
    """
    try:
        return json.loads(content.decode("utf-8-sig"), object_pairs_hook=_once, parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise _malformed("The body is not UTF-8.") from error
    except RecursionError as error:
        raise _malformed("The body is nested too deeply.") from error


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        raise _malformed("A member of the body is given twice.")
    return found


def _no_number(_: str) -> float:
    raise _malformed("The body holds a number that JSON does not know.")


def _malformed(message: str) -> Problem:
    return Problem(400, "bad_body", message, _HINT)
