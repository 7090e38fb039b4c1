"""Templates to pages: one Jinja2 environment that escapes everything, and the headers that every page carries.

Static files are addressed with a hash of their contents, so that a browser keeps them until they change. What a page
says is left to the routes and templates.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from search_api import figures
from search_api.answers import BANNER
from search_api.principals import LOCAL, principal_in
from search_api.query import clean_text
from web.calls import Problem

HERE = Path(__file__).parent
ASSERTIONS: Mapping[str, str] = {
    "present": "The report states this.",
    "absent": "The report denies this.",
    "uncertain": "The report holds this to be possible.",
    "historical": "The report says this of the past.",
    "hypothetical": "The report says this of a case that may arise.",
    "family": "The report says this of a relative.",
}
_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "private, no-cache",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class Pages:
    """Renders templates; made once by `build_site` and kept in the application's state."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals |= {"banner": BANNER, "assertions": ASSERTIONS, "static": _addresses()}
        self._environment.filters |= {"figures": figures.figures, "measured_on": figures.measured_on}
        self._environment.filters |= {
            "not_calibrated": figures.without_calibration,
            "untold": figures.without_threshold,
        }
        self._environment.globals |= {"predictive": figures.predictive, "scored": figures.score_of_threshold}
        self._environment.filters |= {"percent": figures.percent, "count": count, "days": day_of, "plain": clean_text}

    def render(self, request: Request, template: str, context: Mapping[str, object], status: int = 200) -> HTMLResponse:
        who = principal_in(request.scope)
        signed_in = None if who == LOCAL else who
        text = self._environment.get_template(template).render(
            path=request.url.path, signed_in=signed_in, known=who is not None, **context
        )
        return HTMLResponse(text, status, headers=dict(_HEADERS))


class KeptFiles(StaticFiles):
    """Static files that a browser keeps for a year where they are asked for by their hash."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        lasting = scope.get("query_string", b"").startswith(b"v=")
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if lasting else "no-cache"
        return response


def pages_of(request: Request) -> Pages:
    return cast(Pages, request.app.state.pages)


def problem_page(pages: Pages, request: Request, problem: Problem) -> HTMLResponse:
    """What the API refused, as a page with the same status."""
    page = pages.render(request, "problem.html", {"problem": problem}, problem.status)
    if problem.retry_after:
        page.headers["Retry-After"] = problem.retry_after
    return page


def count(number: int, one: str, many: str = "") -> str:
    """A number with its noun.

    >>> count(1, "case"), count(12480, "examination")
    ('1 case', '12,480 examinations')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def day_of(moment: str) -> str:
    """An ISO time to the minute, for reading.

    >>> day_of("2026-11-24T02:15:23+00:00")
    '2026-11-24 02:15'
    """
    return moment[:16].replace("T", " ")


def _addresses() -> Callable[[str], str]:
    """A function from a static file's name to its address with the hash of its contents."""
    folder = HERE / "static"
    hashes = {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()[:10]
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
    return lambda name: f"/static/{name}?v={hashes[name]}"
