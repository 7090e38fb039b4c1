"""Pseudonyms for sources whose ids may be names or hospital numbers: keyed hashes that only this store can repeat.

The key lies in the data directory, readable by its owner alone. Without it nobody can tell which id became which
pseudonym; with another key the same person becomes another participant, so the file belongs to the backup.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from pathlib import Path

from indexer.durable import replace_file

FILE = "pseudonym.key"
KEY_BYTES = 32
CHECK = 16  # hexadecimal digits of the key's hash, which follow it in the file
LENGTH = 10  # characters of base32, 50 bits


class PseudonymError(ValueError):
    """A key that is not as it was written: pseudonyms made of it would make other people of those who are known."""

    def __init__(self, found: str) -> None:
        super().__init__(f"Expected {2 * KEY_BYTES} hexadecimal digits and their check in {FILE}, found {found}.")
        self.code = "damaged_key"
        self.hint = f"Bring {FILE} back from a backup."


class Pseudonyms:
    """Names people, visits and files of one data directory."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def open(cls, data: Path) -> Pseudonyms:
        """The directory's key, which is made where there is none, under the writer's lock. Raises PseudonymError."""
        path = data / FILE
        try:
            return cls(_read(path))
        except FileNotFoundError:
            key = secrets.token_bytes(KEY_BYTES)
            replace_file(path, f"{key.hex()} {_check(key)}\n".encode("ascii"))
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


def check_key(data: Path) -> None:
    """Raises PseudonymError for a key that is not as it was written, FileNotFoundError where there is none."""
    _read(data / FILE)


def _read(path: Path) -> bytes:
    content = path.read_bytes()
    try:
        words = content.decode("ascii").split()
        key = bytes.fromhex(words[0])
    except (ValueError, IndexError) as error:
        raise PseudonymError(f"{len(content)} bytes of another kind") from error
    # Keys of earlier releases carry no check.
    if len(key) != KEY_BYTES or words[1:] not in ([], [_check(key)]) or len(content) not in (64, 65 + CHECK + 1):
        raise PseudonymError("others")
    return key


def _check(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()[:CHECK]
