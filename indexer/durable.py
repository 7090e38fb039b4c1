"""Files that hold over a loss of power: written aside, brought to the disk, and only then given their name.

A name therefore always means a whole file, the old one or the new. What is in the files is left to those who call.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

PRIVATE = 0o600


def sync_folder(folder: Path) -> None:
    """Make renames in a folder hold over a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file for its owner alone, on the disk when the block ends; whatever had the name before is overwritten."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PRIVATE)
    with os.fdopen(handle, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, content: bytes, aside: Path | None = None) -> None:
    """Give a name another content in one step."""
    aside = aside or path.with_name(f".{path.name}.part")
    try:
        with new_file(aside) as file:
            file.write(content)
        aside.rename(path)
    except BaseException:
        with suppress(OSError):
            aside.unlink()
        raise
    sync_folder(path.parent)


def first_file(path: Path, content: bytes) -> None:
    """Give a name its content for good: one that is there already, perhaps since a moment ago, stays as it is."""
    aside = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        with new_file(aside) as file:
            file.write(content)
        with suppress(FileExistsError):
            os.link(aside, path)
    finally:
        remove_file(aside)
    sync_folder(path.parent)


def remove_file(path: Path) -> None:
    """Take a name away for good; one that is not there is fine."""
    with suppress(FileNotFoundError):
        path.unlink()
        sync_folder(path.parent)
