"""Seals: the size and hash of a file, kept beside it, for telling whether a bit of it has changed.

SQLite keeps no checksums of its pages. Between checkpoints it changes only its log, so the database stays as it was
sealed after the last one. A seal is taken away before its file changes and written after it, so a crash in between
leaves none, never a wrong one. A seal checks itself: where its own bits have changed, it is put anew.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from indexer.durable import remove_file, replace_file

SUFFIX = ".seal"


def seal_of(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)


def put_seal(path: Path) -> None:
    """Seal a file as it is; nobody may change it meanwhile."""
    replace_file(seal_of(path), _seal(path))


def break_seal(path: Path) -> None:
    """Take the seal away, before the file changes."""
    remove_file(seal_of(path))


def is_sealed(path: Path) -> bool:
    """Whether there is a seal that is itself as it was written."""
    return _is_whole(_read(seal_of(path)))


def broken_seals(folder: Path) -> tuple[str, ...]:
    """What is wrong with the sealed files of a folder; empty where all are as they were sealed."""
    sealed = sorted(path.with_name(path.name.removesuffix(SUFFIX)) for path in folder.glob(f"*{SUFFIX}"))
    return tuple(filter(None, map(_broken, sealed)))


def _broken(path: Path) -> str:
    before = _read(seal_of(path))
    if before is None:
        return ""
    if not _is_whole(before):
        return f"Expected the seal of {path.name} as it was written, found it changed; the next rebuild puts it anew."
    found = _seal(path) if path.is_file() else b""
    if found == before or _read(seal_of(path)) != before:
        return ""  # also where the file was changed and sealed meanwhile
    return f"Expected {path.name} as it was written, found other bytes (SHA-256 or size differs)."


def _seal(path: Path) -> bytes:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return _signed({"size": file.tell(), "sha256": digest})


def _signed(body: dict[str, object]) -> bytes:
    check = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]
    return json.dumps({**body, "check": check}, sort_keys=True).encode()


def _is_whole(content: bytes | None) -> bool:
    try:
        body = dict(json.loads(content or b""))
        body.pop("check", None)
    except (ValueError, TypeError):
        return False
    return content == _signed(body)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
