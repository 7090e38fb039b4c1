"""The audit's chain: what was changed, taken out, swapped or cut shows; crashes, full disks and many writers do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from audit_cases import entry, newest, recorded, write

from search_api.audit_chain import AuditTrail, files_of
from search_api.audit_reading import prune, verify
from search_api.audit_records import Head

ROOT = Path(__file__).parent.parent


def change(data: Path, edit: Callable[[list[bytes]], list[bytes]]) -> None:
    file = newest(data)
    file.write_bytes(b"".join(edit(file.read_bytes().splitlines(keepends=True))))


def test_a_record_holds_who_when_what_and_how_it_ended(tmp_path: Path) -> None:
    write(tmp_path, 2)
    first, second = recorded(tmp_path)
    assert (first["sequence"], second["sequence"]) == (1, 2)
    assert first["utc"].endswith("Z")
    assert (first["who"], first["action"], first["outcome"]) == ("key:ward-7", "search", "200")
    assert (first["query"], first["cases"], first["generation"]) == ({"q": "glioma 0"}, ["case00000000"], "000001-x")
    assert first["request_id"] == "0" * 16
    assert second["previous"] == first["hash"]


def test_what_is_whole_verifies_and_tells_its_head(tmp_path: Path) -> None:
    write(tmp_path, 5)
    found = verify(tmp_path)
    last = recorded(tmp_path)[-1]
    assert (found.records, found.problems, found.remarks) == (5, (), ())
    assert found.head == Head(5, last["hash"])
    assert not verify(tmp_path, expected=last["hash"]).problems


def test_any_changed_byte_of_any_field_shows(tmp_path: Path) -> None:
    write(tmp_path, 3)
    whole = newest(tmp_path).read_bytes()
    begin = whole.index(b"\n") + 1
    end = whole.index(b"\n", begin)
    for place in range(begin, end, 7):
        changed = bytearray(whole)
        changed[place] ^= 1
        newest(tmp_path).write_bytes(changed)
        assert verify(tmp_path).problems, place
    newest(tmp_path).write_bytes(whole)
    assert not verify(tmp_path).problems


def test_the_first_record_that_lies_is_named(tmp_path: Path) -> None:
    write(tmp_path, 6)
    change(tmp_path, lambda lines: [line.replace(b"glioma 2", b"stroke 2") for line in lines])
    assert verify(tmp_path).problems[0].startswith("Record 3 (000001.jsonl, line 3) was changed")


def test_a_changed_record_that_was_hashed_anew_without_the_key_shows(tmp_path: Path) -> None:
    write(tmp_path, 3)
    (tmp_path / "forger").mkdir()
    forged = write(tmp_path / "forger", 3)  # the same code with a key of its own
    newest(tmp_path).write_bytes(files_of(forged.folder)[0].read_bytes())
    assert verify(tmp_path).problems[0].startswith("Record 1 ")


@pytest.mark.parametrize("gone", [0, 2, 4])
def test_a_removed_line_shows(tmp_path: Path, gone: int) -> None:
    write(tmp_path, 6)
    change(tmp_path, lambda lines: [line for place, line in enumerate(lines) if place != gone])
    expected = "Record 2 is the first" if gone == 0 else f"Record {gone + 2} "
    assert verify(tmp_path).problems[0].startswith(expected)


def test_swapped_and_repeated_lines_show(tmp_path: Path) -> None:
    write(tmp_path, 6)
    whole = newest(tmp_path).read_bytes()
    change(tmp_path, lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]])
    assert "expected record 3" in verify(tmp_path).problems[0]
    newest(tmp_path).write_bytes(whole)
    change(tmp_path, lambda lines: [*lines, lines[-1]])
    assert "expected record 7" in verify(tmp_path).problems[0]


def test_a_line_that_is_no_record_shows(tmp_path: Path) -> None:
    write(tmp_path, 4)
    change(tmp_path, lambda lines: [*lines[:2], b"not a record\n", *lines[2:]])
    assert "found 13 bytes that are none" in verify(tmp_path).problems[0]
    assert "Record 3 (000001.jsonl, line 4)" in verify(tmp_path).problems[0]


def test_a_cut_tail_shows_by_the_head_beside_it_and_by_one_that_was_kept(tmp_path: Path) -> None:
    write(tmp_path, 6)
    kept = recorded(tmp_path)[-1]["hash"]
    change(tmp_path, lambda lines: lines[:4])
    assert verify(tmp_path).problems == ("Record 6 had been written, as head says, and is gone or changed.",)
    (tmp_path / "audit" / "head").unlink()
    assert not verify(tmp_path).problems  # cut together with its head: only what was kept elsewhere tells
    assert "missing" in verify(tmp_path).remarks[0]
    assert verify(tmp_path, expected=kept).problems


def test_what_was_cut_stays_known_when_the_chain_goes_on(tmp_path: Path) -> None:
    trail = write(tmp_path, 6)
    change(tmp_path, lambda lines: lines[:4])
    assert trail.append(entry(7)).sequence == 8
    assert [record["sequence"] for record in recorded(tmp_path)] == [1, 2, 3, 4, 7, 8]
    assert "records after 4 and up to 6 had been written and were gone" in verify(tmp_path).problems[0]


def test_a_removed_file_shows_and_its_sequence_is_never_given_again(tmp_path: Path) -> None:
    trail = write(tmp_path, 3)
    newest(tmp_path).unlink()
    assert trail.append(entry(1)).sequence == 5
    assert verify(tmp_path).problems


@pytest.mark.parametrize("torn", [b'{"action":"sea', b"\0" * 300, b"\n", b"half\n", b'{"a":1}\nhalf'])
def test_a_torn_line_is_set_aside_in_the_chain_which_goes_on(tmp_path: Path, torn: bytes) -> None:
    trail = write(tmp_path, 3)
    with newest(tmp_path).open("ab") as file:
        file.write(torn)
    assert not verify(tmp_path).problems
    assert "torn" in verify(tmp_path).remarks[0]
    trail.append(entry(3))
    found = verify(tmp_path)
    assert (found.records, found.problems) == (5, ())
    assert recorded(tmp_path)[3]["action"] == "audit-mended"
    assert recorded(tmp_path)[3]["query"]["torn_bytes"] == len(torn.rstrip(b"\n"))
    assert torn in newest(tmp_path).read_bytes()
    change(tmp_path, lambda lines: [line for line in lines if line.startswith(b'{"action"') and line.endswith(b"}\n")])
    assert verify(tmp_path).problems or not torn.strip(b"\n")  # taking it out shows too


def test_a_record_without_its_line_end_is_whole(tmp_path: Path) -> None:
    trail = write(tmp_path, 3)
    newest(tmp_path).write_bytes(newest(tmp_path).read_bytes().rstrip(b"\n"))
    assert verify(tmp_path).records == 3
    trail.append(entry(3))
    assert verify(tmp_path).records == 4
    assert not verify(tmp_path).problems


def test_a_mangled_last_record_is_no_torn_line(tmp_path: Path) -> None:
    trail = write(tmp_path, 3)
    newest(tmp_path).write_bytes(newest(tmp_path).read_bytes()[:-40])
    assert "Record 3 had been written" in verify(tmp_path).problems[0]
    trail.append(entry(3))
    assert "up to 3 had been written" in verify(tmp_path).problems[0]


def test_a_record_longer_than_what_is_read_of_the_end_is_found(tmp_path: Path) -> None:
    trail = AuditTrail(tmp_path)
    long = entry()
    cases = tuple(f"case{number:08d}" for number in range(20_000))
    trail.append(type(long)(long.who, "triage", {}, cases, "", "200", ""))
    trail.append(entry(1))
    assert [record["sequence"] for record in recorded(tmp_path)] == [1, 2]
    assert len(recorded(tmp_path)[0]["cases"]) == 20_000


def test_the_chain_goes_on_from_file_to_file(tmp_path: Path) -> None:
    write(tmp_path, 12, file_bytes=1000)
    files = files_of(tmp_path / "audit")
    assert len(files) > 3
    assert all(file.stat().st_size <= 1000 for file in files)
    assert verify(tmp_path).records == 12
    assert not verify(tmp_path).problems
    files[1].unlink()
    assert verify(tmp_path).problems


def test_a_clock_that_jumps_back_does_not_turn_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trail = write(tmp_path, 2)
    monkeypatch.setattr("search_api.audit_records.now", lambda: "1970-01-01T00:00:00.000Z")
    trail.append(entry(2))
    assert [record["sequence"] for record in recorded(tmp_path)] == [1, 2, 3]
    assert recorded(tmp_path)[2]["utc"].startswith("1970")
    assert not verify(tmp_path).problems


def test_old_months_go_and_the_chain_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trail = AuditTrail(tmp_path)
    for month in ("01", "02", "03"):
        moment = f"2026-{month}-15T08:00:00.000Z"
        for module in ("audit_records", "audit_chain"):
            monkeypatch.setattr(f"search_api.{module}.now", lambda moment=moment: moment)
        for number in range(4):
            trail.append(entry(number))
    assert len(files_of(tmp_path / "audit")) == 3
    kept = recorded(tmp_path)[7]["hash"]
    assert prune(tmp_path, "2026-02-10", "os:alice") == 4
    assert prune(tmp_path, "2026-03-01", "os:alice") == 4
    found = verify(tmp_path)
    assert (found.records, found.problems) == (6, ())
    assert [record["sequence"] for record in recorded(tmp_path)] == [9, 10, 11, 12, 13, 14]
    assert recorded(tmp_path)[-1]["query"] == {
        "before": "2026-03-01", "records": 4, "through": 8, "hash": kept,
    }  # fmt: skip
    assert not verify(tmp_path, expected=kept).problems
    assert prune(tmp_path, "2026-03-01", "os:alice") == 0
    change(tmp_path, lambda lines: lines[1:])
    assert verify(tmp_path).problems


def test_a_pruning_that_was_killed_between_record_and_deletion_does_not_lie(tmp_path: Path) -> None:
    write(tmp_path, 12, file_bytes=1200)
    files = files_of(tmp_path / "audit")
    assert len(files) == 4
    copies = {path: path.read_bytes() for path in files}
    year = int(recorded(tmp_path)[0]["utc"][:4])
    assert prune(tmp_path, f"{year + 1}-01-01", "os:alice") == 9
    for path in files[1:3]:
        path.write_bytes(copies[path])  # as if it had been killed when the first was deleted
    assert not verify(tmp_path).problems
    files[2].unlink()
    assert verify(tmp_path).problems  # but none in the middle may be missing


def test_damage_that_is_no_json_does_not_stop_the_check(tmp_path: Path) -> None:
    write(tmp_path, 3)
    change(tmp_path, lambda lines: [lines[0], b"[" * 100_000 + b"\n", lines[2]])
    assert "found 100001 bytes that are none" in verify(tmp_path).problems[0]
