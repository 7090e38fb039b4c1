"""Search by words or by an example, and the counts that filters are chosen by."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from search_api.answers import Answer
from search_api.audit_acts import act_of, keys_of
from search_api.documents import Document
from search_api.errors import described
from search_api.services import engine_of, filters_of, known_only, truth

router = APIRouter(prefix="/api", tags=["search"], dependencies=[Depends(known_only)])

Text = Annotated[str | None, Query()]


@router.get(
    "/search",
    summary="Past cases for words, or like a stored case",
    response_model=Answer,
    responses=described(400, 404, 503),
)
def search(
    request: Request,
    q: Annotated[str | None, Query(description="Findings in words, 1 to 2,000 characters")] = None,
    like: Annotated[str | None, Query(description="Key of a stored case to take as example")] = None,
    k: Annotated[int, Query(description="Hits a page, 1 to 200")] = 10,
    page: Annotated[int, Query(description="From 1")] = 1,
    weight: Annotated[float, Query(description="How much the example counts against the words, 0 to 1")] = 0.5,
    expand: Annotated[str | None, Query(description="false takes the words literally")] = None,
    sequence: Annotated[str | None, Query(description="MR sequence, such as FLAIR")] = None,
    sex: Annotated[str | None, Query(description="F, M or O")] = None,
    age: Annotated[str | None, Query(description="Years: 40-60, 40-, -60 or 50")] = None,
    since: Annotated[str | None, Query(description="First day: 2024-05-31, 2024-05 or 2024")] = None,
    until: Annotated[str | None, Query(description="Last day")] = None,
    source: Annotated[str | None, Query(description="Source that the case was ingested from")] = None,
    finding: Annotated[str | None, Query(description="Finding that the report states")] = None,
    reported: Annotated[str | None, Query(description="true or false: with or without a report")] = None,
) -> Document:
    given = {"sequence": sequence, "sex": sex, "age": age, "since": since, "until": until, "source": source}
    filters = filters_of(given | {"finding": finding, "reported": reported})
    answer = engine_of(request).search(
        text=q,
        like=(like or "").strip() or None,
        k=k,
        filters=filters,
        weight=weight,
        page=page,
        expand=truth("expand", expand) is not False,
    )
    act_of(request.scope).shows(keys_of(answer.hits), answer.generation)
    return Document(answer.to_dict())


@router.get(
    "/facets",
    summary="Exact counts of the examinations that pass the filters, by field",
    response_model=dict[str, dict[str, int]],
    responses=described(400, 503),
)
def facets(
    request: Request,
    sequence: Text = None,
    sex: Text = None,
    age: Text = None,
    since: Text = None,
    until: Text = None,
    source: Text = None,
    finding: Text = None,
    reported: Text = None,
) -> dict[str, dict[str, int]]:
    given = {"sequence": sequence, "sex": sex, "age": age, "since": since, "until": until, "source": source}
    return engine_of(request).facets(filters_of(given | {"finding": finding, "reported": reported}))
