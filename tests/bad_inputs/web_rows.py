"""The table "Web layer": requests that are wrong as HTTP, as addresses, as forms or as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator

from http_cases import PLANTED
from running_service import BOUNDARY, MULTIPART, Reply, Service, multipart, request
from test_volume import nifti

from bad_inputs.checking import MEBIBYTE, Row, asked, check_log

JSON = {"Content-Type": "application/json"}
_START = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="a_FLAIR.nii"\r\n\r\n'.encode()
CHUNK = b"100000\r\n" + bytes(MEBIBYTE) + b"\r\n"
TEN_GIB = 10 * 1024


def chunked(path: str, headers: dict[str, str], start: bytes = b"") -> Callable[[Service], Iterable[bytes]]:
    """10 GiB without a declared length, for as long as somebody takes it."""

    def parts(_: Service) -> Iterator[bytes]:
        yield request(path, "POST", headers | {"Transfer-Encoding": "chunked"})
        if start:
            yield f"{len(start):x}\r\n".encode() + start + b"\r\n"
        for _number in range(TEN_GIB):
            yield CHUNK

    return parts


def form(row: str, variant: str, body: Callable[[], bytes], status: int, code: str | None, **more: object) -> Row:
    headers = more.pop("headers", MULTIPART)
    return Row(
        row,
        lambda _: [request("/api/score", "POST", headers, body())],  # type: ignore[arg-type]
        (status,),
        code,
        variant,
        **more,  # type: ignore[arg-type]
    )


def posted(row: str, variant: str, body: bytes, status: int = 400, code: str | None = "bad_body") -> Row:
    return Row(row, asked("/api/collections", "POST", JSON, body), (status,), code, variant)


def fetched(row: str, path: str | bytes, status: tuple[int, ...], code: str | None, **more: object) -> Row:
    headers = more.pop("headers", {})
    method = str(more.pop("method", "GET"))
    variant = str(more.pop("variant", path if isinstance(path, str) else path.decode("latin-1")))
    return Row(row, asked(path, method, headers), status, code, variant, method=method, **more)  # type: ignore[arg-type]


def many_headers(_: Service) -> Iterable[bytes]:
    lines = "".join(f"X-{number}: a\r\n" for number in range(10_000))
    return [f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}\r\n".encode()]


def long_header(_: Service) -> Iterable[bytes]:
    return [b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: " + b"a" * 1_000_000 + b"\r\n\r\n"]


def two_lengths(_: Service) -> Iterable[bytes]:
    return [
        request(
            "/api/collections", "POST", JSON | {"Content-Length": "5", "Transfer-Encoding": "chunked"}, b"0\r\n\r\n"
        )
    ]


def ranges(count: int) -> str:
    return "bytes=" + ",".join("0-0" if number % 2 else "1-1" for number in range(count))


def stylesheet(service: Service) -> str:
    page = service.ask("/").text
    return page.partition('rel="stylesheet" href="')[2].partition('"')[0]


def picture(service: Service) -> str:
    key = service.ask("/api/search?q=glioma").document["hits"][0]["key"]
    return f"/api/examinations/{key}/series/1/thumbnail.png"


def ranged(path: Callable[[Service], str], count: int) -> Callable[[Service], Iterable[bytes]]:
    return lambda service: [request(path(service), "GET", {"Range": ranges(count)})]


def is_private(_: Service, reply: Reply) -> None:
    assert reply.headers["cache-control"].startswith("private")


def names_this_server(_: Service, reply: Reply) -> None:
    assert "evil" not in reply.text + json.dumps(dict(reply.headers))


def whole_log(service: Service, _: Reply) -> None:
    check_log(service.log.read_text("utf-8", "replace"))


_BODY = "no Content-Length, chunked 10 GB body"
_PARTS = "5 000 parts, 10 000 headers, 1 MB header, missing boundary, huge preamble"
_RANGE = "`Range: bytes=0-0,1-1,…` × 10 000"
_VERBS = (
    "method/verb confusion, HEAD, OPTIONS, TRACE, unknown JSON fields, deep JSON (100 000 `[`), duplicate keys, `1e999`"
)
_HOST = "Host `evil/..@x`, `X-Forwarded-*` spoof"
_PATHS = "request path `//evil`, `/\\evil`, `%2e%2e%2f`, `..%5c`, overlong UTF-8, NUL"
_URL = "`url=http://169.254.169.254/…`, redirects, DNS rebinding"
_LOGS = "grep logs after the full bad-input run for planted name/MRN/query"
_LABEL = "feedback spam; label with 1 MB"
_METHODS = ("PUT", "DELETE", "PATCH", "POST", "OPTIONS", "TRACE", "BREW", "HEAD")
_FORWARDED = {"X-Forwarded-Host": "evil.example", "X-Forwarded-For": "1.2.3.4", "X-Forwarded-Proto": "https"}

ROWS: tuple[Row, ...] = (
    Row(_BODY, chunked("/api/score", MULTIPART, _START), (413,), "too_large", "an upload", seconds=60.0),
    Row(_BODY, chunked("/search/scan", MULTIPART, _START), (413,), None, "the page's upload", seconds=60.0, page=True),
    Row(_BODY, chunked("/api/collections", JSON), (413,), "too_large", "JSON"),
    Row(_BODY, two_lengths, (400,), "bad_length", "both lengths"),
    form(_PARTS, "parts", lambda: multipart([(f"{n}_FLAIR.nii", b"x") for n in range(5_000)]), 400, "bad_multipart"),
    form(_PARTS, "fields", lambda: multipart([], {f"f{n}": "x" for n in range(5_000)}), 400, "bad_multipart"),
    Row(_PARTS, many_headers, (400,), "bad_request", "headers", method="GET"),
    Row(_PARTS, long_header, (400,), "bad_request", "long header", method="GET"),
    form(
        _PARTS,
        "long header of a part",
        lambda: _START.replace(b"files", b"x" * 1_000_000) + b"\r\n",
        400,
        "bad_multipart",
    ),
    form(
        _PARTS,
        "missing boundary",
        lambda: multipart([("a_FLAIR.nii", b"x")]),
        400,
        "bad_multipart",
        headers={"Content-Type": "multipart/form-data"},
    ),
    form(_PARTS, "huge preamble", lambda: b"x" * (64 * MEBIBYTE), 400, "bad_multipart"),
    form(_PARTS, "huge preamble of line ends", lambda: b"\r\n" * (32 * MEBIBYTE), 400, None, seconds=30.0),
    form(_PARTS, "no end", lambda: _START + b"x" * 1000, 400, None),
    Row(_RANGE, ranged(stylesheet, 10_000), (200, 206, 416), "", "a file, 10 000", method="GET"),
    Row(_RANGE, ranged(stylesheet, 200), (200, 206, 416), "", "a file, 200", method="GET"),
    Row(_RANGE, ranged(lambda _: "/api/search?q=glioma", 10_000), (200,), "", "an answer", method="GET"),
    *(
        fetched(_VERBS, "/api/search", (405,), "method_not_allowed", method=method, variant=method)
        for method in _METHODS
    ),
    *(
        fetched(_VERBS, path, (400, 404, 405), None, method=method, variant=f"{method} {path}", page=True)
        for method, path in (
            ("OPTIONS", "*"),
            ("CONNECT", "evil.example:443"),
            ("GET", "/api/score"),
            ("DELETE", "/api/collections"),
            ("TRACE", "/"),
            ("PUT", "/search"),
        )
    ),
    posted(_VERBS, "deep", b"[" * 100_000),
    posted(_VERBS, "deep objects", b'{"a":' * 100_000),
    posted(_VERBS, "unknown member", b'{"title": "a", "x": 1}', code="bad_x"),
    posted(_VERBS, "member twice", b'{"title": "a", "title": "b"}'),
    posted(_VERBS, "1e999", b'{"title": 1e999}', code="bad_title"),
    posted(_VERBS, "NaN", b'{"title": NaN}'),
    posted(_VERBS, "long number", b'{"title": ' + b"9" * 5_000 + b"}", code=None),
    posted(_VERBS, "no UTF-8", b'{"title": "\xff"}'),
    posted(_VERBS, "cut", b'{"title": '),
    Row(_VERBS, asked("/api/collections", "POST", MULTIPART, multipart([])), (415,), "not_json", "a form for JSON"),
    *(
        fetched(_HOST, "/healthz", (400,), None, headers={"Host": host}, variant=host or "empty")
        for host in ("evil/..@x", "evil.example", "", "127.0.0.1.evil.example", "localhost@evil", "[::1", "a b")
    ),
    fetched(_HOST, "/readyz", (200,), "", headers=_FORWARDED, variant="X-Forwarded", then=names_this_server),
    fetched(_HOST, "/search?q=glioma", (200,), "", headers=_FORWARDED, variant="a page", then=names_this_server),
    *(
        fetched(_PATHS, path, (400, 404), None, page=True, variant=path[:50])
        for path in (
            "//evil.example",
            "/\\evil.example",
            "/%5Cevil.example",
            "/api/%2e%2e%2fetc/passwd",
            "/..%5c..%5c",
            "/static/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
            "/static/..%5c..%5cetc",
            "/api/%c0%ae%c0%ae/",
            "/api/x%00",
            "/static/site.css%00",
            "/api/examinations/../../etc/passwd",
            "/api/examinations/%2e%2e%2f%2e%2e%2fetc",
            "/case/%2e%2e%2f%2e%2e%2fetc",
            "http://evil.example/",
            "/" + "a" * 60_000,
            "/api/examinations/" + "%00" * 50,
            "/api/search/",
            "/%",
            "/%zz",
        )
    ),
    fetched(_PATHS, b"/\xff\xfe", (400, 404), None, variant="bytes"),
    fetched(_PATHS, b"/a b", (400,), None, variant="a blank"),
    fetched(
        _URL, "/api/search?q=glioma&url=http://169.254.169.254/latest", (400,), "unknown_parameter", variant="address"
    ),
    form(
        _URL,
        "form",
        lambda: multipart([("a_FLAIR.nii", nifti())], {"url": "http://169.254.169.254/"}),
        400,
        "unknown_parameter",
    ),
    fetched(_URL, "/healthz", (400,), "bad_host", headers={"Host": "rebound.example"}, variant="rebinding"),
    Row(
        "thumbnails requested without session; cached by proxy",
        lambda service: [request(picture(service))],
        (200,),
        "",
        "cached",
        method="GET",
        then=is_private,
    ),
    posted(_LABEL, "title of 1 MB", json.dumps({"title": "a" * 1_000_000}).encode(), code="bad_title"),
    posted(_LABEL, "2 MB", json.dumps({"title": "a" * 2_000_000}).encode(), 413, "too_large"),
    posted(_LABEL, "title of controls", json.dumps({"title": f"\x1b[2J{PLANTED}" * 200}).encode(), code=None),
    fetched(_LOGS, "/api/search?q=zqplantedquery", (200,), "", variant="", then=whole_log),
)
ELSEWHERE = {
    "200 parallel uploads / searches": "test_load.py::test_many_at_once_are_answered_or_told_to_come_back",
    "JS off, 1024 px screen, 200 % zoom, keyboard only, screen reader": "test_browser.py::",
}
NOT_HERE = {
    "start on 0.0.0.0 without auth": "belongs to authentication",
    "expired/forged/alg=none token, API key in URL, brute force": "belongs to authentication",
}
