"""Listening: the application under uvicorn, on this machine only.

This release has no authentication, so that it is not offered to a network; a reverse proxy that has one may stand
before it on the same machine.
"""

from __future__ import annotations

import ipaddress
import socket

import uvicorn
from fastapi import FastAPI

from search_api import logs

DRAIN_SECONDS = 30


class HostRefused(ValueError):
    """An address to listen on that other machines could reach, or that cannot be listened on."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.code = "host_refused"
        self.hint = hint


def check_host(host: str) -> None:
    """Accept this machine's own addresses only.

    Raises
    ------
    HostRefused

    >>> check_host("127.0.0.1"), check_host("::1"), check_host("localhost")
    (None, None, None)
    """
    if host.lower() == "localhost":
        return
    try:
        loopback = ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise HostRefused(
            f"Expected a loopback address for --host, got '{host[:60]}': this release has no authentication",
            "Use --host 127.0.0.1, and a reverse proxy with authentication for other machines.",
        )


def serve(app: FastAPI, host: str, port: int) -> None:
    """Serve until interrupted; requests under way are finished. Raises HostRefused."""
    check_host(host)
    config = uvicorn.Config(
        app,
        host=host.strip("[]"),
        port=port,
        log_config=None,
        access_log=False,  # addresses hold what was asked: observing writes a line without it
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        h11_max_incomplete_event_size=64 * 1024,
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
