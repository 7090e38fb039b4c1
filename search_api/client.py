"""A client for a NeuroRecall server: the same questions and the same answers as the engine, over HTTP.

It uploads files as they are and checks nothing itself; what may be asked is decided by the server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from search_api.answers import Answer, Case
from search_api.scan_answers import ReportCheck, ScoreReport, Suggestions, Worklist

_PATIENCE = httpx.Timeout(120.0, connect=10.0)  # seconds; encoding an upload takes some


class ApiError(ValueError):
    """What the server answered instead of a result; `status` is HTTP's, 0 where the server was not reached."""

    def __init__(self, status: int, code: str, message: str, hint: str = "", request_id: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.hint = hint
        self.request_id = request_id


class Client:
    """Talks to one server; filters are given in the words of the API: `sequence="FLAIR", age="40-60"`."""

    def __init__(self, url: str, api_key: str | None = None, transport: httpx.BaseTransport | None = None) -> None:
        headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {api_key}"} if api_key else {})
        self._http = httpx.Client(base_url=url, headers=headers, timeout=_PATIENCE, transport=transport)

    def search(
        self,
        text: str | None = None,
        *,
        scans: Sequence[Path | str] = (),
        like: str | None = None,
        k: int = 10,
        weight: float = 0.5,
        page: int = 1,
        expand: bool = True,
        insist: bool = False,
        **filters: str | bool | None,
    ) -> Answer:
        """Retrieve cases; scans are files to upload, `insist` where they do not look like a brain. Raises ApiError."""
        asked: dict[str, Any] = {"q": text, "like": like, "k": k, "page": page, "expand": expand, **filters}
        if scans:
            return Answer.from_dict(
                self._upload("/api/search/scan", scans, asked | {"weight": weight, "insist": insist})
            )
        return Answer.from_dict(self._get("/api/search", asked))

    def score(self, scans: Sequence[Path | str], ask: Sequence[str] = ()) -> ScoreReport:
        """Findings of files to upload, and how they score for the sentences `ask`. Raises ApiError."""
        return ScoreReport.from_dict(self._upload("/api/score", scans, {"ask": "\n".join(ask) or None}))

    def check_report(self, scans: Sequence[Path | str], report: str) -> ReportCheck:
        """Compare a report with files to upload, or, without any, with itself. Raises ApiError."""
        if not scans:
            alone = self._http.build_request("POST", "/api/check-report", files={"report": (None, report)})
            return ReportCheck.from_dict(self._answer(alone))
        return ReportCheck.from_dict(self._upload("/api/check-report", scans, {"report": report}))

    def suggest(self, scans: Sequence[Path | str] = (), key: str | None = None) -> Suggestions:
        """Findings to look for in files to upload, or in the stored case `key`. Raises ApiError."""
        if key is not None:
            return Suggestions.from_dict(self._get(f"/api/examinations/{key}/suggestions", {}))
        return Suggestions.from_dict(self._upload("/api/suggest", scans, {}))

    def triage(self, operating_point: str | None = None, prevalence: float | None = None) -> Worklist:
        return Worklist.from_dict(
            self._get("/api/triage", {"operating_point": operating_point, "prevalence": prevalence})
        )

    def examination(self, key: str) -> Case:
        return Case.from_dict(self._get(f"/api/examinations/{key}", {}))

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _get(self, path: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        return self._answer(self._http.build_request("GET", path, params=_given(asked)))

    def _upload(self, path: str, scans: Sequence[Path | str], asked: Mapping[str, Any]) -> dict[str, Any]:
        with ExitStack() as stack:
            files = [("files", (Path(scan).name, stack.enter_context(Path(scan).open("rb")))) for scan in scans]
            return self._answer(self._http.build_request("POST", path, data=_given(asked), files=files))

    def _answer(self, request: httpx.Request) -> dict[str, Any]:
        try:
            response = self._http.send(request)
            document: dict[str, Any] = response.json()
        except httpx.HTTPError as error:
            raise ApiError(0, "unreachable", f"The server did not answer: {error}", "Is it running?") from error
        except ValueError as error:
            raise ApiError(response.status_code, "not_json", "The server's answer is not JSON", "") from error
        if response.is_success:
            return document
        raise ApiError(
            response.status_code,
            str(document.get("code", "error")),
            str(document.get("message", response.reason_phrase)),
            str(document.get("hint", "")),
            str(document.get("request_id", response.headers.get("x-request-id", ""))),
        )


def _given(asked: Mapping[str, Any]) -> dict[str, str]:
    """Parameters as text; those not given are left out."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in asked.items()
        if value is not None
    }
