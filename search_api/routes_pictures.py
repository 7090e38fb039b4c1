"""Pictures of stored series: slices, thumbnails, heat maps, and the de-faced volume for the viewer.

Cutting is left to slices, taking the face away to deface.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response

from search_api.deface import deface_series
from search_api.errors import Problem, described
from search_api.heat import ShownHeat, draw_heat, heat_of, heat_volume
from search_api.services import Services, engine_of, known_only, services_of
from search_api.slices import (
    LARGEST_SIDE,
    SMALLEST_SIDE,
    Picture,
    Plane,
    Window,
    draw,
    make_picture,
    read_stored,
    state_of,
)

router = APIRouter(prefix="/api/examinations/{key}/series/{number}", tags=["cases"], dependencies=[Depends(known_only)])
THUMBNAIL_WIDTH = 192  # pixels
# In the browser only, and not for long: a removed case must be gone from there as well.
_KEPT_BRIEFLY = {"Cache-Control": "private, max-age=300"}
_PNG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": {}}, "description": "PNG picture"}}

_HEAT = (
    "The header Heat-Strength says what the hottest place is worth. For a finding with lesion masks that is a "
    "probability, and so is the heat: a faint map is a doubtful one. For a sentence the heat is a part of the hottest."
)

Number = Annotated[int, Path(ge=1, le=1_000_000, description="Number of the series, from 1")]


@router.get(
    "/slices/{plane}/{index}.png",
    summary="One slice; radiological convention: the patient's left is on the viewer's right",
    response_class=Response,
    responses={**_PNG, **described(400, 404, 410, 422, 503)},
)
def slice_picture(
    request: Request,
    key: str,
    number: Number,
    plane: Plane,
    index: Annotated[str, Path(description="Slice from 0, counted from inferior, posterior or left; or key")],
    width: Annotated[int | None, Query(ge=SMALLEST_SIDE, le=LARGEST_SIDE, description="In pixels")] = None,
    window: Annotated[Window, Query(description="Which grey values are spread over black to white")] = Window.FULL,
) -> Response:
    place = None if index == "key" else _slice_number(index)
    picture = _picture(services_of(request), request, key, number)
    return _png(draw(picture, plane, place, window, width))


@router.get(
    "/thumbnail.png",
    summary="The small picture that a series is shown by",
    response_class=Response,
    responses={**_PNG, **described(404, 410, 422, 503)},
)
def thumbnail(request: Request, key: str, number: Number) -> Response:
    stored = engine_of(request).store.thumbnail(key, number)
    if stored is not None:
        return _png(stored)
    picture = _picture(services_of(request), request, key, number)
    return _png(draw(picture, Plane.AXIAL, None, Window.FULL, THUMBNAIL_WIDTH))


@router.get(
    "/volume.nii.gz",
    summary="The whole volume for a viewer, without the face",
    response_class=Response,
    responses={
        200: {"content": {"application/gzip": {}}, "description": "NIfTI-1, RAS+, compressed"},
        **described(404, 410, 422, 503),
    },
)
def volume(request: Request, key: str, number: Number) -> Response:
    services = services_of(request)
    store = engine_of(request).store
    state = state_of(store.series_file(key, number))
    found = services.volumes.get(state, lambda: deface_series(read_stored(store, key, number)))
    return Response(found.content, media_type="application/gzip", headers=_KEPT_BRIEFLY)


Finding = Annotated[str | None, Query(max_length=80, description="A finding of the catalogue")]
Sentence = Annotated[str | None, Query(max_length=2000, description="Any sentence; instead of a finding")]


@router.get(
    "/heat/{plane}/{index}.png",
    summary="Where the score of a finding or of a sentence comes from, to lay over the slice of the same number",
    description=_HEAT,
    response_class=Response,
    responses={**_PNG, **described(400, 404, 410, 422, 503)},
)
def heat_picture(
    request: Request,
    key: str,
    number: Number,
    plane: Plane,
    index: Annotated[str, Path(description="As for slices; key is the hottest one")],
    finding: Finding = None,
    q: Sentence = None,
    width: Annotated[int | None, Query(ge=SMALLEST_SIDE, le=LARGEST_SIDE, description="In pixels")] = None,
) -> Response:
    place = None if index == "key" else _slice_number(index)
    shown = _heat(services_of(request), request, (key, number), finding, q)
    return _png(draw_heat(shown, plane, place, width), _strength(shown))


@router.get(
    "/heat.nii.gz",
    summary="The same as a volume on a grid of its own, 0 to 255, for the viewer",
    description=_HEAT,
    response_class=Response,
    responses={
        200: {"content": {"application/gzip": {}}, "description": "NIfTI-1, RAS+, compressed"},
        **described(400, 404, 410, 422, 503),
    },
)
def heat(request: Request, key: str, number: Number, finding: Finding = None, q: Sentence = None) -> Response:
    shown = _heat(services_of(request), request, (key, number), finding, q)
    return Response(heat_volume(shown), media_type="application/gzip", headers=_KEPT_BRIEFLY | _strength(shown))


def _strength(shown: ShownHeat) -> dict[str, str]:
    return {"Heat-Strength": f"{shown.heat.strength:.4f}"}


def _heat(
    services: Services, request: Request, series: tuple[str, int], finding: str | None, text: str | None
) -> ShownHeat:
    engine = engine_of(request)
    state = state_of(engine.store.series_file(*series))
    return services.heats.get(
        (state, finding, text), lambda: heat_of(engine.encoder, read_stored(engine.store, *series), finding, text)
    )


def _picture(services: Services, request: Request, key: str, number: int) -> Picture:
    store = engine_of(request).store
    state = state_of(store.series_file(key, number))
    return services.pictures.get(state, lambda: make_picture(read_stored(store, key, number)))


def _slice_number(text: str) -> int:
    if not text.isdecimal() or len(text) > 6:
        raise Problem(404, "no_such_slice", "Expected a slice's number from 0, or key.", "Write key for the middle.")
    return int(text)


def _png(content: bytes, headers: Mapping[str, str] = MappingProxyType({})) -> Response:
    return Response(content, media_type="image/png", headers={**_KEPT_BRIEFLY, **headers})
