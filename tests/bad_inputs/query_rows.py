"""The table "Text queries and reports": words, filters and reports that are asked of the server or sent to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import quote

from http_cases import PLANTED
from running_service import MULTIPART, Reply, Service, multipart, request
from search_cases import CASES

from bad_inputs.checking import PLANTED_QUERY, Row, asked

OK, REFUSED = (200,), (400,)
EITHER = (200, 400)


def searched(row: str, words: str | bytes, status: tuple[int, ...], code: str | None = "", **more: object) -> Row:
    """A row that is asked as words, percent-encoded; what stands in them is its variant."""
    shown = more.pop("variant", words if isinstance(words, str) and words.isprintable() and len(words) < 40 else "")
    address = "/api/search?q=" + quote(words if isinstance(words, bytes) else words.encode("utf-8", "surrogatepass"))
    return Row(row, asked(address), status, code, str(shown), method="GET", **more)  # type: ignore[arg-type]


def addressed(row: str, query: str, status: tuple[int, ...], code: str = "", **more: object) -> Row:
    return Row(row, asked(f"/api/search?{query}"), status, code, query[:60], method="GET", **more)  # type: ignore[arg-type]


def reported(row: str, report: str | bytes, status: tuple[int, ...], code: str | None = "", **more: object) -> Row:
    """A row that is sent as a report to be checked, without a scan."""
    return Row(
        row,
        lambda _: [request("/api/check-report", "POST", MULTIPART, multipart([], {"report": report}))],
        status,
        code,
        **more,  # type: ignore[arg-type]
    )


def keys_of(service: Service, words: str) -> list[str]:
    reply = service.ask(f"/api/search?k=200&q={quote(words)}")
    assert reply.status == 200, reply.text
    return [str(hit["key"]) for hit in reply.document["hits"]]


def best_of(service: Service, words: str) -> set[str]:
    return set(keys_of(service, words)[:5])


def same_cases(first: str, second: str) -> Row:
    """Both spellings rank the same cases first, and all cases in nearly the same order."""

    def compare(service: Service, _: Reply) -> None:
        one, two = keys_of(service, first), keys_of(service, second)
        assert len(set(one) & set(two)) >= 0.95 * max(len(one), len(two))
        assert best_of(service, first) == best_of(service, second)

    row = "`haemorrhage`/`hemorrhage`, `tumour`/`tumor`, `oedema`/`edema`"
    return searched(row, first, OK, variant=f"{first}/{second}", then=compare)


def misspelt(wrong: str, right: str) -> Row:
    def compare(service: Service, reply: Reply) -> None:
        assert any(f'"{wrong}" read as "{right}"' in sentence for sentence in reply.document["expanded"])
        assert best_of(service, wrong) == best_of(service, right)

    return searched("misspelling `hydrocephlus`, `menigioma`", wrong, OK, then=compare)


def counted(query: str, expected: int) -> Row:
    def count(_: Service, reply: Reply) -> None:
        assert reply.document["total"] == expected
        assert len(reply.document["hits"]) <= expected

    return addressed("filter that matches 0 / 1 / all cases", f"q=glioma&k=200&{query}", OK, then=count)


def empty(_: Service, reply: Reply) -> None:
    assert reply.document["hits"] == []


def isolated(_: Service, reply: Reply) -> None:
    """Neither a direction mark nor half a character comes back, and the answer is strict JSON."""
    text = json.dumps(reply.document, ensure_ascii=False)
    assert not any(0xD800 <= ord(character) <= 0xDFFF or character in "\u202e\u2066" for character in text)


def shown_isolated(service: Service, reply: Reply) -> None:
    isolated(service, reply)
    page = service.ask("/search?q=glioma%E2%80%AE")
    assert page.status == 200
    assert "<bdi>glioma\u202e</bdi>" in page.text
    assert "\u202e" not in page.text.partition("<title>")[2].partition("</title>")[0]


def _cases(**wanted: object) -> int:
    return sum(all(getattr(case, name) == value for name, value in wanted.items()) for case in CASES)


_AWKWARD = "emoji, RTL override U+202E, combining stacks, lone surrogates `\\ud800`"
_CONTROL = "NUL, ESC, CR/LF, BEL"
_WORDS = "`T2/FLAIR`, `t2-flair`, `don't`, `C1–C2`, `3.5 mm`, `>5mm`"
_SYNTAX = '`"`, `(`, `*`, `-`, `^`, `AND`, `NOT`, `a OR`, `NEAR(`, `t:x`, `{t}:x`'
_LONG = "20 000 terms / 100 kB single token"
_QUOTES = "unbalanced quotes, smart quotes"
_LANGUAGES = "German/French/Cyrillic query"
_PAGES = "page beyond end; cursor tampered or from an old generation"
_REPORT = "report empty, 5 MB, HTML/RTF, with NULs, mixed encodings, only headers"
_STOPS = 'only stop words ("the of")'
_TERMS: Mapping[str, str | bytes] = {"20 000 terms": "mass " * 20_000, "100 kB": "a" * 100_000}


ROWS: tuple[Row, ...] = (
    searched(_AWKWARD, "🧠 glioma", OK, then=isolated),
    searched(_AWKWARD, "glioma \u202eevil", OK, variant="U+202E", then=shown_isolated),
    searched(_AWKWARD, "g" + "\u0301" * 500 + "lioma", OK, variant="combining", then=isolated),
    searched(_AWKWARD, "\ud800 glioma", OK, variant="lone surrogate", then=isolated),
    searched(_AWKWARD, b"\xff\xfe\xc0\xaf", REFUSED, "no_words", variant="no UTF-8"),
    searched(_AWKWARD, "glio\u0301ma", OK, variant="decomposed", then=isolated),
    *(
        searched(_CONTROL, f"glioma{mark}{PLANTED_QUERY[:0]}oedema", OK, variant=repr(mark), hides=(mark,))
        for mark in ("\0", "\x1b[2J", "\r\nevil: yes", "\x07")
    ),
    *(
        searched(_WORDS, words, OK)
        for words in ("T2/FLAIR", "t2-flair", "don't miss glioma", "C1–C2", "3.5 mm", ">5mm")
    ),
    *(searched(_SYNTAX, mark, REFUSED, "no_words") for mark in ('"', "(", "*", "-", "^", "NOT")),
    *(searched(_SYNTAX, words, OK) for words in ("AND glioma", "glioma OR", "NEAR(glioma", "t:x", "{t}:glioma")),
    *(
        Row(
            _LONG,
            lambda _, words=words: [
                request("/api/check-report", "POST", MULTIPART, multipart([], {"report": "x", "q": words}))
            ],
            REFUSED,
            None,
            f"{name}, sent",
        )
        for name, words in _TERMS.items()
    ),
    *(
        searched(_LONG, words, REFUSED, "bad_request", variant=f"{name}, in the address")
        for name, words in _TERMS.items()
    ),
    searched(_LONG, "ab " * 5_000, REFUSED, "too_long", variant="5 000 terms"),
    searched(_LONG, "mass " * 400, OK, variant="2,000 characters"),
    searched(_QUOTES, '"glioma', OK),
    searched(_QUOTES, "“glioma” ‘mass", OK),
    searched(_STOPS, "the of", REFUSED, "no_words"),
    same_cases("haemorrhage", "hemorrhage"),
    same_cases("tumour", "tumor"),
    same_cases("oedema", "edema"),
    misspelt("hydrocephlus", "hydrocephalus"),
    misspelt("menigioma", "meningioma"),
    *(
        searched(_LANGUAGES, words, OK)
        for words in ("Hirnblutung links", "hémorragie cérébrale", "кровоизлияние в мозг", "脳出血")
    ),
    counted("source=nowhere", 0),
    counted("age=80", _cases(age=80)),
    counted("sex=M", _cases(sex="M")),
    counted("", len(CASES)),
    addressed(_PAGES, "q=glioma&page=50", OK, then=empty),
    addressed(_PAGES, "q=glioma&page=99999999", REFUSED, "bad_page"),
    addressed(_PAGES, "q=glioma&cursor=abc", REFUSED, "unknown_parameter"),
    reported(_REPORT, "", REFUSED, "empty_report", variant="empty"),
    reported(_REPORT, "No mass. " * 600_000, (413,), "too_large", variant="5 MB"),
    reported(_REPORT, f"<b>Findings</b>: no mass. <script>{PLANTED}</script>", EITHER, None, variant="HTML", hides=()),
    reported(_REPORT, r"{\rtf1\ansi No hydrocephalus.\par}", REFUSED, "bad_report", variant="RTF"),
    reported(_REPORT, "No\0 hydro\0cephalus.", OK, variant="NULs"),
    reported(_REPORT, b"Findings: h\xe9morragie. \xff\xfe No mass.", OK, variant="mixed encodings"),
    reported(_REPORT, "FINDINGS:\nIMPRESSION:\n", EITHER, None, variant="only headers"),
)
ELSEWHERE = {
    "CSV import: BOM, `;`, quotes, 1 M rows, duplicate ids, formula `=cmd()`": (
        "test_ingest.py::test_bad_rows_of_reports_are_refused_by_line_and_the_rest_goes_on"
    ),
}
