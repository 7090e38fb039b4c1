"""Pseudonyms for sources whose ids may be names or hospital numbers: keyed hashes that only this store can repeat.

The key lies in the data directory, readable by its owner alone. Without it nobody can tell which id became which
pseudonym; with another key the same person becomes another participant, so the file belongs to the backup.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from pathlib import Path

FILE = "pseudonym.key"
KEY_BYTES = 32
LENGTH = 10  # characters of base32, 50 bits


class Pseudonyms:
    """Names people, visits and files of one data directory."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def open(cls, data: Path) -> Pseudonyms:
        """The directory's key, which is made where there is none."""
        path = data / FILE
        try:
            return cls(bytes.fromhex(path.read_text("ascii")))
        except FileNotFoundError:
            key = secrets.token_bytes(KEY_BYTES)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(key.hex())
                file.flush()
                os.fsync(file.fileno())
            return cls(key)

    @classmethod
    def unkept(cls) -> Pseudonyms:
        """With a key that is not kept, for a dry run where there is none yet."""
        return cls(secrets.token_bytes(KEY_BYTES))

    def name(self, prefix: str, *identity: str) -> str:
        """The pseudonym of an id: always the same for the same words.

        >>> Pseudonyms(b"key").name("p", "cohort", "Smith") == Pseudonyms(b"key").name("p", "cohort", "Smith")
        True
        """
        words = "\x1f".join(identity).encode("utf-8", "replace")
        digest = hmac.new(self._key, words, hashlib.sha256).digest()
        return prefix + base64.b32encode(digest).decode()[:LENGTH].lower()
