"""Who asks, and what they may do: three roles, each with all that the one before may.

How somebody proves who they are is left to access, keys to api_keys, people to sign_in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from fastapi import Request
from starlette.types import Scope

from search_api.errors import Problem


class Role(StrEnum):
    """A reader searches, opens cases and uploads scans; a curator also changes collections; an admin may all."""

    READER = "reader"
    CURATOR = "curator"
    ADMIN = "admin"

    def may(self, needed: Role) -> bool:
        """Whether this role has what another has.

        >>> Role.CURATOR.may(Role.READER), Role.READER.may(Role.CURATOR)
        (True, False)
        """
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(needed)


@dataclass(frozen=True, slots=True)
class Principal:
    """A person or a program; `name` begins with what vouches for it: `key:`, `person:` or `proxy:`."""

    name: str
    role: Role


LOCAL = Principal("local", Role.ADMIN)  # whoever reaches a server on loopback that no sign-in was configured for


def set_principal(scope: Scope, principal: Principal) -> None:
    scope.setdefault("state", {})["principal"] = principal


def principal_in(scope: Scope) -> Principal | None:
    """Who asks, once that is known. Nothing that a client sends ends up there."""
    found = scope.get("state", {}).get("principal")
    return found if isinstance(found, Principal) else None


def principal_of(request: Request) -> Principal:
    """Raises Problem (401) where nobody is known, so that a call that was mounted past the guards answers nothing."""
    principal = principal_in(request.scope)
    if principal is None:
        raise unknown()
    return principal


def needs(role: Role) -> Callable[[Request], None]:
    """A dependency of the calls that not everybody may make."""

    def check(request: Request) -> None:
        if not principal_of(request).role.may(role):
            raise Problem(
                403, "not_allowed", f"This needs the role {role}.", "Ask whoever runs this server for that role."
            )

    return check


def unknown(message: str = "Sign in first.", code: str = "not_signed_in") -> Problem:
    """401, with what a program sends instead of signing in."""
    return Problem(
        401,
        code,
        message,
        "Send a valid API key as `Authorization: Bearer KEY`, or sign in at /sign-in.",
        {"WWW-Authenticate": 'Bearer realm="NeuroRecall"'},
    )
