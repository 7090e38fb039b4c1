"""An evaluation as one self-contained HTML file, for people who did not run it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}"
    "table{border-collapse:collapse;margin:1rem 0}td,th{border:1px solid #d0d7de;padding:.3rem .6rem;text-align:left}"
    "th{background:#f3f5f7}.note{color:#57606a}"
)
_NOTE = (
    "For research and education. Not a medical device. Not for diagnosis, triage of patients or treatment decisions."
)


def write_html(path: Path, chapters: Sequence[tuple[str, str]]) -> None:
    """Write chapters of (title, Markdown) to a file."""
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    body = "\n".join(f"<h2>{escape(title)}</h2>\n{markdown.render(text)}" for title, text in chapters)
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    path.write_text(
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>NeuroRecall evaluation</title>'
        f"<style>{_STYLE}</style>\n<h1>NeuroRecall evaluation</h1>\n"
        f'<p class="note">{escape(_NOTE)} Made {made}.</p>\n{body}\n</html>\n',
        "utf-8",
    )
