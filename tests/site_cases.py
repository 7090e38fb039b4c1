"""The site over the small archive of `search_cases`, with one examination more whose every text is hostile.

Also what the tests of the pages share: reading links and text out of a page, and sending a scan.
"""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient
from search_cases import build_archive, write_volume
from toy_encoder import ToyEncoder

from encoders.bundle import Encoder
from encoders.sequences import MRSequence
from indexer.case_store import CaseStore
from indexer.cases import Draft, Section
from indexer.rebuild import rebuild
from indexer.report_text import make_report
from indexer.series_files import inspect
from search_api.app import build_app
from search_api.settings import Settings
from web import build_site

# Each would run or break out somewhere: in text, in an attribute, in a script, in a template.
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)></bdi>{{7*7}}&lt;"
HOSTILE_PARTS = ("<script>alert(1)", "<img src=x", "</bdi>{{7*7}}", "{{7*7}}&lt;", "\"'>")


def hostile_draft(scan: Path, text: str, seed: int) -> Draft:
    """An examination with a text in its report, diagnosis, participant, session, source, series name and notes."""
    write_volume(scan, seed)
    return Draft(
        participant=f"sub-{text}",
        session=f"ses-{text}",
        source=f"source {text}",
        series=(inspect(scan, f"series {text}", MRSequence.T2W),),
        report=make_report({Section.FINDINGS: f"Craniopharyngioma {text}."}, provenance=f"provenance {text}"),
        age=44,
        sex="F",
        diagnosis=f"craniopharyngioma {text}",
        notes=(f"note {text}",),
    )


def add_hostile_case(folder: Path, data: Path) -> str:
    """An examination with markup in every text; its key."""
    draft = hostile_draft(folder / "hostile_T2w.nii.gz", HOSTILE, 977)
    with CaseStore.open(data) as store:
        store.put(draft)
    return draft.key


def build_data(folder: Path) -> tuple[Path, str]:
    """The data directory, and the key of the hostile case."""
    data = build_archive(folder)
    key = add_hostile_case(folder, data)
    rebuild(data, ToyEncoder())
    return data, key


def site_of(data: Path, encoder: Encoder | None = None) -> FastAPI:
    app = build_app(Settings(data=data), encoder=encoder or ToyEncoder())
    build_site(app)
    return app


def links(page: str, start: str = "") -> list[str]:
    return [address for address in map(unescape, re.findall(r'href="([^"]+)"', page)) if address.startswith(start)]


def case_links(page: str) -> list[str]:
    return [unescape(address) for address in re.findall(r'class="card-link" href="([^"]+)"', page)]


def text_of(page: str) -> str:
    """What stands on a page, without markup, white space made single."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def upload(client: TestClient, path: Path, address: str = "/search/scan", **fields: str) -> Any:
    return client.post(address, files=[("files", (path.name, path.read_bytes()))], data=fields)


class _Tags(HTMLParser):
    """Every tag of a page with its attributes, read as a browser reads them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))


def assert_sealed(page: str, policy: str) -> None:
    """No inline script or style, no handler and no address outside the server, in the page and in its policy."""
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    for tag, attributes in _Tags(page).found:
        assert tag not in {"style", "iframe", "object", "embed", "base"}
        assert tag != "script" or attributes["src"].startswith("/static/")
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in {"src", "href", "action", "formaction", "srcset"} & set(attributes):
            assert re.match(r"/(?!/)|#", attributes[name]), attributes[name]
