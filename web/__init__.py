"""Floor 3: knows people: pages, templates, viewer. `build_site` puts them onto the API's application."""

from web.pages import build_site

__all__ = ["build_site"]
