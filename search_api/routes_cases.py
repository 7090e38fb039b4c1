"""One examination with its report and the findings of its scans, and the worklist of those without a report."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel

from encoders.findings import FindingScore
from indexer.cases import Report
from search_api.answers import ExaminationSummary
from search_api.audit_acts import act_of, keys_of
from search_api.documents import Document
from search_api.errors import described
from search_api.scan_answers import Suggestions, Worklist
from search_api.services import engine_of, filters_of, known_only

router = APIRouter(prefix="/api", dependencies=[Depends(known_only)])
Text = Annotated[str | None, Query()]


class CaseDocument(BaseModel):
    """A case as it goes out."""

    examination: ExaminationSummary
    report: Report | None
    findings: tuple[FindingScore, ...]
    not_calibrated: tuple[str, ...] = ()
    unscored: str | None = None


@router.get(
    "/examinations/{key}",
    tags=["cases"],
    summary="One examination: what is known of it, its series, its report, the findings of its scans",
    response_model=CaseDocument,
    responses=described(400, 404, 503),
)
def examination(request: Request, key: str) -> Document:
    engine = engine_of(request)
    document = engine.case(key).to_dict()
    return Document(document | engine.stored_scores(key).to_dict())


@router.get(
    "/examinations/{key}/suggestions",
    tags=["cases"],
    summary="Findings to look for in the scans of one examination, as draft sentences, with similar reported cases",
    response_model=Suggestions,
    responses=described(400, 404, 422, 503),
)
def suggestions(request: Request, key: str) -> Document:
    suggested = engine_of(request).suggest(key=key)
    act_of(request.scope).shows((key, *suggested.shown))
    return Document(suggested.to_dict())


@router.get(
    "/triage",
    tags=["scans"],
    summary="Examinations without a report in a suggested reading order, with reasons",
    response_model=Worklist,
    responses=described(400, 503),
)
def triage(
    request: Request,
    operating_point: Annotated[
        str | None, Query(description="What the threshold shall reach: sensitivity=0.95, miss_rate=0.05 or ppv=0.8@0.1")
    ] = None,
    prevalence: Annotated[
        float | None,
        Query(gt=0, lt=1, description="Share of abnormal examinations, for the predictive values of the flag"),
    ] = None,
    sequence: Text = None,
    sex: Text = None,
    age: Text = None,
    since: Text = None,
    until: Text = None,
    source: Text = None,
    finding: Text = None,
) -> Document:
    given = {"sequence": sequence, "sex": sex, "age": age, "since": since, "until": until, "source": source}
    filters = filters_of(given | {"finding": finding})
    worklist = engine_of(request).triage(operating_point, filters, prevalence)
    act_of(request.scope).shows(keys_of(worklist.entries), worklist.generation)
    return Document(worklist.to_dict())
