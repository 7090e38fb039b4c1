"""What holds of any input at all: headers that Hypothesis makes up, and questions in any characters."""

from __future__ import annotations

import doctest
import gzip
import importlib
import json
import struct
import tracemalloc
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from running_service import Reply, Service
from test_fuzz_corpus import FUZZ
from volume_properties import CODES, check_any

from search_api.query import Query, QueryError, understand

SEEDS = {path.name: path.read_bytes() for path in sorted((FUZZ / "corpus").glob("nifti*.nii"))}
MIBIBYTE = 1024**2
PEAK = 24 * MIBIBYTE  # the limits of `volume_properties` allow 1 MiB of file and 65,536 voxels

shorts = st.one_of(st.integers(-3, 40), st.integers(-(2**15), 2**15 - 1))
longs = st.one_of(shorts, st.integers(-(2**63), 2**63 - 1))
floats = st.one_of(
    st.sampled_from([0.0, 1.0, 352.0, 0.5, -1.0, 1e30, 1e-30, 3e38, float("nan"), float("inf"), 1e-310]),
    st.floats(width=32),
    st.floats(-20, 20, width=32),
)
# Fields of NIfTI-1 and NIfTI-2 (nifti1.h, nifti2.h): offset, type of one value, how many.
FIELDS_1 = ((40, "h", 8), (70, "h", 1), (72, "h", 1), (76, "f", 8), (108, "f", 1), (112, "f", 2), (252, "h", 2)) + (
    (256, "f", 6),
    (280, "f", 12),
    (352, "i", 2),
)
FIELDS_2 = ((12, "h", 1), (14, "h", 1), (16, "q", 8), (104, "d", 8), (168, "q", 1), (176, "d", 2), (344, "i", 2)) + (
    (352, "d", 6),
    (400, "d", 12),
)


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A whole file with some values of its header replaced, some bytes flipped, cut, packed or none of it."""
    name = draw(st.sampled_from(sorted(SEEDS)))
    content = bytearray(SEEDS[name])
    order = ">" if "big" in name else "<"
    for offset, code, count in draw(
        st.lists(st.sampled_from(FIELDS_2 if "nifti2" in name else FIELDS_1), max_size=3, unique=True)
    ):
        size = struct.calcsize(code)
        for place in draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=count, unique=True)):
            value = draw(floats if code in "fd" else longs if code == "q" else shorts)
            struct.pack_into(order + code, content, offset + place * size, value)
    for place in draw(st.lists(st.integers(0, 543), max_size=3)):
        content[place] = draw(st.integers(0, 255))
    whole = bytes(content[: draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))])
    return gzip.compress(whole, 1, mtime=0) if draw(st.booleans()) else whole


@settings(deadline=5_000, max_examples=600, suppress_health_check=[HealthCheck.data_too_large])
@given(content=files(), frame=st.sampled_from([None, "mean", 0, 1]))
def test_any_header_gives_a_sound_volume_or_a_known_refusal(content: bytes, frame: int | str | None) -> None:
    assert check_any(content, frame=frame) in CODES | {"volume"}


@settings(deadline=None, max_examples=150)
@given(content=files())
def test_no_header_takes_more_memory_than_the_limits_allow(content: bytes) -> None:
    tracemalloc.start()
    try:
        check_any(content)
        assert tracemalloc.get_traced_memory()[1] < PEAK
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["encoders.file_kinds", "search_api.strict_json"])
def test_the_examples_in_the_docstrings_hold(name: str) -> None:
    results = doctest.testmod(importlib.import_module(name))
    assert results.attempted
    assert not results.failed


# Every code point, half characters too, and what a parser of queries could stumble over.
texts = st.one_of(
    st.text(st.characters(), max_size=300),
    st.lists(
        st.sampled_from(
            [
                "no",
                "without",
                "glioma",
                "left",
                "and",
                "or",
                '"',
                "(",
                "*",
                "NEAR(",
                "t:",
                "-",
                "3.5",
                "mm",
                "\0",
                "’",
                "oedema",
            ]
        ),
        max_size=60,
    ).map(" ".join),
)


@settings(deadline=None, max_examples=400)
@given(text=texts, expand=st.booleans())
def test_any_text_is_a_query_or_refused(text: str, expand: bool) -> None:
    try:
        query = understand(text, expand=expand)
    except QueryError as error:
        assert error.code in {"empty_query", "no_words", "too_long"}
        assert error.hint
    else:
        assert isinstance(query, Query)
        assert query.concepts
        assert query.text.encode("utf-8")


@pytest.mark.slow
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=texts)
def test_any_text_is_answered_or_refused_over_http(service: Service, text: str) -> None:
    reply = service.ask("/api/search?q=" + quote(text.encode("utf-8", "surrogatepass")))
    assert reply.status in (200, 400)
    _assert_strict(reply)


@pytest.mark.slow
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.dictionaries(
        st.sampled_from(
            [
                "k",
                "page",
                "weight",
                "sequence",
                "sex",
                "age",
                "since",
                "until",
                "source",
                "finding",
                "reported",
                "expand",
            ]
        ),
        st.one_of(st.text(max_size=20), st.integers().map(str), st.floats().map(str), st.dates().map(str)),
        max_size=4,
    )
)
def test_any_filter_is_applied_or_refused_over_http(service: Service, values: dict[str, str]) -> None:
    given = urlencode({"q": "glioma"} | values, errors="surrogatepass")
    reply = service.ask(f"/api/search?{given}")
    assert reply.status in (200, 400)
    _assert_strict(reply)


@pytest.mark.slow
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(target=st.binary(max_size=60), method=st.sampled_from(["GET", "POST", "HEAD", "PATCH", "x"]))
def test_any_bytes_as_an_address_are_answered_without_a_fault(service: Service, target: bytes, method: str) -> None:
    line = method.encode() + b" /" + target + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    assert service.send([line + b"\r\n"], method=method).status < 500


def _assert_strict(reply: Reply) -> None:
    document = json.loads(reply.body.decode("utf-8"), parse_constant=pytest.fail)
    assert "hits" in document if reply.status == 200 else set(document) == {"code", "message", "hint", "request_id"}
