"""The case page: report with its evidence, slice viewer, findings of the scan, and the way to the next hit.

The search that led to a case stands in the URL and is asked again, so that nothing is kept between pages.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response

from indexer.cases import Sentence
from search_api.answers import Answer, Case, Evidence, Hit
from search_api.scan_answers import StoredScores
from web import calls
from web.forms import HITS_A_PAGE, SearchForm
from web.gallery import Walk, facts_of, key_series, sub_scores, title_of, walk_of_answer, walk_of_keys
from web.reading import evidence_in, sections_of, sentences_with
from web.rendering import pages_of
from web.viewing import viewer_of

router = APIRouter()


@router.get("/case/{key}")
async def case_page(request: Request, key: str) -> Response:
    """One case; `q`, `like` and filters say from which search one comes, `hits` from which uploaded scan."""
    document = await calls.get(request, f"/api/examinations/{calls.segment(key)}")
    case = Case.from_dict(document)
    form = SearchForm.read(request.query_params)
    walk, hit = await _search_again(request, case, form)
    evidence = hit.evidence if hit else ()
    if walk is None:
        walk = walk_of_keys(request.query_params.get("hits", ""), case.examination.key)
    marked = _marked(case, form, evidence)
    kept = form.query(page=form.page) or _kept_hits(request, walk)
    preferred = key_series(hit, form.sequence) if hit else None
    context = {
        "form": form,
        "case": case,
        "title": title_of(case.examination),
        "facts": facts_of(case.examination),
        "sections": sections_of(case.report, marked) if case.report else (),
        "marked": marked,
        "scores": sub_scores(evidence),
        "walk": walk,
        "viewer": viewer_of(case.examination, request.query_params, kept, preferred.number if preferred else None),
        "scored": StoredScores.from_dict({name: document[name] for name in ("findings", "not_calibrated", "unscored")}),
        "collections": await _collections(request),
        "kept": kept,
    }
    return pages_of(request).render(request, "case.html", context)


async def _search_again(request: Request, case: Case, form: SearchForm) -> tuple[Walk | None, Hit | None]:
    """The place of a case among the hits of the search it comes from, and the hit itself."""
    if not form.asked:
        return None, None
    asked = form.parameters() if form.k else (*form.parameters(), ("k", HITS_A_PAGE[0]))
    try:
        answer = Answer.from_dict(await calls.get(request, "/api/search", asked))
    except calls.Problem:
        # The case is there all the same; the search page says what is wrong with the search.
        return None, None
    hit = next((hit for hit in answer.hits if hit.key == case.examination.key), None)
    return walk_of_answer(answer, case.examination.key, form), hit


def _marked(case: Case, form: SearchForm, evidence: tuple[Evidence, ...]) -> tuple[Sentence, ...]:
    if case.report is None:
        return ()
    return evidence_in(case.report, evidence) or sentences_with(case.report, form.q)


def _kept_hits(request: Request, walk: Walk | None) -> str:
    return urlencode({"hits": request.query_params["hits"]}) if walk else ""


async def _collections(request: Request) -> tuple[dict[str, Any], ...]:
    try:
        document = await calls.get(request, "/api/collections")
    except calls.Problem:
        return ()
    return tuple(document["collections"])
