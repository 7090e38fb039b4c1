"""What injecting faults needs of the machine: strace, faketime, and the right to mount a small disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DISK_KIB = 12_288


def missing() -> tuple[str, ...]:
    """Reasons why some part cannot run here; empty where all can."""
    reasons = (
        None if shutil.which("strace") else "strace is not installed",
        None if faketime() else "faketime is not installed",
        _why_no_mount(),
    )
    return tuple(reason for reason in reasons if reason)


def faketime() -> Path | None:
    """The library that answers for the clock, where it is installed."""
    return next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)


@contextmanager
def small_disk(folder: Path, kib: int = DISK_KIB) -> Iterator[Path]:
    """A folder on a file system of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={kib}k,mode=0700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True, capture_output=True)


def _why_no_mount() -> str | None:
    if os.geteuid() or not shutil.which("mount"):
        return "only root may mount a small disk"
    with tempfile.TemporaryDirectory() as folder:
        try:
            with small_disk(Path(folder)):
                return None
        except subprocess.CalledProcessError:
            return "a small disk cannot be mounted here"
