"""Floor 3: knows people: pages, templates, viewer. `build_site` puts them onto the API's application."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI


def build_site(app: FastAPI) -> None:
    """Add the pages to the API's application."""
    from web.pages import build_site as build

    build(app)
