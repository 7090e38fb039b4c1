"""The site: puts pages and static files onto the API's application, and gives its refusals a page of their own.

Every page is served from what the API answers, and has a JSON twin there. What stands on a page is left to the
routes.
"""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import Response

from web import routes_case, routes_collections, routes_desk, routes_search, routes_sign_in
from web.calls import Problem
from web.refusals import RefusalPages
from web.rendering import HERE, KeptFiles, Pages, pages_of, problem_page


def build_site(app: FastAPI) -> None:
    """Add the pages to the API's application."""
    pages = Pages()
    app.state.pages = pages
    app.mount("/static", KeptFiles(directory=HERE / "static"), name="static")
    for routes in (routes_search, routes_case, routes_collections, routes_desk, routes_sign_in):
        app.include_router(routes.router, include_in_schema=False)
    app.add_exception_handler(Problem, _show_problem)
    app.add_middleware(RefusalPages, pages=pages)


async def _show_problem(request: Request, error: Exception) -> Response:
    if not isinstance(error, Problem):
        raise error
    return problem_page(pages_of(request), request, error)
