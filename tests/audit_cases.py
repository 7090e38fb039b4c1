"""What the tests of the audit share: a trail with records, what stands in it, and disks that refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from search_api.audit_chain import FOLDER, AuditTrail, files_of
from search_api.audit_reading import records
from search_api.audit_records import Entry


def entry(number: int = 0, who: str = "key:ward-7", action: str = "search") -> Entry:
    return Entry(who, action, {"q": f"glioma {number}"}, (f"case{number:08d}",), "000001-x", "200", f"{number:016x}")


def write(data: Path, count: int, **options: int) -> AuditTrail:
    trail = AuditTrail(data, **options)
    for number in range(count):
        trail.append(entry(number))
    return trail


def recorded(data: Path) -> list[dict[str, Any]]:
    return list(records(data))


def newest(data: Path) -> Path:
    return files_of(data / FOLDER)[-1]


def fill_disk(data: Path) -> Path:
    """From here on every write of a record finds the disk full, as the kernel says it; the file to put back."""
    file = newest(data)
    kept = file.rename(file.with_suffix(".kept"))
    file.symlink_to("/dev/full")
    return kept


def free_disk(data: Path, kept: Path) -> None:
    newest(data).unlink()
    kept.rename(kept.with_suffix(".jsonl"))


def break_audit(data: Path) -> None:
    """The audit's folder cannot be written any more, for root neither."""
    folder = data / FOLDER
    if folder.exists():
        folder.rename(data / "audit-aside")
    folder.write_text("in the way", "utf-8")


def mend_audit(data: Path) -> None:
    (data / FOLDER).unlink()
    if (data / "audit-aside").exists():
        (data / "audit-aside").rename(data / FOLDER)


class Told:
    """What was recorded since it was last asked."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._seen = len(self.all())

    def all(self) -> list[dict[str, Any]]:
        return recorded(self._data) if (self._data / "audit").is_dir() else []

    def new(self) -> list[dict[str, Any]]:
        found = self.all()
        fresh, self._seen = found[self._seen :], len(found)
        return fresh

    def one(self) -> dict[str, Any]:
        fresh = self.new()
        assert len(fresh) == 1, [(one["action"], one["outcome"]) for one in fresh]
        return fresh[0]
