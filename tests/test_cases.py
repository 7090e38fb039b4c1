"""Keys and filters: what people type, and what is refused with a hint."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoders.sequences import MRSequence
from indexer.cases import CaseFilter, FilterError, examination_key


def test_a_key_is_short_stable_and_different_for_every_visit() -> None:
    key = examination_key("cohort", "sub-01", "ses-1")
    assert key == examination_key("cohort", "sub-01", "ses-1")
    assert len(key) == 12
    assert key.isalnum()
    others = [("cohort", "sub-01", None), ("cohort", "sub-011", "ses-1"), ("cohort2", "sub-01", "ses-1")]
    assert len({key, *(examination_key(*identity) for identity in others)}) == 4


def test_a_filter_reads_what_people_type() -> None:
    parsed = CaseFilter.parse(
        sequence="t1 post",
        sex="female",
        age="40-60",
        since="2024",
        until="2024-02",
        source=" x ",
        finding="mass effect",
    )
    assert parsed == CaseFilter(
        sequence=MRSequence.T1W_POST,
        sex="F",
        age_min=40.0,
        age_max=60.0,
        since=date(2024, 1, 1),
        until=date(2024, 2, 29),
        source="x",
        finding="mass_effect",
    )


def test_a_filter_of_blanks_lets_all_pass() -> None:
    assert CaseFilter.parse(sequence=" ", sex="", age="", since="", until="", source="", finding="").empty


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("age", "old"),
        ("age", "60-40"),
        ("age", "-"),
        ("age", "1e3"),
        ("sex", "q"),
        ("since", "yesterday"),
        ("until", "2024-02-31"),
        ("since", "0000-01-01"),
        ("sequence", "t9"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_field(field: str, text: str) -> None:
    with pytest.raises(FilterError) as caught:
        CaseFilter.parse(**{field: text})
    assert caught.value.field == field
    assert caught.value.hint


def test_dates_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(FilterError, match="since before until"):
        CaseFilter.parse(since="2025", until="2024")


@given(st.sampled_from(["age", "sex", "since", "until", "sequence", "source", "finding"]), st.text(max_size=40))
def test_any_text_is_a_filter_or_a_filter_error(field: str, text: str) -> None:
    try:
        CaseFilter.parse(**{field: text})
    except FilterError as error:
        assert error.field == field
