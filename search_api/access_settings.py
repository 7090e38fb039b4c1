"""Who may come in, as the operator sets it: read from the environment (`NEURORECALL_*`).

Keys are made by `neurorecall key`. As soon as there is one, or a provider or a proxy is named here, nobody gets in
without.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Groups = tuple[str, ...]


class AccessSettings(BaseSettings):
    """Sign-in through an OpenID Connect provider or a proxy, roles by group, and how much one principal may ask."""

    model_config = SettingsConfigDict(env_prefix="NEURORECALL_", frozen=True, extra="ignore")

    required: bool = Field(default=False, description="Nobody gets in unknown, whatever else is configured.")
    public_url: str = Field(default="", description="Address that people reach the site under, behind a proxy.")
    session_hours: float = Field(default=8.0, gt=0.0, le=168.0)

    oidc_issuer: str = Field(default="", description="https address of the provider.")
    oidc_client_id: str = ""
    oidc_client_secret_file: Path | None = None
    oidc_name_claim: str = Field(default="email", description="Claim that names the person in the audit.")
    groups_claim: str = Field(default="groups", description="Claim that lists a person's groups.")

    proxy_addresses: tuple[str, ...] = Field(default=(), description="Where a proxy that signs people in stands.")
    proxy_user_header: str = "X-Remote-User"
    proxy_groups_header: str = "X-Remote-Groups"

    # Whoever is in none of these groups is not let in.
    reader_groups: Groups = ("neurorecall-readers",)
    curator_groups: Groups = ("neurorecall-curators",)
    admin_groups: Groups = ("neurorecall-admins",)

    questions_per_minute: int = Field(default=600, ge=1)
    uploads_per_minute: int = Field(default=60, ge=1)
    pictures_per_minute: int = Field(default=12_000, ge=1)
    failed_sign_ins_per_minute: int = Field(default=10, ge=1)

    @field_validator("proxy_addresses")
    @classmethod
    def _are_addresses(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(ipaddress.ip_address(address)) for address in addresses)

    @field_validator("public_url", "oidc_issuer")
    @classmethod
    def _is_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if url and (parts.scheme not in ("https", "http") or not parts.hostname or parts.query or parts.fragment):
            raise ValueError("expected an address such as https://neurorecall.example.org")
        if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
            raise ValueError("expected https, since keys and sessions pass over it")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.oidc_issuer and not (self.oidc_client_id and self.oidc_client_secret_file):
            raise ValueError("oidc_issuer needs oidc_client_id and oidc_client_secret_file")
        return self

    @property
    def configured(self) -> bool:
        """Whether people can sign in without an API key."""
        return bool(self.oidc_issuer or self.proxy_addresses)

    @property
    def public_host(self) -> str:
        return urlsplit(self.public_url).hostname or ""

    @property
    def secure(self) -> bool:
        """Whether browsers reach the site over TLS, so that cookies are sent over nothing else."""
        return self.public_url.startswith("https://")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
