"""The search pages as a browser without a script sees them: what they say, where they lead, what they refuse."""

from __future__ import annotations

import doctest
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from search_cases import CASES
from site_cases import assert_sealed, build_data, case_links, links, site_of, text_of

from search_api.answers import BANNER

ADDRESSES = (
    "/",
    "/search?q=hydrocephalus",
    "/triage",
    "/suggestions",
    "/report-check",
    "/collections",
    "/status",
    "/about",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("site")


@pytest.fixture(scope="module")
def hostile(folder: Path) -> str:
    return build_data(folder)[1]


@pytest.fixture(scope="module")
def site(folder: Path, hostile: str) -> Iterator[TestClient]:
    with TestClient(site_of(folder / "data"), base_url="http://127.0.0.1", follow_redirects=False) as client:
        yield client


@pytest.mark.parametrize(
    "name", ["web.forms", "web.rendering", "web.gallery", "web.reading", "web.viewing", "web.calls"]
)
def test_the_examples_in_the_docstrings_hold(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_page_carries_the_banner_and_runs_nothing_from_elsewhere(site: TestClient, address: str) -> None:
    answer = site.get(address)
    assert answer.status_code == 200
    assert BANNER in answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert_sealed(answer.text, answer.headers["content-security-policy"])
    assert '<html lang="en"' in answer.text
    assert len(re.findall(r"<h1", answer.text)) == 1


def test_the_start_page_says_what_can_be_searched(site: TestClient) -> None:
    text = text_of(site.get("/").text)
    assert f"{len(CASES) + 1} examinations" in text
    assert f"{site.get('/api/status').json()['generation']}" in text
    assert "FLAIR (15)" in text


def test_the_gallery_shows_what_its_twin_answers(site: TestClient) -> None:
    page = site.get("/search?q=hydrocephalus").text
    twin = next(address for address in links(page) if address.startswith("/api/search"))
    answer = site.get(twin).json()
    assert [address.split("?")[0] for address in case_links(page)] == [f"/case/{hit['key']}" for hit in answer["hits"]]
    shown = answer["total"] - answer["folded"] - answer["contradicted"]
    assert f"of {shown} cases" in text_of(page)
    assert answer["generation"] in page
    best = answer["hits"][0]
    assert best["evidence"][0].get("text", "hydrocephalus") in text_of(page)
    assert f"{best['score']:.3f}" in text_of(page)


def test_a_hit_says_why_and_of_whom(site: TestClient) -> None:
    text = text_of(site.get("/search?q=marked+hydrocephalus").text)
    assert "71 y male" in text
    assert "FLAIR, T1w" in text or "T1w, FLAIR" in text
    assert re.search(r"present Marked hydrocephalus", text)
    assert "More like this" in text


def test_pictures_of_the_gallery_are_there(site: TestClient) -> None:
    page = site.get("/search?q=hydrocephalus").text
    pictures = re.findall(r'<img src="(/api/[^"]+)"', page)
    assert len(pictures) == 12
    for address in pictures[:3]:
        answer = site.get(address)
        assert answer.status_code == 200
        assert answer.content.startswith(b"\x89PNG")


def test_blank_fields_and_the_two_age_fields_become_the_permalink(site: TestClient) -> None:
    answer = site.get("/search?q=glioma&sex=&sequence=&age_from=40&age_to=60&since=&page=")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/search?q=glioma&age=40-60"
    page = site.get(answer.headers["location"]).text
    assert re.search(r'name="age_from"[^>]*value="40"', page)
    assert re.search(r'name="age_to"[^>]*value="60"', page)


def test_no_filter_is_lost_on_the_way(site: TestClient) -> None:
    state = "q=glioma&k=4&sequence=FLAIR&sex=F&age=20-70&reported=true"
    page = site.get(f"/search?{state}").text
    following = next(address for address in links(page) if "page=2" in address)
    second = site.get(following).text
    for name in ("q=glioma", "k=4", "sequence=FLAIR", "sex=F", "age=20-70", "reported=true"):
        assert name in following
        assert all(name in address for address in case_links(page))
        assert any(name in address for address in links(second, "/search?") if "page" not in address)
    assert not set(case_links(page)) & set(case_links(second))
    chip = next(address for address in links(page, "/search") if "sex=F" not in address and "age=20-70" in address)
    assert "sequence=FLAIR" in chip


def test_a_filter_is_chosen_in_the_form_that_set_it(site: TestClient) -> None:
    page = site.get("/search?q=glioma&sex=M&finding=nonesuch").text
    assert re.search(r'<option value="M" selected>', page)
    assert re.search(r'<option value="nonesuch" selected>', page)


def test_a_query_without_words_is_refused_with_the_sentence_of_the_api(site: TestClient) -> None:
    answer = site.get("/search", params={"q": "()?!"})
    twin = site.get("/api/search", params={"q": "()?!"})
    assert answer.status_code == twin.status_code == 400
    text = text_of(answer.text)
    assert twin.json()["message"] in text
    assert twin.json()["hint"] in text
    assert re.search(r"Code no_words , request \S+", text)
    assert 'value="()?!"' in answer.text


@pytest.mark.parametrize("state", ["age=old", "since=yesterday", "sequence=CT", "k=0", "k=1000000000", "page=-1"])
def test_a_wrong_value_is_refused_and_stays_in_the_form(site: TestClient, state: str) -> None:
    answer = site.get(f"/search?q=glioma&{state}")
    assert answer.status_code == 400
    assert 'value="glioma"' in answer.text
    assert 'role="alert"' in answer.text


def test_an_empty_answer_says_why(site: TestClient) -> None:
    text = text_of(site.get("/search?q=glioma&age=100-110").text)
    assert "No case passes these filters." in text
    assert "Age: 100-110" in text
    text = text_of(site.get("/search?q=glioma&page=9").text)
    assert "There are no more cases." in text


def test_what_was_understood_can_be_taken_back(site: TestClient) -> None:
    page = site.get("/search?q=tumour").text
    assert "Understood:" in text_of(page)
    literal = next(address for address in links(page) if "expand=false" in address)
    page = site.get(literal).text
    assert "Searched for exactly these words." in text_of(page)
    assert "/search?q=tumour" in links(page)


def test_no_good_match_is_said(site: TestClient) -> None:
    answer = site.get("/api/search?q=zygomatic+quokka").json()
    assert answer["good_match"] is False
    text = text_of(site.get("/search?q=zygomatic+quokka").text)
    assert "No good match." in text


def test_more_like_this_leads_to_the_case_first_and_marks_the_same_patient(site: TestClient) -> None:
    page = site.get("/search?q=more+white+matter+lesions+than+before").text
    like = links(page, "/search?like=")[0]
    text = text_of(site.get(like).text)
    assert "same patient" in text
    assert like.split("=")[1] in text


def test_a_site_without_an_index_says_how_to_build_one(tmp_path: Path) -> None:
    with TestClient(site_of(tmp_path), base_url="http://127.0.0.1") as client:
        start = client.get("/")
        assert start.status_code == 200
        assert "There is no index to search yet." in text_of(start.text)
        answer = client.get("/search?q=glioma")
        assert answer.status_code == 503
        assert 'role="alert"' in answer.text
        assert "neurorecall rebuild" in client.get("/status").text


def test_static_files_are_kept_by_their_hash(site: TestClient) -> None:
    page = site.get("/").text
    address = next(link for link in links(page, "/static/site.css"))
    assert "immutable" in site.get(address).headers["cache-control"]
    assert "immutable" not in site.get("/static/site.css").headers["cache-control"]
    assert site.get("/static/../pages.py").status_code == 404
    script = sum((Path("web/static") / name).stat().st_size for name in ("site.js",))
    assert script < 60_000


@pytest.mark.parametrize("address", ["/nothing", "/case/nothing"])
def test_a_refusal_as_a_page_keeps_the_guards(site: TestClient, address: str) -> None:
    answer = site.get(address)
    assert answer.status_code in (400, 404)
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["x-research-use"] == BANNER
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-request-id"]
    assert_sealed(answer.text, answer.headers["content-security-policy"])
