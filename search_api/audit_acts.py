"""Which calls are acts that the audit records, under which names, and what of a request goes into the record.

A new call of the API needs a line in `ACTIONS`, or in `UNRECORDED` with the reason; tests/test_audit_http.py asks for
it. Writing is left to audit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from indexer.acts import Act

if TYPE_CHECKING:
    from starlette.types import Scope

_SERIES = "/api/examinations/{key}/series/{number}"
_COLLECTION = "/api/collections/{name}"
THUMBNAIL, PICTURE, HEAT_MAP = "thumbnail", "picture", "heat-map"
SIGN_IN, SIGN_OUT = "sign-in", "sign-out"
ACTIONS: Mapping[tuple[str, str], str] = {
    ("POST", "/api/session"): SIGN_IN,
    ("POST", "/sign-in"): SIGN_IN,
    ("GET", "/sign-in/callback"): SIGN_IN,
    ("DELETE", "/api/session"): SIGN_OUT,
    ("POST", "/sign-out"): SIGN_OUT,
    ("GET", "/api/search"): "search",
    ("POST", "/api/search/scan"): "search-by-scan",
    ("POST", "/api/score"): "score",
    ("POST", "/api/suggest"): "suggest",
    ("POST", "/api/check-report"): "check-report",
    ("GET", "/api/examinations/{key}"): "open-case",
    ("GET", "/api/examinations/{key}/suggestions"): "suggest",
    ("GET", "/api/triage"): "triage",
    ("GET", f"{_SERIES}/slices/{{plane}}/{{index}}.png"): PICTURE,
    ("GET", f"{_SERIES}/thumbnail.png"): THUMBNAIL,
    ("GET", f"{_SERIES}/volume.nii.gz"): "volume",
    ("GET", f"{_SERIES}/heat/{{plane}}/{{index}}.png"): HEAT_MAP,
    ("GET", f"{_SERIES}/heat.nii.gz"): HEAT_MAP,
    ("GET", "/api/collections"): "list-collections",
    ("POST", "/api/collections"): "make-collection",
    ("GET", _COLLECTION): "open-collection",
    ("PATCH", _COLLECTION): "rename-collection",
    ("DELETE", _COLLECTION): "delete-collection",
    ("POST", f"{_COLLECTION}/examinations"): "add-to-collection",
    ("PUT", f"{_COLLECTION}/examinations"): "order-collection",
    ("DELETE", f"{_COLLECTION}/examinations/{{key}}"): "take-from-collection",
}
UPLOADS = frozenset({"search-by-scan", "score", "suggest", "check-report"})
# Counts and states, no case. A refusal of these is recorded as well.
UNRECORDED = frozenset({"/api/facets", "/api/status", "/api/session"})
# What everybody gets, and tells nothing of a patient: probes and the site's own files.
OPEN = frozenset({"/healthz", "/readyz"})
# Has to be had when the audit cannot be written: what it says then is why.
UNCHECKED = frozenset({"/metrics", "/openapi.json"})
_STATIC = "/static/"
OTHER = "other"  # a page, or an address or method that is not known
TEXT_CHARACTERS, KEY_CHARACTERS = 2_000, 64


def is_open(path: str) -> bool:
    return path in OPEN or path.startswith(_STATIC)


def act_of(scope: Scope) -> Act:
    """The act that a request stands for; routes tell it what is shown."""
    act = scope.get("state", {}).get("act")
    return act if isinstance(act, Act) else Act()


def act_of_page(scope: Scope) -> Act | None:
    """The act of the page that makes this call in process, before the call has one of its own."""
    act = (scope.get("state") or {}).get("act")
    return act if isinstance(act, Act) else None


def who_of(scope: Scope) -> str:
    """Who asks: what authentication found, or "local" where none is configured."""
    return str(getattr(scope.get("state", {}).get("principal"), "name", "local"))


def template_of(scope: Scope) -> str:
    """The address as it was declared, without keys and names."""
    return str(getattr(scope.get("route"), "path", "unmatched"))


def action_of(scope: Scope) -> str | None:
    return ACTIONS.get((scope["method"], template_of(scope)))


def query_of(scope: Scope) -> dict[str, object]:
    """What the address asks: its keys, and the parameters that the call knows. An unknown one may be a secret."""
    dependant = getattr(scope.get("route"), "dependant", None)
    known = {field.alias for field in getattr(dependant, "query_params", ())}
    given = parse_qsl(scope.get("query_string", b"").decode("latin-1"), max_num_fields=None)
    asked: dict[str, object] = {name: text for name, text in given if name in known and text}
    unknown = sum(name not in known for name, _ in given)
    return {**scope.get("path_params", {}), **asked} | ({"unknown_parameters": unknown} if unknown else {})


def cleaned(query: Mapping[str, object]) -> dict[str, object]:
    """A query as JSON that a record can hold: texts cut, names short.

    >>> cleaned({"q": "glioma", "k": 10, "key": "x" * 70})["key"]
    'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx (70 characters)'
    """
    return {
        name[:KEY_CHARACTERS]: _plain(value, KEY_CHARACTERS if name in ("key", "name", "number") else TEXT_CHARACTERS)
        for name, value in query.items()
    }


def keys_of(hits: Iterable[Any]) -> list[str]:
    """Keys of hits or entries."""
    return [str(hit.key) for hit in hits]


def _plain(value: object, most: int) -> object:
    if isinstance(value, str):
        return value if len(value) <= most else f"{value[:most]} ({len(value)} characters)"
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, list | tuple):
        return [_plain(one, KEY_CHARACTERS) for one in value]
    return _plain(str(value), most)
