"""The site in Debian's Chromium, with its scripts: the flows of a reader, by mouse and by keyboard.

Every request of every page is recorded and must go to the server itself; nothing may be said on the console.
Screenshots are left in `artefacts/` for people to look at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import chromium, on_loopback
from playwright.sync_api import Browser, Page, expect
from search_cases import CASES, scan_of
from site_cases import build_data, site_of

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with on_loopback(site_of(build_data(folder)[0])) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A page whose every request and console line is looked at in the end."""
    context = browser.new_context(base_url=address, viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    yield page
    context.close()
    assert asked
    assert [url for url in asked if not url.startswith((f"{address}/", "data:"))] == []
    assert said == []


def search(page: Page, words: str) -> None:
    page.goto("/")
    page.get_by_role("searchbox").fill(words)
    page.keyboard.press("Enter")
    expect(page.locator(".card").first).to_be_visible()


def shown_slice(page: Page, plane: str) -> int:
    return int(page.locator(f".plane.is-{plane} output").inner_text())


def test_from_words_to_a_case_through_its_slices_and_back(page: Page, artefacts: Path) -> None:
    page.goto("/")
    page.screenshot(path=artefacts / "start.png")
    search(page, "marked hydrocephalus")
    assert re.search(r"/search\?q=marked\+hydrocephalus$", page.url)
    page.screenshot(path=artefacts / "gallery.png")
    page.locator(".card-link").first.click()
    expect(page.locator("mark.is-present").first).to_contain_text("Marked hydrocephalus.")
    page.screenshot(path=artefacts / "case.png")
    before, picture = shown_slice(page, "axial"), page.locator(".plane.is-axial img").get_attribute("src")
    page.locator(".plane.is-axial").hover()
    page.mouse.wheel(0, -60)
    expect(page.locator(".plane.is-axial output")).not_to_have_text(str(before))
    expect(page.locator(".plane.is-axial img")).not_to_have_attribute("src", str(picture))
    after = shown_slice(page, "axial")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".plane.is-axial output")).to_have_text(str(after - 1))
    page.wait_for_url(re.compile(rf"axial={after - 2}\b"))
    assert page.locator(".plane.is-axial img").evaluate("image => image.complete && image.naturalWidth > 0")
    page.reload()
    assert shown_slice(page, "axial") == after - 1
    page.keyboard.press("]")
    expect(page.locator(".walk-rank")).to_have_text("hit 2")
    page.keyboard.press("u")
    expect(page).to_have_url(re.compile(r"/search\?q=marked\+hydrocephalus#hit-2$"))


def test_a_slider_moves_its_plane_alone(page: Page) -> None:
    search(page, "glioma")
    page.locator(".card-link").first.click()
    axial, coronal = shown_slice(page, "axial"), shown_slice(page, "coronal")
    slider = page.get_by_role("slider", name=re.compile("Coronal"))
    slider.focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("PageUp")
    expect(page.locator(".plane.is-coronal output")).to_have_text(str(coronal + 6))
    assert shown_slice(page, "axial") == axial


def test_a_window_keeps_the_slices(page: Page) -> None:
    search(page, "glioma")
    page.locator(".card-link").first.click()
    page.locator(".plane.is-axial").hover()
    page.keyboard.press("PageUp")
    shown = shown_slice(page, "axial")
    page.wait_for_url(re.compile("axial="))
    page.keyboard.press("w")
    page.wait_for_url(re.compile("window=narrow"))
    assert shown_slice(page, "axial") == shown
    assert "window=narrow" in str(page.locator(".plane.is-axial img").get_attribute("src"))


def test_an_uploaded_scan_finds_itself_first(page: Page, folder: Path, artefacts: Path) -> None:
    made = CASES[4]
    page.goto("/")
    page.get_by_label("Search with a scan").set_input_files(
        [scan_of(folder / "dataset", made, "FLAIR"), scan_of(folder / "dataset", made, "T1w")]
    )
    expect(page.locator("#chosen li").first).to_contain_text(f"sub-{made.participant}_ses-{made.session}_FLAIR.nii.gz")
    page.screenshot(path=artefacts / "upload.png")
    page.get_by_role("button", name="Find similar cases").click()
    expect(page.locator("#hit-1")).to_contain_text(f"sub-{made.participant}")
    assert float(page.locator("#hit-1 .is-total dd").first.inner_text()) >= 0.999
    page.screenshot(path=artefacts / "upload-answer.png", full_page=True)
    page.locator(".card-link").first.click()
    expect(page.locator(".walk-rank")).to_have_text("hit 1")
    page.wait_for_load_state("load")
    page.keyboard.press("]")
    expect(page.locator(".walk-rank")).to_have_text("hit 2")


def test_scans_can_be_dropped(page: Page) -> None:
    page.goto("/")
    dropped = page.evaluate_handle(
        "() => { const all = new DataTransfer(); all.items.add(new File(['x'], 'brain_T2w.nii.gz')); return all; }"
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": dropped})
    expect(page.locator("#chosen")).to_contain_text("brain_T2w.nii.gz")


def test_the_gallery_is_walked_by_keyboard_and_focus_is_seen(page: Page, artefacts: Path) -> None:
    search(page, "multiple sclerosis")
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator("#hit-2 .card-link")).to_be_focused()
    assert page.locator("#hit-2").evaluate("card => getComputedStyle(card).outlineStyle") == "solid"
    page.screenshot(path=artefacts / "gallery-focus.png")
    page.keyboard.press("k")
    expect(page.locator("#hit-1 .card-link")).to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("j")
    expect(page.get_by_role("searchbox")).to_have_value("j")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("#viewer")).to_be_visible()


def test_tab_reaches_everything_and_the_first_stop_skips_the_head(page: Page) -> None:
    page.goto("/about")
    page.keyboard.press("Tab")
    expect(page.get_by_text("To the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_a_case_is_put_into_a_collection_and_taken_out(page: Page, artefacts: Path) -> None:
    search(page, "meningioma")
    page.locator(".card-link").first.click()
    page.get_by_text("Add to a collection").click()
    page.get_by_label(re.compile("new one|New collection")).fill("Extra-axial")
    page.get_by_label("Note").fill("Look for the dural tail")
    page.get_by_role("button", name="Add this case").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Extra-axial")
    expect(page.locator(".note")).to_have_text("Look for the dural tail")
    page.screenshot(path=artefacts / "collection.png")
    page.get_by_text("Change").click()
    page.get_by_role("button", name="Take out of this collection").click()
    expect(page.get_by_text("This collection is empty.")).to_be_visible()


def test_suggestions_are_a_click_from_the_worklist(page: Page, artefacts: Path) -> None:
    page.goto("/triage")
    page.locator("tbody").get_by_role("link", name="suggestions").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Suggested findings")
    expect(page.get_by_text(re.compile("flagged for review in"))).to_be_visible()
    sentences = page.locator(".draft")
    if sentences.count():
        expect(sentences.first).to_contain_text("; for review.")
        expect(page.get_by_label("All sentences, to copy")).to_have_value(re.compile("for review"))
    else:
        expect(page.locator(".notice").first).to_be_visible()
    page.screenshot(path=artefacts / "suggestions.png", full_page=True)


def test_a_report_without_a_scan_is_compared_with_itself(page: Page, artefacts: Path) -> None:
    page.goto("/report-check")
    text = "FINDINGS:\nMass in the left temporal lobe.\n\nIMPRESSION:\nGlioma of the right temporal lobe."
    page.get_by_label("Report", exact=True).fill(text)
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_text("Two sentences of the report do not agree")).to_be_visible()
    page.screenshot(path=artefacts / "report-alone.png")


@pytest.mark.parametrize("width", [1440, 1024, 640])
def test_no_page_is_wider_than_its_window(browser: Browser, address: str, width: int, artefacts: Path) -> None:
    """640 px is a window of 1280 px at 200 % zoom."""
    context = browser.new_context(base_url=address, viewport={"width": width, "height": 800})
    page = context.new_page()
    page.set_default_timeout(60_000)
    search(page, "hydrocephalus")
    case = str(page.locator(".card-link").first.get_attribute("href"))
    where = ("/", "/search?q=hydrocephalus", case, "/triage", "/suggestions", "/report-check", "/about")
    where += ("/collections", "/status")
    for number, one in enumerate(where):
        page.goto(one)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), one
        page.screenshot(path=artefacts / f"page-{number}-{width}.png", full_page=True)
    context.close()


def test_search_and_case_need_no_script(browser: Browser, address: str, artefacts: Path) -> None:
    context = browser.new_context(base_url=address, java_script_enabled=False, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    search(page, "glioma")
    page.get_by_label("Sex").select_option("M")
    page.get_by_role("button", name="Apply").click()
    expect(page).to_have_url(re.compile(r"/search\?q=glioma&sex=M$"))
    page.locator(".card-link").first.click()
    before = shown_slice(page, "axial")
    page.get_by_role("link", name="Axial: one on").click()
    assert shown_slice(page, "axial") == before + 1
    page.screenshot(path=artefacts / "case-without-script.png")
    page.get_by_role("link", name="Gallery").click()
    expect(page).to_have_url(re.compile(r"/search\?q=glioma&sex=M#hit-1$"))
    context.close()


def test_colours_can_be_told_from_their_ground(page: Page) -> None:
    """WCAG AA: 4.5 to 1 for the text of every element that has some, 3 to 1 where it is large."""
    search(page, "hydrocephalus")
    case = str(page.locator(".card-link").first.get_attribute("href"))
    for where in ("/", "/search?q=hydrocephalus", case, "/triage", "/status", "/about"):
        page.goto(where)
        assert page.evaluate(CONTRAST) == [], where


CONTRAST = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const [r, g, b, a = 1] = parse(getComputedStyle(one).backgroundColor);
      if (a > 0.5) return [r, g, b];
    }
    return [0, 0, 0];
  };
  const bad = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest("[aria-hidden=true], .slice, dialog")) continue;
    const style = getComputedStyle(element);
    const [light, dark] = [luminance(parse(style.color)), luminance(ground(element))].sort((a, b) => b - a);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    const ratio = (light + 0.05) / (dark + 0.05);
    const words = element.textContent.trim().slice(0, 30);
    if (ratio < (large ? 3 : 4.5)) bad.push(`${element.tagName} "${words}" ${ratio.toFixed(2)}`);
  }
  return bad;
}"""
