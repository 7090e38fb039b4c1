"""What is served and how the server does: for people, for whatever starts and stops it, and for Prometheus."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from search_api.errors import described
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


class Readiness(BaseModel):
    ready: bool
    reasons: list[Reason]


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


@router.get("/healthz", summary="Whether the server runs", response_model=Liveness)
async def healthz() -> Any:
    return {"status": "ok"}


@router.get(
    "/readyz",
    summary="Whether questions can be answered, and if not, why",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "Not ready, with reasons"}},
)
def readyz(request: Request) -> Any:
    problem = services_of(request).holder.problem()
    if problem is None:
        return {"ready": True, "reasons": []}
    reason = {"code": problem.code, "message": problem.message, "hint": problem.hint}
    return JSONResponse({"ready": False, "reasons": [reason]}, 503, headers=problem.headers)


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Exposition format"}},
)
def metrics(request: Request) -> Response:
    figures = services_of(request).metrics
    figures.ready.set(services_of(request).holder.problem() is None)
    return Response(figures.text(), media_type=CONTENT_TYPE_LATEST)
