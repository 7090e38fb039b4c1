"""Calls that take uploaded scans: search by scan, score, and the check of a provisional report.

Reading the upload within its limits is left to uploads; files are gone when the answer is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, Depends, Request

from encoders.volume import Volume
from search_api.answers import Answer
from search_api.audit_acts import act_of, keys_of
from search_api.documents import Document
from search_api.engine import SearchEngine
from search_api.errors import Problem, described_with_body
from search_api.scan_answers import ReportCheck, ScoreReport, Suggestions
from search_api.services import FILTERS, Services, engine_of, filters_of, known_only, services_of, truth

router = APIRouter(prefix="/api", dependencies=[Depends(known_only)])

_SEARCH_FIELDS = frozenset({"q", "weight", "region", "k", "page", "expand", "insist"}) | FILTERS
_FILES: Mapping[str, Any] = {
    "files": {
        "type": "array",
        "items": {"type": "string", "format": "binary"},
        "minItems": 1,
        "maxItems": 16,
        "description": "NIfTI files (.nii, .nii.gz), series of one examination",
    },
    "sequences": {
        "type": "string",
        "description": "MR sequences separated by commas, one a file in their order; blank: told by the file's name",
    },
    "sequence_hint": {"type": "string", "description": "MR sequence of every file that `sequences` leaves open"},
    "frame": {"type": "string", "description": "Which volume of a 4-D file: its number from 0, or mean"},
}
_SEARCH_PARTS: Mapping[str, Any] = {
    "q": {"type": "string", "maxLength": 2000, "description": "Words to search with as well"},
    "weight": {"type": "number", "minimum": 0, "maximum": 1, "default": 0.5, "description": "0 is words, 1 is scan"},
    "k": {"type": "integer", "minimum": 1, "maximum": 200, "default": 10},
    "page": {"type": "integer", "minimum": 1, "default": 1},
    "expand": {"type": "boolean", "default": True},
    "insist": {"type": "boolean", "default": False, "description": "Search though no file looks like a brain MRI"},
    "region": {"type": "string", "description": "Not supported yet: refused with 422"},
    **{name: {"type": "string", "description": "As in GET /api/search"} for name in sorted(FILTERS)},
}
_REFUSALS = described_with_body(422, 507)


def _multipart(*, also: Mapping[str, Any], required: tuple[str, ...] = ("files",)) -> dict[str, Any]:
    schema = {"type": "object", "properties": {**_FILES, **also}, "required": list(required)}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


@router.post(
    "/search/scan",
    tags=["search"],
    summary="Past cases for uploaded scans, with words or without; with the findings of the scans",
    response_model=Answer,
    responses=_REFUSALS,
    openapi_extra=_multipart(also=_SEARCH_PARTS),
)
async def search_scan(request: Request) -> Document:
    services = await _ready(request)
    async with services.uploads.received(request, _SEARCH_FIELDS) as upload:
        fields = upload.fields
        if fields.get("region", "").strip():
            raise Problem(422, "region_unsupported", "Search by a region is not supported yet.", "Leave region out.")
        filters = filters_of(fields)
        k, page = _whole("k", fields, 10), _whole("page", fields, 1)
        weight = _number("weight", fields, 0.5)
        volumes = await services.uploads.volumes(upload)
        engine = services.holder.engine()
        answer = await anyio.to_thread.run_sync(
            lambda: engine.search(
                text=fields.get("q"),
                scans=volumes,
                k=k,
                filters=filters,
                weight=weight,
                page=page,
                expand=truth("expand", fields.get("expand")) is not False,
                insist=truth("insist", fields.get("insist")) is True,
            )
        )
    act_of(request.scope).shows(keys_of(answer.hits), answer.generation)
    return Document(answer.to_dict())


@router.post(
    "/score",
    tags=["scans"],
    summary="Findings of uploaded scans, each with score, threshold and flag; any sentence may be asked besides",
    response_model=ScoreReport,
    responses=_REFUSALS,
    openapi_extra=_multipart(
        also={
            "ask": {
                "type": "string",
                "description": "Sentences to score as well, 20 at most: one a line, or the field again",
            },
            "operating_point": {"type": "string", "description": "What thresholds shall reach, as in GET /api/triage"},
        }
    ),
)
async def score(request: Request) -> Document:
    return await _of_scans(
        request,
        frozenset({"ask", "operating_point"}),
        lambda engine, volumes, fields: engine.score(
            volumes, fields.get("ask", "").splitlines(), fields.get("operating_point")
        ),
    )


@router.post(
    "/suggest",
    tags=["scans"],
    summary="Findings to look for in uploaded scans, as draft sentences, with where they show and similar cases",
    response_model=Suggestions,
    responses=_REFUSALS,
    openapi_extra=_multipart(also={}),
)
async def suggest(request: Request) -> Document:
    return await _of_scans(request, frozenset(), lambda engine, volumes, _: engine.suggest(volumes))


@router.post(
    "/check-report",
    tags=["scans"],
    summary="Statements of a report that the scans do not bear out, findings that it leaves out, and contradictions "
    "within it; without files the latter only",
    response_model=ReportCheck,
    responses=_REFUSALS,
    openapi_extra=_multipart(
        also={"report": {"type": "string", "description": "The report's text"}}, required=("report",)
    ),
)
async def check_report(request: Request) -> Document:
    return await _of_scans(
        request,
        frozenset({"report"}),
        lambda engine, volumes, fields: engine.check_report(volumes, fields.get("report", "")),
        files_needed=False,
    )


async def _of_scans(
    request: Request,
    known: frozenset[str],
    answer: Callable[[SearchEngine, Sequence[Volume], Mapping[str, str]], ScoreReport | Suggestions | ReportCheck],
    *,
    files_needed: bool = True,
) -> Document:
    """What `answer` makes of an upload's volumes and fields, of which `known` are those beside every upload's."""
    services = await _ready(request)
    async with services.uploads.received(request, known, files_needed=files_needed) as upload:
        volumes = await services.uploads.volumes(upload)
        found = await anyio.to_thread.run_sync(answer, services.holder.engine(), volumes, upload.fields)
    act_of(request.scope).shows(found.shown)
    return Document(found.to_dict())


async def _ready(request: Request) -> Services:
    """Refuse before the upload is read where it could not be answered."""
    await anyio.to_thread.run_sync(engine_of, request)
    return services_of(request)


def _whole(name: str, fields: Mapping[str, str], default: int) -> int:
    text = fields.get(name, "").strip()
    if not text:
        return default
    if not text.lstrip("-").isdecimal() or len(text) > 12:
        raise Problem(400, f"bad_{name}", f"Expected a whole number for {name}.", "Write digits only.")
    return int(text)


def _number(name: str, fields: Mapping[str, str], default: float) -> float:
    text = fields.get(name, "").strip()
    try:
        value = float(text) if text else default
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise Problem(400, f"bad_{name}", f"Expected a number for {name}.", "Write 0 to 1.")
    return value
