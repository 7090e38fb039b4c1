"""Teaching folders: the list, one folder with its cases, and the small forms that change them.

Every change is one call of the API, followed by a redirect, so that going back or reloading repeats nothing.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from search_api.answers import Case, ExaminationSummary
from web import calls
from web.gallery import facts_of, telling_series, thumbnail, title_of
from web.rendering import pages_of

router = APIRouter()
Text = Annotated[str, Form()]


@router.get("/collections")
async def collections(request: Request) -> Response:
    document = await calls.get(request, "/api/collections")
    return pages_of(request).render(request, "collections.html", {"collections": document["collections"]})


@router.post("/collections")
async def create(request: Request, title: Text = "") -> Response:
    folder = await calls.send(request, "POST", "/api/collections", {"title": title})
    return RedirectResponse(f"/collections/{calls.segment(folder['name'])}", 303)


@router.get("/collections/{name}")
async def collection(request: Request, name: str) -> Response:
    folder = await calls.get(request, _address(name))
    entries = [await _entry(request, entry) for entry in folder["entries"]]
    return pages_of(request).render(request, "collection.html", {"folder": folder, "entries": entries})


@router.post("/collections/{name}/rename")
async def rename(request: Request, name: str, title: Text = "") -> Response:
    folder = await calls.send(request, "PATCH", _address(name), {"title": title})
    return RedirectResponse(f"/collections/{calls.segment(folder['name'])}", 303)


@router.post("/collections/{name}/delete")
async def delete(request: Request, name: str) -> Response:
    await calls.send(request, "DELETE", _address(name))
    return RedirectResponse("/collections", 303)


@router.post("/collections/{name}/remove")
async def remove(request: Request, name: str, key: Text = "") -> Response:
    await calls.send(request, "DELETE", f"{_address(name)}/examinations/{calls.segment(key)}")
    return RedirectResponse(f"/collections/{calls.segment(name)}", 303)


@router.post("/collections/{name}/note")
async def note(request: Request, name: str, key: Text = "", note: Text = "") -> Response:
    await calls.send(request, "POST", f"{_address(name)}/examinations", {"key": key, "note": note})
    return RedirectResponse(f"/collections/{calls.segment(name)}#case-{calls.segment(key)}", 303)


@router.post("/case/{key}/collect")
async def collect(request: Request, key: str, name: Text = "", title: Text = "", note: Text = "") -> Response:
    """Put a case into a folder, or into a new one where a title is given."""
    if title.strip():
        folder = await calls.send(request, "POST", "/api/collections", {"title": title})
        name = folder["name"]
    await calls.send(request, "POST", f"{_address(name)}/examinations", {"key": key, "note": note})
    return RedirectResponse(f"/collections/{calls.segment(name)}#case-{calls.segment(key)}", 303)


def _address(name: str) -> str:
    return f"/api/collections/{calls.segment(name)}"


async def _entry(request: Request, entry: dict[str, Any]) -> dict[str, Any]:
    """A case of a folder with what the list shows; one that was removed from the index stays visible as such."""
    shown: dict[str, Any] = {"key": entry["key"], "note": entry["note"], "examination": None}
    try:
        document = await calls.get(request, f"/api/examinations/{calls.segment(entry['key'])}")
    except calls.Problem as problem:
        if problem.status != 404:
            raise
        return shown
    examination = Case.from_dict(document).examination
    return shown | {"examination": examination} | summary(examination)


def summary(examination: ExaminationSummary) -> dict[str, Any]:
    """Title, facts and picture of an examination in a list."""
    series = telling_series(examination.series)
    return {
        "title": title_of(examination),
        "facts": facts_of(examination),
        "picture": thumbnail(examination.key, series.number) if series else None,
    }
