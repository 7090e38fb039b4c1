"""JSON answers as they go out: made by the answers themselves, strict JSON, described by their dataclass."""

from __future__ import annotations

import json
from typing import Any

from fastapi.responses import Response


class Document(Response):
    """A JSON document; NaN is refused rather than written as something that is no JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(
            "utf-8", "replace"
        )
