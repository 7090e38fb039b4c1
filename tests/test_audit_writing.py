"""Writing the audit: many processes at once, kills, full disks, a lost key; the chain holds through all of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from audit_cases import break_audit, entry, fill_disk, free_disk, mend_audit, newest, recorded, write

from search_api import audit_chain
from search_api.audit_chain import AuditTrail, files_of
from search_api.audit_reading import verify
from search_api.audit_records import AuditError

ROOT = Path(__file__).parent.parent
WRITER = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
from pathlib import Path
from audit_cases import entry
from search_api.audit_chain import AuditTrail
trail = AuditTrail(Path({data!r}), file_bytes=200_000)
for number in range({count}):
    trail.append(entry(number, who="process:" + sys.argv[1]))
"""


def writers(data: Path, count: int, processes: int = 2) -> list[subprocess.Popen[bytes]]:
    program = WRITER.format(root=str(ROOT), tests=str(ROOT / "tests"), data=str(data), count=count)
    return [subprocess.Popen([sys.executable, "-c", program, str(one)]) for one in range(processes)]


@pytest.mark.slow
def test_two_processes_append_a_thousand_records_each_without_a_gap(tmp_path: Path) -> None:
    started = writers(tmp_path, 1000)
    assert [one.wait(300) for one in started] == [0, 0]
    found = verify(tmp_path)
    assert (found.records, found.problems, found.remarks) == (2000, (), ())
    written = recorded(tmp_path)
    assert [record["sequence"] for record in written] == list(range(1, 2001))
    for one in ("process:0", "process:1"):
        ids = [int(record["request_id"], 16) for record in written if record["who"] == one]
        assert ids == list(range(1000))  # each in its own order
    assert len(files_of(tmp_path / "audit")) > 2


@pytest.mark.slow
def test_writers_that_are_killed_leave_a_chain_that_holds(tmp_path: Path) -> None:
    for _ in range(5):
        started = writers(tmp_path, 100_000)
        before = len(recorded(tmp_path)) if (tmp_path / "audit").is_dir() else 0
        while not (tmp_path / "audit").is_dir() or len(recorded(tmp_path)) < before + 10:
            pass
        for one in started:
            one.kill()
            one.wait(30)
        assert not verify(tmp_path).problems
    AuditTrail(tmp_path).append(entry())
    assert not verify(tmp_path).problems


def test_a_full_disk_refuses_and_space_that_is_freed_is_used(tmp_path: Path) -> None:
    trail = write(tmp_path, 2)
    kept = fill_disk(tmp_path)
    with pytest.raises(AuditError, match="no space") as raised:
        trail.append(entry(2))
    assert raised.value.code == "audit_full"
    free_disk(tmp_path, kept)
    assert trail.append(entry(2)).sequence == 3
    assert not verify(tmp_path).problems


def test_a_record_that_fits_in_part_is_taken_back(tmp_path: Path) -> None:
    """A limit on the file's size cuts the write, as a disk does that fills while it is written to."""
    write(tmp_path, 3)
    size = newest(tmp_path).stat().st_size
    program = f"""
import resource, signal, sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({size + 100}, {size + 100}))
from pathlib import Path
from audit_cases import entry
from search_api.audit_chain import AuditTrail
from search_api.audit_records import AuditError
try:
    AuditTrail(Path({str(tmp_path)!r})).append(entry(3))
except AuditError as error:
    sys.exit(error.code)
"""
    outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (outcome.returncode, outcome.stderr.strip()) == (1, "audit_full")
    assert newest(tmp_path).stat().st_size == size
    assert verify(tmp_path).records == 3
    assert not verify(tmp_path).problems


def test_a_nearly_full_disk_is_noticed_before_anything_is_begun(tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=900k", "tmpfs", place], check=False).returncode
    if mounted != 0:
        pytest.skip("mounting a small disk is not allowed here")
    try:
        with pytest.raises(AuditError) as raised:
            AuditTrail(place / "data").check()
        assert raised.value.code == "audit_full"
    finally:
        subprocess.run(["umount", place], check=True)


def test_an_audit_that_cannot_be_written_refuses_until_it_can(tmp_path: Path) -> None:
    trail = write(tmp_path, 2)
    break_audit(tmp_path)
    for work in (trail.check, lambda: trail.append(entry(2))):
        with pytest.raises(AuditError) as raised:
            work()
        assert raised.value.code == "audit_unavailable"
    mend_audit(tmp_path)
    trail.check()
    assert trail.append(entry(2)).sequence == 3


def test_the_key_is_private_and_never_made_anew(tmp_path: Path) -> None:
    trail = write(tmp_path, 2)
    key = tmp_path / "audit.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert all(file.stat().st_mode & 0o077 == 0 for file in (tmp_path / "audit").iterdir())
    aside = key.rename(tmp_path / "aside")
    for work in (trail.check, lambda: trail.append(entry(2)), lambda: verify(tmp_path)):
        with pytest.raises(AuditError) as raised:
            work()
        assert raised.value.code == "audit_key_missing"
    aside.rename(key)
    key.write_text("short", "utf-8")
    with pytest.raises(AuditError, match="damaged"):
        trail.append(entry(2))


def test_who_holds_the_lock_for_long_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trail = write(tmp_path, 1)
    monkeypatch.setattr(audit_chain, "LOCK_SECONDS", 0.2)
    with audit_chain.locked(tmp_path / "audit", 2), pytest.raises(AuditError) as raised:
        trail.append(entry(1))
    assert raised.value.code == "audit_busy"
    assert trail.append(entry(1)).sequence == 2
