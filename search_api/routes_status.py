"""What is served and how the server does: for people, for whatever starts and stops it, and for Prometheus."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from search_api.errors import RETRY_AFTER, ErrorDocument, described
from search_api.principals import principal_in
from search_api.readiness import free_bytes, readiness
from search_api.services import engine_of, known_only, services_of

router = APIRouter(tags=["state"], dependencies=[Depends(known_only)])


class RefusedDocument(BaseModel):
    item: str
    code: str
    message: str


class StatusDocument(BaseModel):
    generation: str
    encoder_id: str
    counts: dict[str, int]
    notices: list[str]
    refused: list[RefusedDocument]


class Liveness(BaseModel):
    status: str


class Reason(BaseModel):
    code: str
    message: str
    hint: str


class ReadinessDocument(BaseModel):
    """`reasons` say why nothing can be answered, or of a server that is ready what needs attention.

    `notices` are for an operator: such as that a generation is broken and an older one serves.
    """

    ready: bool
    reasons: list[Reason]
    notices: list[str] = []


@router.get(
    "/api/status",
    summary="The generation that is served, counts, and what was refused",
    response_model=StatusDocument,
    responses=described(503),
)
def status(request: Request) -> Any:
    engine = engine_of(request)
    return {
        "generation": engine.generation,
        "encoder_id": engine.encoder.encoder_id,
        "counts": asdict(engine.store.counts()),
        "notices": list(engine.notices),
        "refused": [asdict(one) for one in engine.store.refused()],
    }


@router.get("/healthz", summary="Whether the server runs", response_model=Liveness, responses=described())
async def healthz() -> Any:
    return {"status": "ok"}


@router.get(
    "/readyz",
    summary="Whether questions can be answered, and if not, why",
    response_model=ReadinessDocument,
    responses={
        **described(),
        503: {"model": ReadinessDocument | ErrorDocument, "description": "Not ready, with reasons, or busy"},
    },
)
def readyz(request: Request) -> Any:
    services = services_of(request)
    found, known = readiness(services), principal_in(request.scope) is not None
    # Whoever is not let in learns whether it is ready, not why not.
    told = (*found.hindering, *found.noted) if known else ()
    reasons = [{"code": one.code, "message": one.message, "hint": one.hint} for one in told]
    if found.ready:
        notices = list(services.holder.engine().notices) if known else []
        return {"ready": True, "reasons": reasons, "notices": notices}
    return JSONResponse({"ready": False, "reasons": reasons, "notices": []}, 503, headers=RETRY_AFTER)


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Exposition format"}, **described()},
)
def metrics(request: Request) -> Response:
    services = services_of(request)
    figures = services.metrics
    figures.ready.set(readiness(services).ready)
    figures.free.set(free_bytes(services) or 0)
    engine = services.holder.opened()
    if engine is not None:
        made = datetime.fromisoformat(engine.created)
        # A clock that jumped back must not make a generation younger than new.
        figures.generation_age.set(max(0.0, (datetime.now(UTC) - made).total_seconds()))
        figures.serve(engine.generation, engine.encoder.encoder_id)
    return Response(figures.text(), media_type=CONTENT_TYPE_LATEST)
