"""Settings of the server: read from the environment (`NEURORECALL_*`) or given by the command line.

How the encoder preprocesses and what it was calibrated for travels with the encoder, not here.
"""

from __future__ import annotations

from pathlib import Path

from platformdirs import user_data_path
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from indexer.report_text import LONGEST_REPORT
from search_api.access_settings import AccessSettings

MEBIBYTE = 1024**2


def _default_data() -> Path:
    return user_data_path("neurorecall")


class Settings(BaseSettings):
    """Where the data is and how much one request may take; bytes, seconds and counts."""

    model_config = SettingsConfigDict(env_prefix="NEURORECALL_", frozen=True, extra="ignore")

    data: Path = Field(default_factory=_default_data)
    # Names under which a browser may reach this server, besides that of the public address.
    hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "::1")
    access: AccessSettings = Field(default_factory=AccessSettings)

    body_bytes: int = Field(default=300 * MEBIBYTE, ge=1024, description="Of an upload.")
    text_body_bytes: int = Field(default=MEBIBYTE, ge=1024, description="Of any other body: it is held in memory.")
    files: int = Field(default=16, ge=1, le=64)
    text_characters: int = Field(default=2_000, ge=1)
    report_characters: int = Field(default=LONGEST_REPORT, ge=1, le=LONGEST_REPORT)

    uploads: int = Field(default=2, ge=1, description="Uploads that are read and encoded at the same time.")
    uploads_waiting: int = Field(default=16, ge=0, description="Uploads that may be received or wait beside them.")
    upload_wait_seconds: float = Field(default=10.0, ge=0.0)
    requests: int = Field(default=512, ge=1, description="Requests that are answered at the same time.")
    body_idle_seconds: float = Field(default=20.0, gt=0.0, description="Longest pause of a body that is being sent.")
    body_seconds: float = Field(default=600.0, gt=0.0)
    parse_seconds: float = Field(default=60.0, gt=0.0)
    inflated_bytes: int = Field(default=1024 * MEBIBYTE, ge=4096)
    parse_memory_bytes: int = Field(default=4 * 1024 * MEBIBYTE, ge=256 * MEBIBYTE)
    voxels: int = Field(default=512**3, ge=4096, description="Voxels of all files of one upload together.")

    free_bytes: int = Field(
        default=512 * MEBIBYTE, ge=0, description="Free space of the data directory below which readiness says so."
    )

    picture_cache_bytes: int = Field(default=512 * MEBIBYTE, ge=0)
    viewer_cache_bytes: int = Field(default=256 * MEBIBYTE, ge=0)
    reload_seconds: float = Field(default=1.0, ge=0.0)
