"""The pages beside the search: worklist, suggested findings, report check, the state of the index, and what this is.

What is flagged, supported or refused is the API's to say; these pages show it with the figures that were measured.
"""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response

from encoders.sequences import MRSequence
from search_api.figures import measured_on
from search_api.scan_answers import Group, ReportCheck, Suggestions, Worklist
from web import calls
from web.rendering import pages_of
from web.routes_collections import summary

OPERATING_POINTS = (
    ("", "as calibrated"),
    ("sensitivity=0.99", "sensitivity 99 %"),
    ("sensitivity=0.95", "sensitivity 95 %"),
    ("sensitivity=0.9", "sensitivity 90 %"),
    ("specificity=0.9", "specificity 90 %"),
    ("specificity=0.95", "specificity 95 %"),
)
router = APIRouter()


_HEADINGS: tuple[tuple[Group, str], ...] = (
    ("scored", ""),
    ("no_threshold", "Without a threshold, in an order of their own"),
    ("not_scored", "Cannot be scored"),
)


@router.get("/triage")
async def triage(request: Request) -> Response:
    """The worklist; what is asked is for the API to judge, but for blank fields of the form."""
    asked = tuple((name, text) for name, text in request.query_params.multi_items() if text.strip())
    worklist = Worklist.from_dict(await calls.get(request, "/api/triage", asked))
    measured = [entry.measured for entry in worklist.entries]
    measured += [reason.measured for entry in worklist.entries for reason in entry.reasons]
    context = {
        "worklist": worklist,
        "groups": [
            (heading, [(entry, summary(entry.examination)) for entry in worklist.entries if entry.group == group])
            for group, heading in _HEADINGS
        ],
        "data": measured_on(measured),
        "chosen": dict(asked).get("operating_point", ""),
        "prevalence": dict(asked).get("prevalence", "").strip(),
        "query": urlencode(asked),
        "operating_points": OPERATING_POINTS,
    }
    return pages_of(request).render(request, "triage.html", context)


@router.get("/suggestions")
async def suggestions_form(request: Request) -> Response:
    return _suggestions_page(request, None)


@router.post("/suggestions")
async def suggestions(request: Request) -> Response:
    return _suggestions_page(request, Suggestions.from_dict(await calls.pass_on(request, "/api/suggest")))


@router.get("/suggestions/{key}")
async def suggestions_of_case(request: Request, key: str) -> Response:
    document = await calls.get(request, f"/api/examinations/{calls.segment(key)}/suggestions")
    return _suggestions_page(request, Suggestions.from_dict(document), key)


def _suggestions_page(request: Request, suggested: Suggestions | None, key: str | None = None) -> Response:
    context = {"suggested": suggested, "key": key, "sequences": tuple(str(sequence) for sequence in MRSequence)}
    return pages_of(request).render(request, "suggestions.html", context)


@router.get("/report-check")
async def report_check_form(request: Request) -> Response:
    context = {"check": None, "sequences": tuple(str(sequence) for sequence in MRSequence)}
    return pages_of(request).render(request, "report_check.html", context)


@router.post("/report-check")
async def report_check(request: Request) -> Response:
    check = ReportCheck.from_dict(await calls.pass_on(request, "/api/check-report"))
    context = {"check": check, "sequences": tuple(str(sequence) for sequence in MRSequence)}
    return pages_of(request).render(request, "report_check.html", context)


@router.get("/status")
async def status(request: Request) -> Response:
    """The state of the index; a server without an index says here how to build one."""
    try:
        document, problem = await calls.get(request, "/api/status"), None
    except calls.Problem as refusal:
        document, problem = {}, refusal
    context = {"status": document, "problem": problem}
    return pages_of(request).render(request, "status.html", context, 200 if problem is None else problem.status)


@router.get("/about")
async def about(request: Request) -> Response:
    return pages_of(request).render(request, "about.html", {})
