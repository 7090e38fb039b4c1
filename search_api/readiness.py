"""Whether questions can be answered, with every reason why not, and what needs attention though they can.

Looks each time that it is asked, so that what was mended is ready again without a restart.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from search_api.audit import unwritable
from search_api.audit_records import AuditError
from search_api.errors import Problem
from search_api.services import Services
from search_api.settings import MEBIBYTE


@dataclass(frozen=True, slots=True)
class Readiness:
    """`hindering` are why nothing is answered, `noted` what an operator should see to meanwhile."""

    hindering: tuple[Problem, ...]
    noted: tuple[Problem, ...]

    @property
    def ready(self) -> bool:
        return not self.hindering


def readiness(services: Services) -> Readiness:
    """Opens the index where it can be opened."""
    index, audit, door = services.holder.problem(), _audit(services), _door(services)
    space, generation = _space(services), services.holder.skipped()
    return Readiness(
        tuple(problem for problem in (index, audit, door) if problem is not None),
        tuple(problem for problem in (space, generation) if problem is not None),
    )


def free_bytes(services: Services) -> int | None:
    """Free space where the data directory lies; None where there is none yet."""
    try:
        return shutil.disk_usage(services.settings.data).free
    except OSError:
        return None


def _door(services: Services) -> Problem | None:
    try:
        _ = services.access.required
    except Problem as problem:
        return problem
    return None


def _audit(services: Services) -> Problem | None:
    try:
        services.trail.check()
    except AuditError as error:
        return unwritable(error)
    return None


def _space(services: Services) -> Problem | None:
    free, least = free_bytes(services), services.settings.free_bytes
    if free is None or free >= least:
        return None
    return Problem(
        507,
        "disk_nearly_full",
        f"Less than {least // MEBIBYTE} MiB are free where the data directory lies.",
        "Free some space: without any, nothing is answered.",
    )
