"""Floor 2: knows questions: search, scoring, triage, report check; HTTP.

Names are imported on first use, so that the client of a distant server loads neither torch nor FAISS.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search_api.answers import Answer, Evidence, Hit
    from search_api.client import ApiError, Client
    from search_api.engine import EncoderMismatch, SearchEngine
    from search_api.query import QueryError
    from search_api.scan_answers import ReportCheck, ScoreReport, Suggestions, Worklist

_HOMES = {
    "answers": ("Answer", "Evidence", "Hit"),
    "client": ("ApiError", "Client"),
    "engine": ("EncoderMismatch", "SearchEngine"),
    "query": ("QueryError",),
    "scan_answers": ("ReportCheck", "ScoreReport", "Suggestions", "Worklist"),
}

__all__ = [
    "Answer",
    "ApiError",
    "Client",
    "EncoderMismatch",
    "Evidence",
    "Hit",
    "QueryError",
    "ReportCheck",
    "ScoreReport",
    "SearchEngine",
    "Suggestions",
    "Worklist",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"search_api.{module}"), name)
    raise AttributeError(f"module 'search_api' has no attribute '{name}'")
