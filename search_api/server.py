"""Listening: the application under uvicorn, on this machine only unless one has to sign in.

TLS is uvicorn's where a certificate is given; otherwise it is left to a reverse proxy.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from search_api import logs
from search_api.guards import LONGEST_HEAD
from search_api.http_protocol import BoundedProtocol
from search_api.memory import bound_arenas

DRAIN_SECONDS = 30


class HostRefused(ValueError):
    """An address to listen on that other machines could reach, or that cannot be listened on."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.code = "host_refused"
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Certificate:
    """Files in PEM: the server's certificate with its chain, and its key."""

    chain: Path
    key: Path


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address.

    >>> is_loopback("127.0.0.1"), is_loopback("[::1]"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_host(host: str, *, protected: bool) -> None:
    """Accept this machine's own addresses, and others where one has to sign in.

    Raises
    ------
    HostRefused

    >>> check_host("127.0.0.1", protected=False), check_host("0.0.0.0", protected=True)
    (None, None)
    """
    if not (protected or is_loopback(host)):
        raise HostRefused(
            f"Expected a loopback address for --host, got '{host[:60]}': nobody has to sign in here yet",
            "Make an API key with `neurorecall key add NAME`, or configure a provider (SECURITY.md), then serve again.",
        )


def serve(app: FastAPI, host: str, port: int, certificate: Certificate | None = None) -> None:
    """Serve until interrupted; requests under way are finished. Raises HostRefused."""
    bound_arenas()
    config = uvicorn.Config(
        app,
        host=host.strip("[]"),
        port=port,
        log_config=None,
        access_log=False,  # addresses hold what was asked: observing writes a line without it
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        http=BoundedProtocol,
        ws="none",
        h11_max_incomplete_event_size=LONGEST_HEAD,
        ssl_certfile=certificate.chain if certificate else None,
        ssl_keyfile=certificate.key if certificate else None,
    )
    if _taken(host.strip("[]"), port):
        raise HostRefused(f"Port {port} of {host} is in use already", "Choose another with --port.")
    logs.set_up()
    uvicorn.Server(config).run()


def _taken(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False
