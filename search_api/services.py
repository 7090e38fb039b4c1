"""What the calls of one application share, and how a call reaches it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from fastapi import Request

from indexer.case_store import CaseStore
from indexer.cases import CaseFilter
from search_api.access import Access
from search_api.audit_acts import act_of
from search_api.audit_chain import AuditTrail
from search_api.engine import SearchEngine
from search_api.engine_holder import EngineHolder
from search_api.errors import Problem
from search_api.metrics import Metrics
from search_api.settings import Settings
from search_api.slices import BoundedCache, Picture
from search_api.uploads import UploadReader

if TYPE_CHECKING:
    from search_api.deface import DefacedVolume
    from search_api.heat import ShownHeat

FILTERS = frozenset({"sequence", "sex", "age", "since", "until", "source", "finding", "reported"})
_TRUE, _FALSE = frozenset({"true", "1", "yes", "on"}), frozenset({"false", "0", "no", "off"})


@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    access: Access
    holder: EngineHolder
    uploads: UploadReader
    pictures: BoundedCache[Picture]
    volumes: BoundedCache[DefacedVolume]
    heats: BoundedCache[ShownHeat]
    metrics: Metrics
    trail: AuditTrail

    @contextmanager
    def writing(self) -> Iterator[CaseStore]:
        """The case store for a change of a collection; the engine's own stays read-only."""
        self.holder.engine()
        with CaseStore.open(self.settings.data) as store:
            yield store


def services_of(request: Request) -> Services:
    return cast(Services, request.app.state.services)


def engine_of(request: Request) -> SearchEngine:
    """Raises Problem (503) where nothing can be served."""
    engine = services_of(request).holder.engine()
    act_of(request.scope).generation = engine.generation
    return engine


def known_only(request: Request) -> None:
    """Refuse parameters that the call does not know, and those given twice: a filter that is not applied misleads."""
    route = request.scope.get("route")
    dependant = getattr(route, "dependant", None)
    known = {field.alias for field in getattr(dependant, "query_params", ())}
    given = Counter(name for name, _ in request.query_params.multi_items())
    if set(given) - known:
        names = ", ".join(sorted(known)) or "none"
        raise Problem(
            400, "unknown_parameter", "The address has a parameter that is not known.", f"Known are: {names}."
        )
    repeated = sorted(name for name, count in given.items() if count > 1)
    if repeated:
        raise Problem(400, "repeated_parameter", f"{repeated[0]} was given more than once.", "Give it once.")


def filters_of(given: Mapping[str, str | None]) -> CaseFilter:
    """Raises FilterError, and Problem for `reported`."""
    return CaseFilter.parse(
        sequence=given.get("sequence"),
        sex=given.get("sex"),
        age=given.get("age"),
        since=given.get("since"),
        until=given.get("until"),
        source=given.get("source"),
        finding=given.get("finding"),
        reported=truth("reported", given.get("reported")),
    )


def truth(name: str, text: str | None) -> bool | None:
    """Yes or no in words; None where not given.

    >>> truth("reported", "no"), truth("reported", "")
    (False, None)
    """
    word = (text or "").strip().lower()
    if not word:
        return None
    if word not in _TRUE | _FALSE:
        raise Problem(400, f"bad_{name}", f"Expected true or false for {name}.", "Write true or false.")
    return word in _TRUE
