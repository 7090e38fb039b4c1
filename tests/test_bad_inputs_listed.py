"""Every row of the tables of bad inputs has a case, a test elsewhere, or a reason why it does not apply yet."""

from __future__ import annotations

from pathlib import Path

import pytest
from bad_inputs import archive_rows, nifti_rows, query_rows, web_rows

TESTS = Path(__file__).parent
TABLES = TESTS.parent.parent / "shared" / "bad-inputs.md"
ROOMS = {
    "NIfTI": nifti_rows,
    "DICOM and archives": archive_rows,
    "Text queries and reports": query_rows,
    "Web layer": web_rows,
}


def first_cells(title: str) -> list[str]:
    """The first cell of each row of a table, as it is written."""
    text = TABLES.read_text("utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return [row.strip("|").split(" | ")[0].strip() for row in rows[2:]]


@pytest.mark.skipif(not TABLES.is_file(), reason="the tables of bad inputs are not beside the checkout")
@pytest.mark.parametrize("title", ROOMS)
def test_no_row_is_left_out(title: str) -> None:
    listed = set(first_cells(title))
    room = ROOMS[title]
    elsewhere, reasons = getattr(room, "ELSEWHERE", {}), getattr(room, "NOT_YET", getattr(room, "NOT_HERE", {}))
    sent = {row.row for row in room.ROWS}
    assert len(listed) > 10
    assert sent | set(elsewhere) | set(reasons) == listed
    assert not sent & set(reasons)
    assert all(reasons.values())


@pytest.mark.parametrize("room", ROOMS.values(), ids=lambda room: room.__name__)
def test_what_is_tested_elsewhere_is_there(room: object) -> None:
    for test in getattr(room, "ELSEWHERE", {}).values():
        file, _, name = test.partition("::")
        assert f"def {name}" in (TESTS / file).read_text("utf-8")


@pytest.mark.parametrize("room", ROOMS.values(), ids=lambda room: room.__name__)
def test_each_case_has_a_name_of_its_own(room: object) -> None:
    names = [str(row) for row in room.ROWS]  # type: ignore[attr-defined]
    assert len(names) == len(set(names))
