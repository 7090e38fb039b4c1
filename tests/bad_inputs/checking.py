"""A row of the tables of bad inputs, and the one check that all rows go through."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

from http_cases import PLANTED, assert_discreet, seal_of
from running_service import MULTIPART, Reply, Service, multipart, request

MEBIBYTE = 1024**2
QUICK = 10.0  # seconds; the reader of an upload alone needs half a one to start
# What the reader of an upload takes before it looks at the file, and some room for what it then reads.
LITTLE_MEMORY = 192 * MEBIBYTE
LEFT_MEMORY = 48 * MEBIBYTE  # that may stay taken after an answer: caches that fill, arenas of threads
PLANTED_QUERY = "zqplantedquery"
MEMBERS = {"code", "message", "hint", "request_id"}


@dataclass(frozen=True, slots=True)
class Row:
    """What is sent for a row of a table, and which answers are right.

    `row` is its first cell, word for word; `variant` tells several inputs of one row apart. `parts` is the request as
    bytes. `code` "" is an answer that is no refusal; `says` must stand in it, and `code` None leaves the code open.
    `page`: what refuses may be a page instead of JSON.
    """

    row: str
    parts: Callable[[Service], Iterable[bytes]]
    status: tuple[int, ...]
    code: str | None = ""
    variant: str = ""
    says: tuple[str, ...] = ()
    hides: tuple[str, ...] = ()
    method: str = "POST"
    seconds: float = QUICK
    memory: int = LITTLE_MEMORY
    then: Callable[[Service, Reply], None] | None = None
    page: bool = False

    def __str__(self) -> str:
        return f"{self.row} [{self.variant}]" if self.variant else self.row


def name_of(row: object) -> str:
    """The row's own words as the name of its test."""
    return str(row)


def uploaded(
    make: Callable[[], bytes], name: str = f"../../{PLANTED}_FLAIR.nii.gz", path: str = "/api/score", **fields: str
) -> Callable[[Service], Iterable[bytes]]:
    """The request that uploads a file as one call."""
    return lambda _: [request(path, "POST", MULTIPART, multipart([(name, make())], fields))]


def asked(
    path: str | bytes, method: str = "GET", headers: dict[str, str] | None = None, body: bytes = b""
) -> Callable[[Service], Iterable[bytes]]:
    return lambda _: [request(path, method, headers, body)]


def check(service: Service, row: Row) -> Reply:
    """Send a row and look at everything that must hold, whatever was sent."""
    sealed, files, log = seal_of(service.data), set(service.temporary.iterdir()), service.log.stat().st_size
    memory = service.memory()
    reply = service.send(row.parts(service), seconds=row.seconds * 3, method=row.method)
    assert reply.status in row.status, (reply.status, reply.text[:500])
    if row.method != "HEAD":
        _check_body(row, reply)
    assert reply.headers["x-request-id"]
    assert "location" not in reply.headers
    assert_discreet(reply.text)
    for hidden in (PLANTED, str(service.data), *row.hides):
        assert hidden not in reply.text, hidden
    assert reply.seconds < row.seconds
    assert reply.peak < row.memory, f"{reply.peak / MEBIBYTE:.0f} MiB"
    check_unharmed(service)
    assert service.memory() - memory < LEFT_MEMORY
    assert set(service.temporary.iterdir()) == files
    assert seal_of(service.data) == sealed
    check_log(service.log.read_bytes()[log:].decode("utf-8", "replace"), row.hides)
    if row.then is not None:
        row.then(service, reply)
    return reply


def check_unharmed(service: Service) -> None:
    """The process lives, and a good question gets its answer."""
    assert service.process.poll() is None
    good = service.ask("/api/search?q=glioma")
    assert good.status == 200
    assert good.document["hits"]


def check_log(text: str, hides: tuple[str, ...] = ()) -> None:
    # A line names the file and line of our own code that it comes from, never its folder.
    assert_discreet(re.sub(r"\b[\w]+\.py:\d+", "", text))
    for hidden in (PLANTED, PLANTED_QUERY, *hides):
        assert hidden not in text, hidden
    assert all(character.isprintable() or character == "\n" for character in text)


def _check_body(row: Row, reply: Reply) -> None:
    if reply.status < 400:
        assert not row.code, reply.text[:500]
    elif row.page and reply.headers["content-type"].startswith("text/html"):
        assert '<html lang="en"' in reply.text
        assert "default-src 'none'" in reply.headers["content-security-policy"]
    else:
        document = json.loads(reply.body)
        assert set(document) == MEMBERS
        assert document["message"]
        assert document["request_id"] == reply.headers["x-request-id"]
        if row.code is not None:
            assert document["code"] == row.code, document
        if reply.status in (429, 503):
            assert int(reply.headers["retry-after"]) > 0
    for words in row.says:
        assert words in reply.text, (words, reply.text[:500])
    if not reply.headers["content-type"].startswith("image/"):
        assert not any(ord(character) < 32 and character not in "\n\t" for character in reply.text)


def same_as(make: Callable[[], bytes]) -> Callable[[Service, Reply], None]:
    """The findings are those of a twin: the file was read the same however it is stored."""

    def compare(service: Service, reply: Reply) -> None:
        assert reply.document["findings"] == _findings(service, make)

    return compare


def other_than(make: Callable[[], bytes]) -> Callable[[Service, Reply], None]:
    def compare(service: Service, reply: Reply) -> None:
        assert reply.document["findings"] != _findings(service, make)

    return compare


@cache
def _findings(service: Service, make: Callable[[], bytes]) -> object:
    reply = service.upload(make(), "twin_FLAIR.nii")
    assert reply.status == 200, reply.text
    return reply.document["findings"]
