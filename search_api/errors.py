"""Every refusal in the one shape `{code, message, hint, request_id}`, with the HTTP status that it gets.

The rooms below raise an exception a noun; this file alone knows which status each has. Nothing here names a path, a
query or a patient. Logging what was not foreseen is left to guards.
"""

from __future__ import annotations

import errno
import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route
from starlette.types import Message

from encoders.bundle import EncodingError
from encoders.explain import ExplainError
from encoders.manifest import BundleError
from encoders.preprocess import PreprocessingError
from encoders.sequences import SequenceError
from encoders.volume import VolumeError
from indexer.cases import CaseMissing, FilterError
from indexer.generations import GenerationError, IndexMissing
from indexer.schema import StoreError
from indexer.teaching_folders import CollectionError
from indexer.writer_lock import LockedError
from search_api.audit_acts import act_of
from search_api.engine import EncoderMismatch
from search_api.query import QueryError
from search_api.slices import SliceMissing, SourceMissing

RETRY_AFTER = {"Retry-After": "5"}
BUILD_HINT = "Build one: `neurorecall ingest SOURCE`, then `neurorecall rebuild`."
_VOLUME_STATUS = {"empty_file": 400, "not_nifti": 415, "too_large": 413}
_HTTP_CODES = {
    400: ("bad_request", "The request could not be read.", "Look at /openapi.json for the calls."),
    404: ("not_found", "There is nothing at this address.", "Look at /openapi.json for the calls."),
    405: ("method_not_allowed", "This address does not know this method.", "Look at /openapi.json for the calls."),
}


class Problem(ValueError):
    """A refusal as it goes out."""

    def __init__(
        self, status: int, code: str, message: str, hint: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.hint = hint
        self.headers = dict(headers or {})


class ErrorDocument(BaseModel):
    """What every refusal looks like."""

    code: str
    message: str
    hint: str
    request_id: str


def not_ready(message: str, hint: str = BUILD_HINT, code: str = "index_missing") -> Problem:
    return Problem(503, code, message, hint, RETRY_AFTER)


def busy(message: str) -> Problem:
    return Problem(503, "busy", message, "Ask again in some seconds.", RETRY_AFTER)


def add_handlers(app: FastAPI) -> None:
    """Have every foreseen exception answered in the one shape."""
    for kind in _FORESEEN:
        app.add_exception_handler(kind, _answer)


def problem_of(error: Exception) -> Problem:
    """The refusal that an exception of the rooms below stands for."""
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return _of_validation(error)
        case HTTPException():
            return _of_http(error)
        case QueryError():
            return Problem(413 if error.code == "too_large" else 400, error.code, str(error), error.hint)
        case FilterError():
            return Problem(400, f"bad_{error.field}", str(error), error.hint)
        case SequenceError():
            return Problem(400, "bad_sequence", str(error), "Name an MR sequence.")
        case CaseMissing():
            return Problem(404, "not_found", str(error), "It may have been removed; search again.")
        case LockedError():
            return Problem(409, error.code, str(error), error.hint)
        case CollectionError():
            status = 409 if error.code == "title_taken" else 400
            return Problem(status, error.code, str(error), "Change it and send it again.")
        case VolumeError():
            return Problem(_VOLUME_STATUS.get(error.code, 422), error.code, str(error), error.hint)
        case EncodingError():
            return Problem(422, error.code, str(error), error.hint)
        case SourceMissing():
            return Problem(410, "source_missing", str(error), "Put it back, or ingest its source again.")
        case SliceMissing():
            return Problem(404, "no_such_slice", str(error), "Write key for the middle.")
        case ExplainError():
            return Problem(400, "unknown_finding", str(error), "Name one, or ask for any sentence with q.")
        case PreprocessingError():
            return Problem(422, "not_usable", str(error), "Send a series that shows a brain.")
        case IndexMissing():
            return not_ready("There is no index that can be served.")
        case EncoderMismatch():
            return not_ready(str(error), "Run `neurorecall rebuild`.", "encoder_mismatch")
        case StoreError():
            return not_ready(str(error), error.hint, error.code)
        case GenerationError():
            return not_ready("The index cannot be served.", "Run `neurorecall verify`.", "index_broken")
        case BundleError():
            return not_ready(str(error), "Install the encoder's bundle again.", "encoder_missing")
        case sqlite3.OperationalError():
            return busy("The case store is busy.")
        case sqlite3.DatabaseError() if not isinstance(error, sqlite3.ProgrammingError):
            return not_ready("The case store is damaged.", "Run `neurorecall verify`.", "store_damaged")
        case OSError() if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return Problem(507, "no_space", "There is no space left for this.", "Free some space and try again.")
        case OSError():
            return Problem(503, "unavailable", "A file could not be read or written.", "Try again.", RETRY_AFTER)
        case _:
            return Problem(500, "unexpected", "Something went wrong that was not foreseen.", "Tell us the request id.")


_FORESEEN: tuple[type[Exception], ...] = (
    Problem,
    RequestValidationError,
    HTTPException,
    QueryError,
    FilterError,
    SequenceError,
    CaseMissing,
    CollectionError,
    LockedError,
    VolumeError,
    EncodingError,
    ExplainError,
    PreprocessingError,
    SourceMissing,
    SliceMissing,
    IndexMissing,
    EncoderMismatch,
    StoreError,
    GenerationError,
    BundleError,
    sqlite3.DatabaseError,
    OSError,
)


def document_of(problem: Problem, request_id: str) -> dict[str, str]:
    return {"code": problem.code, "message": problem.message, "hint": problem.hint, "request_id": request_id}


def refusal(problem: Problem, request_id: str) -> tuple[Message, Message]:
    """The refusal as ASGI messages, for what stands outside of the application."""
    body = json.dumps(document_of(problem, request_id)).encode()
    given = {"content-type": "application/json", "content-length": str(len(body)), **problem.headers}
    headers = [(name.lower().encode(), value.encode()) for name, value in given.items()]
    start = {"type": "http.response.start", "status": problem.status, "headers": headers}
    return start, {"type": "http.response.body", "body": body}


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Error responses for the OpenAPI description of a call; what may happen to any call is among them."""
    texts = {
        400: "Malformed: a parameter is missing, unknown or out of range",
        401: "Nobody is signed in, or the key is not valid",
        403: "Sent by another site, or not allowed to this role",
        404: "Nothing with that key, number or name",
        408: "The body came too slowly",
        409: "Conflicts with what is there",
        410: "The source file is gone",
        413: "Larger than the limits",
        415: "Not a supported kind of file or body",
        422: "Readable but unusable",
        429: "Asked too often; see Retry-After",
        503: "Not ready or busy; see Retry-After",
        507: "No space left",
    }
    # Malformed, not let in, asked too often, busy, and no room for the audit's record.
    every = sorted({*statuses, 400, 401, 403, 429, 503, 507})
    return {status: {"model": ErrorDocument, "description": texts[status]} for status in every}


def described_with_body(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The same for a call that takes a body: it may come too slowly, too large or encoded."""
    return described(*statuses, 408, 413, 415)


async def _answer(request: Request, error: Exception) -> JSONResponse:
    problem = problem_of(error)
    act_of(request.scope).code = problem.code
    request_id = str(request.scope.get("request_id", ""))
    headers = problem.headers | ({"Allow": _allowed(request)} if problem.status == 405 else {})
    return JSONResponse(document_of(problem, request_id), problem.status, headers=headers)


def _allowed(request: Request) -> str:
    """The methods of all routes of the address; the framework names those of the first."""
    matching = (
        route
        for route in request.app.routes
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE
    )
    return ", ".join(sorted({method for route in matching for method in route.methods or ()}))


def _of_validation(error: RequestValidationError) -> Problem:
    """The first thing wrong, as `bad_` and the parameter's name; what was sent is never repeated."""
    first: Mapping[str, Any] = next(iter(error.errors()), {})
    place = [str(part) for part in first.get("loc", ())]
    name = "".join(letter for letter in (place[-1] if len(place) > 1 else "") if letter.isalnum() or letter == "_")
    if place[:1] == ["body"]:
        what = name if not name.isdecimal() else ""
        return Problem(
            400,
            f"bad_{what}" if what else "bad_body",
            f"{what or 'The body'}: {first.get('msg', 'cannot be read')}.",
            "Send a JSON object as described in /openapi.json.",
        )
    return Problem(
        400,
        f"bad_{name}" if name else "bad_request",
        *_OWN_WORDS.get(name, (f"{name}: {first.get('msg', 'cannot be read')}.", _PARAMETER)),
    )


_PARAMETER = "Look at /openapi.json for what this parameter takes."
_OWN_WORDS = {"prevalence": ("Expected a prevalence between 0 and 1.", "Write 0.3 for 30 of 100.")}


def _of_http(error: HTTPException) -> Problem:
    if isinstance(error.__cause__, Problem):
        # FastAPI wraps what is raised while a body is read.
        return error.__cause__
    code, message, hint = _HTTP_CODES.get(error.status_code, ("refused", "The request was refused.", ""))
    return Problem(error.status_code, code, message, hint, error.headers)
