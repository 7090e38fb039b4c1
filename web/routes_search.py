"""The search pages: the box, the gallery of hits for words and examples, and the gallery for an uploaded scan.

What was asked stands in the URL, except for an uploaded scan, which is not kept anywhere.
"""

from __future__ import annotations

from dataclasses import replace

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from encoders.sequences import MRSequence
from search_api.answers import Answer
from web import calls
from web.forms import FILTERS, HITS_A_PAGE, SearchForm
from web.gallery import cards, paging
from web.rendering import pages_of, problem_page

EXAMPLES = (
    "hydrocephalus",
    "multiple sclerosis with enhancing lesions",
    "meningioma without oedema",
    "acute MCA infarct",
    "no midline shift",
    "normal study",
)
_LABELS = {
    "sequence": "MR sequence",
    "sex": "Sex",
    "age": "Age",
    "since": "Since",
    "until": "Until",
    "source": "Source",
    "finding": "Finding",
    "reported": "Reported",
}

router = APIRouter()


@router.get("/")
async def start(request: Request) -> Response:
    """The search box, with the filters of the URL already set."""
    form = SearchForm.read(request.query_params)
    if form.asked:
        return RedirectResponse(form.link("/search"), 303)
    context = {"form": form, "examples": EXAMPLES, "status": await _status(request), **await form_choices(request)}
    return pages_of(request).render(request, "start.html", context)


@router.get("/search")
async def search(request: Request) -> Response:
    """The gallery for words or an example; the query string is that of `/api/search`."""
    given = request.query_params
    form = SearchForm.read(given)
    items = tuple(given.multi_items())
    understood = form.understands(items)
    if understood and not form.is_canonical(items):
        return RedirectResponse(form.link("/search"), 303)
    if understood and not form.asked:
        return RedirectResponse(form.link("/"), 303)
    asked = form if form.k else replace(form, k=HITS_A_PAGE[0])
    choices = await form_choices(request)
    try:
        # What the form does not understand goes to the API as it is, which says what is wrong with it.
        answer = Answer.from_dict(await calls.get(request, "/api/search", asked.parameters() if understood else items))
    except calls.Problem as problem:
        return _with_problem(request, form, choices, problem)
    context = {
        "form": form,
        "answer": answer,
        "cards": cards(answer, form),
        "paging": paging(answer, form),
        "chips": chips(form),
        "twin": asked.link("/api/search"),
        **choices,
    }
    return pages_of(request).render(request, "results.html", context)


@router.get("/search/scan")
async def scan_form() -> Response:
    """An uploaded scan has no address to come back to: to the form."""
    return RedirectResponse("/#scan", 303)


@router.post("/search/scan")
async def search_scan(request: Request) -> Response:
    """The gallery for uploaded scans. The files go to the API as they come in and are gone with the answer."""
    try:
        answer = Answer.from_dict(await calls.pass_on(request, "/api/search/scan"))
    except calls.Problem as problem:
        return problem_page(pages_of(request), request, problem)
    form = SearchForm(q=answer.query)
    context = {"form": form, "answer": answer, "cards": cards(answer, None), **await form_choices(request)}
    return pages_of(request).render(request, "scan_results.html", context)


def chips(form: SearchForm) -> tuple[tuple[str, str, str], ...]:
    """The filters that are on: label, value, and the address without them."""
    return tuple((_LABELS[name], value, form.link("/search", **{name: ""})) for name, value in form.filters)


async def form_choices(request: Request) -> dict[str, object]:
    """What the filters can be set to, with the number of examinations; nothing where there is no index yet."""
    try:
        facets = await calls.get(request, "/api/facets")
    except calls.Problem:
        facets = {}
    return {
        "facets": {name: facets.get(name) or {} for name in FILTERS},
        "sequences": tuple(str(sequence) for sequence in MRSequence),
        "page_sizes": HITS_A_PAGE,
    }


async def _status(request: Request) -> dict[str, object] | None:
    try:
        status: dict[str, object] = await calls.get(request, "/api/status")
    except calls.Problem:
        return None
    return status


def _with_problem(request: Request, form: SearchForm, choices: dict[str, object], problem: calls.Problem) -> Response:
    """The search page with the form as it was filled in, and what was wrong with it."""
    context = {"form": form, "problem": problem, "chips": chips(form), **choices}
    page = pages_of(request).render(request, "search_problem.html", context, problem.status)
    if problem.retry_after:
        page.headers["Retry-After"] = problem.retry_after
    return page
