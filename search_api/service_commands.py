"""The commands of whoever runs the service: serve, and the API keys that let people and programs in."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from indexer.acts import act_of_command
from search_api.command_answers import AsJson, Data, data_directory, said

if TYPE_CHECKING:
    from fastapi import FastAPI

    from search_api.api_keys import ApiKey
    from search_api.server import Certificate

_LOG = logging.getLogger(__name__)
PemFile = Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="PEM file, to be reached over TLS.")]


def register(app: typer.Typer, site: Callable[[FastAPI], None] | None = None) -> None:
    """Mount the commands; `site` adds the pages to the API that `serve` serves."""
    keys = typer.Typer(help="API keys: make, list and revoke them.", no_args_is_help=True)
    keys.command("add")(add_key)
    keys.command("list")(list_keys)
    keys.command("revoke")(revoke_key)
    app.add_typer(keys, name="key")

    @app.command()
    def serve(
        data: Data = None,
        host: Annotated[
            str, typer.Option(help="Address to listen on; others than loopback need a sign-in.")
        ] = "127.0.0.1",
        port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
        tls_certificate: PemFile = None,
        tls_key: PemFile = None,
    ) -> None:
        """Serve the API and the pages."""
        from search_api.server import Certificate

        if (tls_certificate is None) != (tls_key is None):
            raise typer.BadParameter("Expected --tls-certificate and --tls-key together")
        certificate = Certificate(tls_certificate, tls_key) if tls_certificate and tls_key else None
        serve_site(data_directory(data), host, port, site, certificate)


def serve_site(
    data: Path,
    host: str,
    port: int,
    site: Callable[[FastAPI], None] | None,
    certificate: Certificate | None = None,
) -> None:
    """Serve the API of a data directory, with the pages where they are given; ends with a status where it cannot."""
    from search_api import logs
    from search_api.access import Access
    from search_api.access_settings import AccessSettings
    from search_api.app import build_app
    from search_api.server import check_host, is_loopback, serve
    from search_api.settings import Settings

    with said(as_json=False):
        access = AccessSettings()
        check_host(host, protected=Access(data, access).required)
        if not is_loopback(host):
            # Also should the last key be deleted while this runs.
            access = access.model_copy(update={"required": True})
        settings = Settings(data=data, access=access)
        app = build_app(settings.model_copy(update={"hosts": (*settings.hosts, host.strip("[]").lower())}))
        if site is not None:
            site(app)
        at = f"{'https' if certificate else 'http'}://{host}:{port}"
        if sys.stderr.isatty():
            typer.echo(f"NeuroRecall at {at}", err=True)
        else:
            logs.set_up()
            _LOG.info("NeuroRecall at %s", at)
        if not (certificate or is_loopback(host)):
            _LOG.warning("keys and reports pass unencrypted unless a proxy before this server ends TLS")
        serve(app, host, port, certificate)


def add_key(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Whose key it is, such as ward-7; the audit names it.")],
    role: Annotated[str, typer.Option(help="reader, curator or admin.")] = "reader",
    days: Annotated[int, typer.Option(help="Days until it expires, 1 to 3650.")] = 365,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key. It is shown once; the server keeps a hash of it."""
    from search_api.api_keys import ApiKeyError, ApiKeys
    from search_api.principals import Role

    with said(as_json):
        if role not in set(Role):
            raise ApiKeyError(
                "bad_role", f"Expected reader, curator or admin, got '{role[:20]}'", "Write --role reader."
            )
        act = act_of_command(context)
        act.asks(name=name, role=role, days=days)
        act.begin()
        made, key = ApiKeys(data_directory(data)).add(name, Role(role), days)
        act.settle()
    if as_json:
        typer.echo(json.dumps({**_described(made), "key": key}))
        return
    typer.echo(
        f"{made.name} ({made.role}), until {made.expires[:10]}. Keep the key; it cannot be shown again:", err=True
    )
    typer.echo(key)


def list_keys(data: Data = None, as_json: AsJson = False) -> None:
    """List the API keys with role, last day and state; never the keys themselves."""
    from search_api.api_keys import ApiKeys

    with said(as_json):
        keys = ApiKeys(data_directory(data)).all()
    if as_json:
        typer.echo(json.dumps({"keys": [_described(key) for key in keys]}))
        return
    for key in keys:
        typer.echo(f"{key.id}  {key.role:<8} until {key.expires[:10]}  {_state(key):<8} {key.name}")
    if not keys:
        typer.echo("There are no API keys; whoever reaches the server on loopback may use it.")


def revoke_key(
    context: typer.Context,
    which: Annotated[str, typer.Argument(metavar="ID_OR_NAME", help="As `key list` shows it.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """End an API key, and the sessions that were opened with it, at once."""
    from search_api.api_keys import ApiKeys

    with said(as_json):
        act = act_of_command(context)
        act.asks(name=which)
        act.begin()
        ended = ApiKeys(data_directory(data)).revoke(which)
        act.settle()
    if as_json:
        typer.echo(json.dumps({"revoked": [_described(key) for key in ended]}))
        return
    for key in ended:
        typer.echo(f"{key.id} {key.name} opens nothing any more.")


def _described(key: ApiKey) -> dict[str, str]:
    return {
        "id": key.id,
        "name": key.name,
        "role": str(key.role),
        "created": key.created,
        "expires": key.expires,
        "state": _state(key),
    }


def _state(key: ApiKey) -> str:
    if key.revoked:
        return "revoked"
    return "valid" if key.valid else "expired"
