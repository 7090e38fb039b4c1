"""Case page, uploads, collections, worklist and report check without a script; nothing stored is ever markup."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from search_cases import CASES, scan_of
from site_cases import HOSTILE, HOSTILE_PARTS, assert_sealed, build_data, case_links, links, site_of, text_of, upload
from test_report_check import FixedScores

from encoders.calibration import Measured
from search_api.answers import BANNER


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


def test_a_case_shows_its_report_with_the_evidence_marked(site: TestClient) -> None:
    gallery = site.get("/search?q=marked+hydrocephalus").text
    page = site.get(case_links(gallery)[0]).text
    assert re.search(r'<mark class="is-present"><bdi>Marked hydrocephalus\.</bdi>', page)
    text = text_of(page)
    assert "No haemorrhage." in text
    assert "hit 1" in text
    assert "Impression Hydrocephalus." in text
    assert_sealed(page, site.get(case_links(gallery)[0]).headers["content-security-policy"])


def test_one_can_walk_from_hit_to_hit_and_back(site: TestClient) -> None:
    gallery = site.get("/search?q=hydrocephalus&k=4").text
    first, second, *_, last = case_links(gallery)
    page = site.get(first).text
    assert unescape(re.search(r'id="following"[^>]*href="([^"]+)"', page)[1]) == second
    assert 'id="previous"' not in page
    assert unescape(re.search(r'id="back" href="([^"]+)"', page)[1]) == "/search?q=hydrocephalus&k=4#hit-1"
    page = site.get(last).text
    assert unescape(re.search(r'id="following"[^>]*href="([^"]+)"', page)[1]) == "/search?q=hydrocephalus&k=4&page=2"


def test_the_viewer_steps_by_links(site: TestClient) -> None:
    address = case_links(site.get("/search?q=hydrocephalus").text)[0]
    page = site.get(address).text
    middle = int(re.search(r'data-plane="axial" data-index="(\d+)"', page)[1])
    step = next(link for link in links(page) if f"axial={middle + 1}" in link)
    assert "q=hydrocephalus" in step
    page = site.get(step).text
    assert int(re.search(r'data-plane="axial" data-index="(\d+)"', page)[1]) == middle + 1
    for picture in re.findall(r'<div class="slice"><img src="([^"]+)"', page):
        assert site.get(unescape(picture)).content.startswith(b"\x89PNG")


@pytest.mark.parametrize("state", ["axial=99999", "axial=-3", "series=77", "series=x&coronal=1e9", "window=%3Cscript"])
def test_a_slice_that_is_not_there_shows_the_nearest_that_is(site: TestClient, state: str) -> None:
    address = case_links(site.get("/search?q=hydrocephalus").text)[0].split("?")[0]
    answer = site.get(f"{address}?{state}")
    assert answer.status_code == 200
    for picture in re.findall(r'<div class="slice"><img src="([^"]+)"', answer.text):
        assert site.get(unescape(picture)).status_code == 200


@pytest.mark.parametrize("address", ["/case/abcdefghijkl", "/case/%00", "/collections/nonesuch", "/nonesuch"])
def test_what_is_not_there_gets_a_page_of_its_own(site: TestClient, address: str) -> None:
    answer = site.get(address, headers={"accept": "text/html"})
    assert answer.status_code == 404
    assert BANNER in answer.text
    assert 'role="alert"' in answer.text


def test_an_uploaded_scan_finds_itself_first_and_its_hits_can_be_walked(site: TestClient, folder: Path) -> None:
    made = CASES[2]
    answer = upload(site, scan_of(folder / "dataset", made, "FLAIR"), k="4")
    assert answer.status_code == 200
    page = answer.text
    assert f"sub-{made.participant}" in text_of(page).split("More like this")[0]
    addresses = case_links(page)
    assert len(addresses) == 4
    first = site.get(addresses[0]).text
    assert (
        unescape(re.search(r'id="following"[^>]*href="([^"]+)"', first)[1]).split("#")[0] == addresses[1].split("#")[0]
    )
    assert "flagged for review" in text_of(page)
    assert_sealed(page, answer.headers["content-security-policy"])


@pytest.mark.parametrize(
    ("name", "content", "status"),
    [
        ("scan_T1w.nii.gz", b"", 400),
        ("scan_T1w.nii.gz", b"%PDF-1.7 not a scan at all", 415),
        ("a.nii", b"x" * 400, 415),
    ],
)
def test_a_file_that_is_no_scan_is_refused_with_a_sentence(
    site: TestClient, name: str, content: bytes, status: int
) -> None:
    for address, fields in (("/search/scan", {}), ("/report-check", {"report": "Normal study."})):
        answer = site.post(address, files={"files": (name, content)}, data=fields | {"sequence_hint": "T1w"})
        assert answer.status_code == status
        assert 'role="alert"' in answer.text
        assert "Traceback" not in answer.text


def test_an_upload_without_a_file_is_refused(site: TestClient) -> None:
    answer = site.post("/search/scan", data={"q": "glioma"})
    assert answer.status_code in {400, 415, 422}
    assert 'role="alert"' in answer.text
    assert site.get("/search/scan").headers["location"] == "/#scan"


def test_nothing_stored_is_ever_markup(site: TestClient, hostile: str, folder: Path) -> None:
    created = site.post("/collections", data={"title": f"a {HOSTILE}"[:110]})
    address = created.headers["location"]
    name = address.rsplit("/", 1)[1]
    collected = site.post(f"/case/{hostile}/collect", data={"name": name, "note": f"note {HOSTILE}"})
    assert created.status_code == collected.status_code == 303
    pages = [
        site.get(where)
        for where in (
            "/search?q=craniopharyngioma",
            f"/search?like={hostile}",
            f"/case/{hostile}?q=craniopharyngioma",
            f"/case/{hostile}",
            "/collections",
            address,
            "/",
            "/status",
        )
    ]
    pages += [site.get("/search", params={"q": HOSTILE, "source": HOSTILE, "finding": HOSTILE})]
    pages += [site.get("/search", params={"q": HOSTILE}), site.get("/triage", params={"operating_point": HOSTILE})]
    pages += [upload(site, folder / "hostile_T2w.nii.gz", q=f"craniopharyngioma {HOSTILE}")]
    pages += [upload(site, folder / "hostile_T2w.nii.gz", "/report-check", report=f"No hydrocephalus {HOSTILE}.")]
    for page in pages:
        assert page.headers["content-type"].startswith("text/html")
        for part in HOSTILE_PARTS:
            assert part not in page.text, page.url
        assert "49" not in re.findall(r"</bdi>(\d+)&lt;", page.text)
    shown = [page for page in pages[:6] if "&lt;script&gt;alert(1)" in page.text]
    assert len(shown) == 6
    assert site.post(f"{address}/delete").status_code == 303


def test_a_collection_from_its_making_to_its_end(site: TestClient) -> None:
    key = case_links(site.get("/search?q=glioma").text)[0].split("?")[0].rsplit("/", 1)[1]
    assert "No collections yet." in text_of(site.get("/collections").text)
    answer = site.post(f"/case/{key}/collect", data={"title": "Tumours for Tuesday", "note": "Ask for the margin"})
    assert answer.status_code == 303
    address = answer.headers["location"].split("#")[0]
    text = text_of(site.get(address).text)
    assert "Tumours for Tuesday" in text
    assert "Ask for the margin" in text
    assert "1 case" in text
    assert site.post(f"{address}/note", data={"key": key, "note": "Ask for oedema"}).status_code == 303
    assert "Ask for oedema" in site.get(address).text
    assert site.post(f"{address}/rename", data={"title": "Tumours"}).status_code == 303
    assert "Tumours" in text_of(site.get("/collections").text)
    assert site.post(f"{address}/remove", data={"key": key}).status_code == 303
    assert "This collection is empty." in text_of(site.get(address).text)
    assert site.post(f"{address}/delete").status_code == 303
    assert site.get(address).status_code == 404


@pytest.mark.parametrize("headers", [{"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}])
def test_a_form_on_another_site_changes_nothing(site: TestClient, headers: dict[str, str]) -> None:
    before = site.get("/api/collections").json()
    assert site.post("/collections", data={"title": "planted"}, headers=headers).status_code == 403
    assert site.get("/api/collections").json() == before


def test_a_collection_without_a_title_is_refused(site: TestClient) -> None:
    answer = site.post("/collections", data={"title": "  "})
    assert 400 <= answer.status_code < 500
    assert 'role="alert"' in answer.text


def test_the_worklist_holds_the_unreported_in_their_order(site: TestClient) -> None:
    twin = site.get("/api/triage").json()
    page = site.get("/triage").text
    keys = [address.rsplit("/", 1)[1] for address in links(page, "/case/")]
    assert keys == [entry["key"] for entry in twin["entries"]]
    assert len(keys) == 2
    assert site.get("/triage?foo=1").status_code == site.get("/api/triage?foo=1").status_code == 400
    assert 'value="0.3"' in site.get("/triage?prevalence=0.3").text
    assert site.get("/triage?prevalence=2").status_code == site.get("/triage?prevalence=x").status_code == 400
    answer = site.get("/triage?operating_point=nonsense")
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text


def test_a_report_is_checked_against_its_scan(site: TestClient, folder: Path) -> None:
    scan = scan_of(folder / "dataset", CASES[0], "FLAIR")
    answer = upload(site, scan, "/report-check", report="No hydrocephalus. No infarct. No haemorrhage.")
    twin = upload(site, scan, "/api/check-report", report="No hydrocephalus. No infarct. No haemorrhage.").json()
    assert answer.status_code == 200
    text = text_of(answer.text)
    flags = len(twin["statements"]) + len(twin["unmentioned"])
    measured = any(finding["threshold"] is not None for finding in twin["findings"])
    assert (f"{flags} flag" if flags else "nothing to compare" if not measured else "Nothing flagged") in text
    assert "No differences" not in text
    assert all(one["message"] in text for one in (*twin["statements"], *twin["unmentioned"]))


def test_a_report_alone_is_compared_with_itself(site: TestClient) -> None:
    def page(text: str) -> str:
        answer = site.post("/report-check", files={"report": (None, text)})
        assert answer.status_code == 200
        return text_of(answer.text)

    wrong = page("FINDINGS:\nLeft frontal meningioma.\n\nIMPRESSION:\nRight frontal meningioma.")
    assert "1 flag for review" in wrong and "2 sentences compared with each other" in wrong
    assert "The findings say left, the impression says right." in wrong
    assert "No contradiction found" in page("FINDINGS:\nMeningioma.\n\nIMPRESSION:\nMeningioma.")
    for text in ("Unauffälliger Befund.", "MRI lumbar spine\nFindings: Disc herniation.\nImpression: Disc herniation."):
        outside = page(text)
        assert "There was nothing to compare." in outside and "nothing was compared." in outside
        assert "agree" not in outside and "No contradiction" not in outside and "0 flags" not in outside


def test_what_the_check_does_not_flag_is_shown_with_what_it_would_find(site: TestClient, folder: Path) -> None:
    class Between(FixedScores):
        def score_series(self, embeddings, sequences, point=None):
            found = 0.25 if point is not None and point.aim == "specificity" else 0.9
            figures = Measured(found, 0.99, 100, (0.2, 0.3), (0.98, 1.0), "made up, 2026-11-29")
            return tuple(replace(one, measured=figures) for one in super().score_series(embeddings, sequences, point))

    app = site_of(folder / "data", Between(hydrocephalus=0.6, haemorrhage=0.4, infarct=0.4))
    scan = scan_of(folder / "dataset", CASES[0], "FLAIR")
    with TestClient(app, base_url="http://127.0.0.1") as client:
        page = text_of(upload(client, scan, "/report-check", report="No hydrocephalus. No infarct.").text)
    assert "Nothing flagged at the check's thresholds" in page and "Of 2 statements compared, none is flagged." in page
    assert "brought up in 25 % of the examinations" in page and "What is not flagged is not confirmed." in page
    assert "To look at again, not flagged" in page and "screening 0.50, check 0.80" in page
    assert "made up, 2026-11-29" in page and "0.800" in page and "n = 100" in page


def test_suggestions_say_what_their_twin_says(site: TestClient, folder: Path) -> None:
    key = site.get("/api/triage").json()["entries"][0]["key"]
    twin = site.get(f"/api/examinations/{key}/suggestions").json()
    page = text_of(site.get(f"/suggestions/{key}").text)
    assert all(notice in page for notice in twin["notices"]) and twin["notices"]
    scan = scan_of(folder / "dataset", CASES[0], "FLAIR")
    assert "in the uploaded scan" in text_of(upload(site, scan, "/suggestions").text)
    assert site.get("/suggestions/none").status_code == 404


def test_the_picture_is_of_the_asked_sequence_and_else_of_the_telling_one(site: TestClient) -> None:
    def alts(address: str) -> set[str]:
        return set(re.findall(r'alt="Key slice, ([^"]+)"', site.get(address).text))

    assert alts("/search?q=hydrocephalus&k=2") == {"FLAIR"}
    assert alts("/search?q=hydrocephalus&k=2&sequence=T1w") == {"T1w"}
