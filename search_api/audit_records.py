"""One record of the audit: its fields, its one spelling, its seal, and its place in the chain.

Pure functions over bytes; where the lines lie and how they get there is left to audit_chain.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

MENDED, PRUNED = "audit-mended", "audit-pruned"  # actions of the audit's own
NO_HASH = "0" * 64  # what comes before the first record
FIELDS = ("sequence", "utc", "who", "action", "query", "cases", "generation", "outcome", "request_id", "previous")
HASH = re.compile(r"[0-9a-f]{64}")


class AuditError(ValueError):
    """A record that cannot be written, or an audit that cannot be read."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be recorded; `cases` are keys, `query` is JSON."""

    who: str
    action: str
    query: Mapping[str, object]
    cases: tuple[str, ...]
    generation: str
    outcome: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Head:
    """The last record: enough to tell later whether the audit was cut or changed."""

    sequence: int
    hash: str


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seal(record: Mapping[str, Any], key: bytes) -> str:
    """HMAC-SHA-256 of a record without its hash, as canonical JSON (RFC 2104)."""
    return hmac.new(key, canonical({name: record[name] for name in FIELDS}), hashlib.sha256).hexdigest()


def canonical(record: Mapping[str, Any]) -> bytes:
    """One spelling for one record: sorted names, no spaces, ASCII."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def parse(line: bytes) -> dict[str, Any] | None:
    """The record of a line; None where it is not one as this module writes it, to the byte."""
    try:
        record = json.loads(line)
        whole = set(record) == {*FIELDS, "hash"} and canonical(record) == line
        return dict(record) if whole and type(record["sequence"]) is int and HASH.fullmatch(record["hash"]) else None
    except (ValueError, TypeError, RecursionError):
        return None


def torn_digest(torn: bytes) -> str:
    """What a mending record says of torn bytes; the line's end that sets them aside does not count."""
    return hashlib.sha256(torn.rstrip(b"\n")).hexdigest()


def sealed(entry: Entry, before: Head, key: bytes) -> tuple[bytes, Head]:
    """The line of the record that follows `before`, and its head."""
    record: dict[str, Any] = {name: getattr(entry, name) for name in FIELDS if hasattr(entry, name)}
    record |= {"sequence": before.sequence + 1, "utc": now(), "previous": before.hash}
    record["hash"] = seal(record, key)
    return canonical(record) + b"\n", Head(record["sequence"], record["hash"])


def mending(torn: bytes, lost_through: int) -> Entry:
    """The record of what was found at the chain's end: a line cut by a crash, or that written records are gone."""
    query: dict[str, object] = {}
    if torn:
        query |= {"torn_bytes": len(torn.rstrip(b"\n")), "torn_sha256": torn_digest(torn)}
    if lost_through:
        query["lost_through"] = lost_through
    return Entry("audit", MENDED, query, (), "", "records lost" if lost_through else "torn line set aside", "")
