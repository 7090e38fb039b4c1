"""API keys: made once, shown once, kept as hashes, with a role and a last day.

A key is `nr_ID_SECRET`; the secret has 256 random bits, so that a plain SHA-256 of it can neither be guessed nor
searched through. The file is replaced as a whole, and a running server notices.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from indexer.durable import replace_file
from search_api.principals import Principal, Role

FOLDER = "access"
FILE = "keys.json"
LONGEST_DAYS = 3650
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@-]{0,59}")
_KEY = re.compile(r"nr_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")
_NO_HASH = hashlib.sha256(b"").hexdigest()


class ApiKeyError(ValueError):
    """A key that cannot be made, found or read."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of a key; moments are ISO 8601 in UTC, `hash` is SHA-256 of its secret."""

    id: str
    name: str
    role: Role
    hash: str
    created: str
    expires: str
    revoked: str | None = None

    @property
    def valid(self) -> bool:
        """Whether it opens anything now."""
        return self.revoked is None and datetime.now(UTC) < datetime.fromisoformat(self.expires)

    @property
    def principal(self) -> Principal:
        return Principal(f"key:{self.name}", self.role)


class ApiKeys:
    """The keys of one data directory. Safe to use from several threads."""

    def __init__(self, data: Path) -> None:
        self._folder = data / FOLDER
        self._path = self._folder / FILE
        self._lock = self._folder / f"{FILE}.lock"  # there since the first key was made
        self._read: tuple[tuple[int, int, int], tuple[ApiKey, ...]] | None = None

    def all(self) -> tuple[ApiKey, ...]:
        """Every key that was ever made, the newest last.

        Raises
        ------
        ApiKeyError
            `keys_broken`, when the file cannot be read, or is gone though keys were made: then nobody is let in
        """
        try:
            state = self._path.stat()
        except FileNotFoundError:
            if self._lock.exists():
                # Without this a file that was lost would open what it kept shut.
                raise ApiKeyError(
                    "keys_broken",
                    "The file of API keys is gone, so nobody is let in.",
                    "Restore it from a backup, or make a key with `neurorecall key add`.",
                ) from None
            return ()
        stamp = (state.st_ino, state.st_size, state.st_mtime_ns)
        kept = self._read
        if kept is None or kept[0] != stamp:
            kept = self._read = (stamp, _parse(self._path.read_bytes()))
        return kept[1]

    def owner(self, key: str) -> ApiKey | None:
        """The valid key that a text is, or None; it takes as long for a wrong one as for a right one."""
        found = _KEY.fullmatch(key)
        identity, secret = found.groups() if found else ("", "")
        known = self.find(identity)
        right = hmac.compare_digest(known.hash if known else _NO_HASH, _hash(secret) if secret else "-")
        return known if known and right and known.valid else None

    def find(self, identity: str) -> ApiKey | None:
        """A key by its id, whether it is valid or not."""
        return next((key for key in self.all() if key.id == identity), None)

    def add(self, name: str, role: Role, days: int) -> tuple[ApiKey, str]:
        """Make a key; what is kept of it, and the key itself, which is never seen again. Raises ApiKeyError."""
        if not _NAME.fullmatch(name):
            raise ApiKeyError(
                "bad_name", "Expected a name of 1 to 60 letters, digits and ._@- for the key", "Choose another."
            )
        if not 1 <= days <= LONGEST_DAYS:
            raise ApiKeyError("bad_days", f"Expected 1 to {LONGEST_DAYS} days, got {days}", "Choose another number.")
        now = datetime.now(UTC).replace(microsecond=0)
        with self._changing() as keys:
            if any(key.name == name and key.valid for key in keys):
                raise ApiKeyError("name_taken", f"There is a valid key named {name}", "Revoke it or choose another.")
            secret = secrets.token_urlsafe(32)
            made = ApiKey(
                id=secrets.token_hex(4),
                name=name,
                role=role,
                hash=_hash(secret),
                created=now.isoformat(),
                expires=(now + timedelta(days=days)).isoformat(),
            )
            self._write((*keys, made))
        return made, f"nr_{made.id}_{secret}"

    def revoke(self, which: str) -> tuple[ApiKey, ...]:
        """End the valid keys of an id or name. Raises ApiKeyError where there is none."""
        now = datetime.now(UTC).replace(microsecond=0)
        with self._changing() as keys:
            ended = {key.id for key in keys if which in (key.id, key.name) and key.valid}
            if not ended:
                raise ApiKeyError(
                    "no_such_key", "There is no valid key of that id or name", "See `neurorecall key list`."
                )
            changed = tuple(replace(key, revoked=now.isoformat()) if key.id in ended else key for key in keys)
            self._write(changed)
        return tuple(key for key in changed if key.id in ended)

    @contextmanager
    def _changing(self) -> Iterator[tuple[ApiKey, ...]]:
        """The keys as they are, while nobody else changes them."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield self.all() if self._path.exists() else ()
        finally:
            os.close(handle)

    def _write(self, keys: tuple[ApiKey, ...]) -> None:
        document = {"format": 1, "keys": [asdict(key) for key in keys]}
        replace_file(self._path, json.dumps(document, indent=1).encode())


def _parse(content: bytes) -> tuple[ApiKey, ...]:
    try:
        document = json.loads(content)
        if document["format"] != 1:
            raise ValueError("another format")
        keys = tuple(ApiKey(**{**entry, "role": Role(entry["role"])}) for entry in document["keys"])
        for key in keys:
            datetime.fromisoformat(key.expires)
    except (ValueError, KeyError, TypeError) as error:
        raise ApiKeyError(
            "keys_broken",
            "The file of API keys cannot be read, so that nobody can sign in.",
            "Restore it from a backup.",
        ) from error
    return keys


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
