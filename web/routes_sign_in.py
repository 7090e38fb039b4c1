"""Signing in and out as a person: a page with a field for a key and, where there is a provider, the way to it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from search_api import sign_in
from search_api.errors import Problem, document_of
from web import calls
from web.rendering import pages_of

router = APIRouter()
Text = Annotated[str, Form()]


@router.get("/sign-in")
async def sign_in_page(request: Request, after: str = "/") -> Response:
    return _page(request, after, None)


@router.post("/sign-in")
async def take_key(request: Request, key: Text = "", after: Text = "/") -> Response:
    """Open a session with a key; a wrong one is said on the same page."""
    try:
        sign_in.sign_in(request, key)
    except Problem as problem:
        if problem.status not in (401, 429):
            raise
        document = document_of(problem, str(request.scope.get("request_id", "")))
        said = calls.Problem(problem.status, document | {"hint": "Ask whoever runs this server for a new one."})
        page = _page(request, after, said)
        page.headers.update(problem.headers)
        return page
    return RedirectResponse(sign_in.own_page(after), 303)


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    request.session.clear()
    return RedirectResponse("/sign-in", 303)


def _page(request: Request, after: str, problem: calls.Problem | None) -> Response:
    context = {
        "session": sign_in.session_document(request),
        "after": sign_in.own_page(after),
        "problem": problem,
    }
    return pages_of(request).render(request, "sign_in.html", context, problem.status if problem else 200)
