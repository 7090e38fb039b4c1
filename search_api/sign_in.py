"""Signing in and out in a browser: with an API key, or through an OpenID Connect provider.

A session is a signed cookie that no script can read; one opened with a key ends with the key. The protocol itself is
authlib's; here stands what is asked of it, and that a token of another issuer, audience or unsigned is worth nothing.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Any, cast

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, ConfigDict, Field

from search_api.access import Access, client_address
from search_api.errors import Problem, described, not_ready
from search_api.principals import principal_in, set_principal, unknown
from search_api.services import known_only, services_of

if TYPE_CHECKING:
    from authlib.integrations.starlette_client import StarletteOAuth2App

    from search_api.access_settings import AccessSettings

_LOG = logging.getLogger(__name__)
PROVIDER_SECONDS = 10.0  # that a provider may take for one answer
# Those of a public key: an unsigned token, or one signed with what the provider publishes, is refused.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")

router = APIRouter(tags=["state"])


class Key(BaseModel):
    model_config = ConfigDict(extra="forbid")

    key: Annotated[str, Field(min_length=1, max_length=200)]


class SessionDocument(BaseModel):
    """Who is signed in, and the ways to do so; `name` and `role` are null where nobody is."""

    name: str | None
    role: str | None
    required: bool
    ways: list[str]


@router.get(
    "/api/session",
    summary="Who is signed in",
    response_model=SessionDocument,
    responses=described(503),
    dependencies=[Depends(known_only)],
)
def session(request: Request) -> Any:
    return session_document(request)


@router.post(
    "/api/session",
    summary="Sign a browser in with an API key",
    response_model=SessionDocument,
    responses=described(400, 401, 403, 429, 503),
)
def open_session(request: Request, asked: Key) -> Any:
    sign_in(request, asked.key)
    return session_document(request)


@router.delete("/api/session", summary="Sign out", status_code=204, responses=described(403, 503))
def close_session(request: Request) -> Response:
    request.session.clear()
    return Response(status_code=204)


def session_document(request: Request) -> dict[str, Any]:
    access, principal = _access(request), principal_in(request.scope)
    ways = ["key", *(["provider"] if access.settings.oidc_issuer else ())]
    return {
        "name": principal.name if principal else None,
        "role": principal.role if principal else None,
        "required": access.required,
        "ways": ways if access.required else [],
    }


def sign_in(request: Request, key: str) -> None:
    """Open a session with an API key. Raises Problem (401, 429)."""
    known = _access(request).owner(key.strip(), request.scope)
    request.session.clear()
    request.session["key"] = known.id
    set_principal(request.scope, known.principal)


@router.get("/sign-in/provider", include_in_schema=False)
async def to_provider(request: Request, after: str = "/") -> Response:
    """Send a person to the provider; `after` is the page that they come back to."""
    import httpx2

    provider = _provider(request)
    request.session.clear()
    request.session["after"] = own_page(after)
    base = _access(request).settings.public_url or str(request.base_url).rstrip("/")
    try:
        return cast(Response, await provider.authorize_redirect(request, f"{base}/sign-in/callback"))
    except (httpx2.HTTPError, RuntimeError, ValueError) as error:
        raise _unreachable(error) from error


@router.get("/sign-in/callback", include_in_schema=False)
async def from_provider(request: Request) -> Response:
    """What the provider sends a person back with: a code, exchanged here for who they are."""
    import httpx2
    from authlib.integrations.base_client import OAuthError
    from joserfc.errors import JoseError

    access, provider = _access(request), _provider(request)
    after = own_page(str(request.session.get("after", "/")))
    options = {
        "iss": {"essential": True, "values": [access.settings.oidc_issuer]},
        "aud": {"essential": True, "values": [access.settings.oidc_client_id]},
        "sub": {"essential": True},
    }
    try:
        await _trust_public_keys_only(provider)
        token = await provider.authorize_access_token(request, claims_options=options)
        claims = token["userinfo"]
    except (OAuthError, JoseError, KeyError, TypeError, AttributeError) as error:
        _LOG.warning("a sign-in failed: %s", type(error).__name__)
        access.limits.count_failure(client_address(request.scope))
        raise unknown("The sign-in was not completed.", "sign_in_failed") from error
    except (httpx2.HTTPError, RuntimeError, ValueError) as error:
        raise _unreachable(error) from error
    request.session.clear()
    principal = access.person(
        "person",
        str(claims.get(access.settings.oidc_name_claim) or claims["sub"]),
        _groups(claims.get(access.settings.groups_claim)),
    )
    request.session.update(name=principal.name, role=str(principal.role))
    set_principal(request.scope, principal)
    return RedirectResponse(after, 303)


def own_page(address: str) -> str:
    """A page of this site, or the first one: nothing leads elsewhere.

    >>> own_page("/case/ab12?q=x"), own_page("//evil.example"), own_page("https://evil.example")
    ('/case/ab12?q=x', '/', '/')
    """
    local = address.startswith("/") and not address.startswith("//") and "\\" not in address
    return address if local and address.isprintable() and len(address) <= 2_000 else "/"


def make_provider(settings: AccessSettings) -> StarletteOAuth2App | None:
    """The provider's client, or None where none is configured; reads the secret's file, asks nobody anything.

    Raises
    ------
    ModuleNotFoundError
        without the extra `auth`
    """
    if not settings.oidc_issuer or settings.oidc_client_secret_file is None:
        return None
    from authlib.integrations.starlette_client import OAuth

    return cast(
        "StarletteOAuth2App",
        OAuth().register(
            name="oidc",
            server_metadata_url=f"{settings.oidc_issuer}/.well-known/openid-configuration",
            client_id=settings.oidc_client_id,
            client_secret=settings.oidc_client_secret_file.read_text("utf-8").strip(),
            client_kwargs={
                "scope": "openid email profile",
                "code_challenge_method": "S256",
                "timeout": PROVIDER_SECONDS,
            },
        ),
    )


async def _trust_public_keys_only(provider: StarletteOAuth2App) -> None:
    metadata = await provider.load_server_metadata()
    offered = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
    metadata["id_token_signing_alg_values_supported"] = [name for name in offered if name in ALGORITHMS]


def _groups(claim: object) -> frozenset[str]:
    if isinstance(claim, str):
        return frozenset(claim.replace(",", " ").split())
    return frozenset(str(one) for one in claim) if isinstance(claim, list | tuple) else frozenset()


def _provider(request: Request) -> StarletteOAuth2App:
    found = request.app.state.provider
    if found is None:
        raise Problem(404, "not_found", "No provider is configured here.", "Sign in with an API key.")
    return cast("StarletteOAuth2App", found)


def _access(request: Request) -> Access:
    return services_of(request).access


def _unreachable(error: Exception) -> Problem:
    _LOG.warning("the sign-in provider did not answer: %s", type(error).__name__)
    return not_ready("The sign-in provider does not answer.", "Try again in a minute.", "provider_unreachable")
