"""An evaluation as one self-contained HTML file, for people who did not run it."""

from __future__ import annotations

import base64
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from training.evaluation_pictures import Picture

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}"
    "table{border-collapse:collapse;margin:1rem 0}td,th{border:1px solid #d0d7de;padding:.3rem .6rem;text-align:left}"
    "th{background:#f3f5f7}.note,figcaption{color:#57606a}.wide{overflow-x:auto}img{max-width:100%}"
    "nav a{margin-right:1rem}figure{margin:1rem 0}"
)
_NOTE = (
    "For research and education. Not a medical device. Not for diagnosis, triage of patients or treatment decisions."
)


@dataclass(frozen=True, slots=True)
class Chapter:
    """One part of an evaluation: a title, its table as Markdown, the figures behind it, and pictures."""

    title: str
    table: str
    figures: Any
    pictures: tuple[Picture, ...] = ()


def write_html(path: Path, chapters: Sequence[Chapter], about: Mapping[str, str], limits: str = "") -> None:
    """Write chapters to a file.

    Parameters
    ----------
    about : what was measured and with what, such as the bundle's id and hashes; the machine is added
    limits : Markdown, said at the end
    """
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    parts = []
    for number, chapter in enumerate(chapters):
        table = f'<div class="wide">{markdown.render(chapter.table)}</div>'
        pictures = "".join(_figure(picture) for picture in chapter.pictures)
        parts.append(f'<h2 id="c{number}">{escape(chapter.title)}</h2>\n{table}\n{pictures}')
    if limits:
        parts.append(f'<h2 id="limits">Limits</h2>\n{markdown.render(limits)}')
    names = [(f"c{number}", chapter.title) for number, chapter in enumerate(chapters)]
    names += [("limits", "Limits")] if limits else []
    links = "".join(f'<a href="#{place}">{escape(title)}</a>' for place, title in names)
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in _about(about).items())
    body = "\n".join(parts)
    path.write_text(
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>NeuroRecall evaluation</title>'
        f"<style>{_STYLE}</style>\n<h1>NeuroRecall evaluation</h1>\n"
        f'<p class="note">{escape(_NOTE)}</p>\n<table>{rows}</table>\n<nav>{links}</nav>\n{body}\n</html>\n',
        "utf-8",
    )


def limits_of(card: Path) -> str:
    """The section "Limits" of a bundle's model card; nothing where there is none."""
    try:
        text = card.read_text("utf-8")
    except OSError:
        return ""
    _, found, after = text.partition("\n## Limits\n")
    return after.partition("\n## ")[0].strip() if found else ""


def _about(about: Mapping[str, str]) -> dict[str, str]:
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return {**about, "made": made, "machine": f"{platform.processor() or platform.machine()}, {platform.system()}"}


def _figure(picture: Picture) -> str:
    data = base64.b64encode(picture.draw()).decode()
    caption = escape(picture.caption)
    return (
        f'<figure><img alt="{caption}" src="data:image/png;base64,{data}"><figcaption>{caption}</figcaption></figure>\n'
    )
