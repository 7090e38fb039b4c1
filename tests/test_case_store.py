"""The case store: what is put in comes out, words and filters find it, and nothing else does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from encoders.sequences import MRSequence
from indexer.case_store import CaseStore
from indexer.cases import CaseFilter, CaseMissing, Draft, DraftSeries, Section
from indexer.report_text import make_report
from indexer.schema import FILE
from indexer.teaching_folders import CollectionError

HYDRO = Draft(
    participant="sub-1",
    session="ses-1",
    source="cohort",
    series=(
        DraftSeries(Path("/scans/a.nii.gz"), "a", MRSequence.T1W, (10, 11, 12), (1.0, 1.0, 2.0), digest="a1"),
        DraftSeries(Path("/scans/b.nii.gz"), "b", MRSequence.FLAIR, (10, 11, 12), (1.0, 1.0, 2.0), digest="b1"),
    ),
    report=make_report(
        {Section.FINDINGS: "Marked hydrocephalus. No haemorrhage.", Section.IMPRESSION: "Œdème, 3.5 mm shift."}
    ),
    age=64.0,
    sex="F",
    date="2024-05-31",
    diagnosis="normal pressure hydrocephalus",
)
BLEED = Draft(
    participant="sub-2",
    session=None,
    source="cohort",
    series=(DraftSeries(Path("/scans/c.nii.gz"), "c", MRSequence.SWI, (5, 6, 7), (1.0, 1.0, 1.0), digest="c1"),),
    report=make_report({Section.IMPRESSION: "Left frontal haemorrhage. No hydrocephalus."}),
    age=40.0,
    sex="M",
    date="2023-01-01",
)
SILENT = Draft(
    participant="sub-3",
    session=None,
    source="other",
    series=(DraftSeries(Path("/scans/d.nii.gz"), "d", MRSequence.T1W, (5, 6, 7), (1.0, 1.0, 1.0), digest="d1"),),
    diagnosis="meningioma",
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CaseStore]:
    with CaseStore.open(tmp_path) as opened:
        for draft in (HYDRO, BLEED, SILENT):
            assert opened.put(draft) == "added"
        yield opened


def test_an_examination_comes_out_as_it_was_put_in(store: CaseStore) -> None:
    found = store.examination(HYDRO.key)
    assert (found.participant, found.session, found.source, found.age) == ("sub-1", "ses-1", "cohort", 64.0)
    assert found.report == HYDRO.report
    assert [(one.number, one.name, one.sequence) for one in found.series] == [
        (1, "a", MRSequence.T1W),
        (2, "b", MRSequence.FLAIR),
    ]
    assert found.sequences == (MRSequence.T1W, MRSequence.FLAIR)
    assert store.examination(SILENT.key).notes == ("There is no report.",)
    assert store.series_file(HYDRO.key, 2) == Path("/scans/b.nii.gz")
    assert store.thumbnail(HYDRO.key, 1) is None


@pytest.mark.parametrize("key", ["", "nothing", "\ud800", "x' OR 1", "\0"])
def test_an_unknown_key_is_a_case_missing(store: CaseStore, key: str) -> None:
    with pytest.raises(CaseMissing):
        store.examination(key)
    with pytest.raises(CaseMissing):
        store.thumbnail(key, 1)
    with pytest.raises(CaseMissing):
        store.series_file(HYDRO.key, 99)


def test_putting_the_same_again_changes_nothing(store: CaseStore) -> None:
    before = store.examinations(range(10))
    assert store.put(HYDRO) == "unchanged"
    assert store.examinations(range(10)) == before


def test_a_changed_report_keeps_the_rows_of_what_stayed(store: CaseStore) -> None:
    before = _rows(store, "SELECT text, id FROM sentence WHERE examination_id = 1")
    changed = make_report({Section.FINDINGS: "No haemorrhage. The shunt is new.", Section.IMPRESSION: "Improved."})
    assert store.put(replace(HYDRO, report=changed)) == "changed"
    after = _rows(store, "SELECT text, id FROM sentence WHERE examination_id = 1")
    assert after["No haemorrhage."] == before["No haemorrhage."]
    assert set(after.values()) - set(before.values()) == {after["The shunt is new."], after["Improved."]}
    assert store.examination(HYDRO.key).report == changed
    assert not store.search_words(["marked"], 5)
    assert _rows(store, "SELECT name, id FROM series WHERE examination_id = 1") == {"a": 1, "b": 2}


def test_a_report_stays_when_none_is_asked_for(store: CaseStore) -> None:
    assert store.put(replace(HYDRO, report=None, keep_report=True)) == "unchanged"
    assert store.put(replace(HYDRO, report=None)) == "changed"
    assert store.examination(HYDRO.key).report is None
    assert store.counts().reported == 1


def test_row_ids_are_never_given_twice(store: CaseStore) -> None:
    highest = store.id_of(SILENT.key)
    store.remove(SILENT.key)
    store.put(SILENT)
    assert store.id_of(SILENT.key) > highest


def test_removing_leaves_nothing_behind(store: CaseStore) -> None:
    collection = store.create_collection("teaching")
    store.add_to_collection(collection.name, HYDRO.key)
    store.remove(HYDRO.key)
    with pytest.raises(CaseMissing):
        store.examination(HYDRO.key)
    assert store.collection(collection.name).entries == ()
    assert not store.search_words(["hydrocephalus", "oedeme"], 5, assertions={"present"})
    with store.connections.reading() as database:
        for table in ("series", "report", "sentence", "stated", "embedding", "thumbnail", "sentence_words"):
            column = "rowid" if table == "sentence_words" else "*"
            rows = database.execute(f"SELECT {column} FROM {table}").fetchall()  # noqa: S608
            assert "marked" not in str(rows).casefold()
    store.checkpoint()
    assert b"marked hydrocephalus" not in (store.connections.data / FILE).read_bytes().lower()


# Words


def test_words_find_sentences_and_whole_reports(store: CaseStore) -> None:
    found = store.search_words(["hydrocephalus"], 10)
    sentences = [match for match in found if match.sentence_id is not None]
    texts = {store.sentence(match.sentence_id or 0).text for match in sentences}
    assert texts == {"Marked hydrocephalus.", "No hydrocephalus."}
    assert {match.examination_id for match in found if match.sentence_id is None} == {1, 2}
    assert all(match.score > 0 and match.words == ("hydrocephalus",) for match in found)


def test_denied_words_are_left_out_where_asked(store: CaseStore) -> None:
    found = store.search_words(["hydrocephalus", "haemorrhage"], 10, assertions={"present", "uncertain"})
    assert {(match.examination_id, match.words) for match in found if match.sentence_id} == {
        (1, ("hydrocephalus",)),
        (2, ("haemorrhage",)),
    }
    assert {match.examination_id for match in found if match.sentence_id is None} == {1, 2}
    absent = store.search_words(["hydrocephalus"], 10, assertions={"absent"})
    assert {match.examination_id for match in absent} == {2}


def test_words_stay_within_the_examinations_asked(store: CaseStore) -> None:
    assert {m.examination_id for m in store.search_words(["hydrocephalus"], 10, ids=np.array([2]))} == {2}
    assert store.search_words(["hydrocephalus"], 10, ids=np.array([], np.int64)) == ()


def test_ligatures_accents_and_cases_are_folded_on_both_sides(store: CaseStore) -> None:
    for word in ("œdème", "OEDEME", "oedème", "Œdeme"):
        assert {match.examination_id for match in store.search_words([word], 5)} == {1}, word
    assert store.search_words(["3.5 mm"], 5)[0].words == ("3.5 mm",)
    assert store.search_words(["T2/FLAIR", "don't"], 5) == ()


def test_a_withheld_diagnosis_is_shown_and_not_searched(store: CaseStore) -> None:
    assert store.examination(SILENT.key).diagnosis == "meningioma"
    assert store.search_words(["meningioma"], 5) == ()
    assert {match.examination_id for match in store.search_words(["normal pressure"], 5)} == {1}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(st.lists(st.text(st.characters(), max_size=60), max_size=6), st.integers(-1, 5))
def test_no_text_makes_a_search_for_words_fail(store: CaseStore, words: list[str], limit: int) -> None:
    assert len(store.search_words(words, limit)) <= 2 * max(limit, 0)


SYNTAX = ("a " * 20_000, "\u202e", "T2/FLAIR", "C1–C2", ">5mm", "hydro*", "present : x", "“smart”", "e\u0301" * 50)


@pytest.mark.parametrize(
    "text",
    [
        *SYNTAX,
        '"',
        "(",
        "*",
        "-",
        "^",
        "AND",
        "NOT",
        "a OR",
        "NEAR(",
        "t:x",
        "{t}:x",
        "\0",
        "\ud800",
        "x" * 100_000,
        "",
        "'",
    ],
)
def test_query_syntax_is_plain_text(store: CaseStore, text: str) -> None:
    assert store.search_words([text], 5) == ()
    mixed = store.search_words([text, "hydrocephalus"], 5, assertions={"present"})
    assert {match.words for match in mixed} == {("hydrocephalus",)}


# Filters


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, [1, 2, 3]),
        ({"sequence": "t1"}, [1, 3]),
        ({"sex": "m"}, [2]),
        ({"age": "50-"}, [1]),
        ({"age": "40"}, [2]),
        ({"since": "2024"}, [1]),
        ({"until": "2023-12"}, [2]),
        ({"source": "other"}, [3]),
        ({"finding": "hydrocephalus"}, [1]),
        ({"finding": "haemorrhage"}, [2]),
        ({"finding": "glioma"}, []),
        ({"reported": False}, [3]),
        ({"reported": True, "sequence": "swi"}, [2]),
    ],
)
def test_filters_are_exact(store: CaseStore, asked: dict[str, str], expected: list[int]) -> None:
    assert store.matching(CaseFilter.parse(**asked)).tolist() == expected


def test_facets_count_examinations(store: CaseStore) -> None:
    found = store.facets()
    assert found["sequence"] == {"T1w": 2, "FLAIR": 1, "SWI": 1}
    assert found["age"] == {"40-49": 1, "60-69": 1}
    assert found["reported"] == {"yes": 2, "no": 1}
    assert found["finding"] == {"abnormal": 2, "haemorrhage": 1, "hydrocephalus": 1}
    among = store.facets(np.array([2, 3]))
    assert among["sequence"] == {"SWI": 1, "T1w": 1}
    assert among["year"] == {"2023": 1}
    assert store.facets(np.array([], np.int64))["source"] == {}


# Collections


def test_a_collection_keeps_order_and_notes(store: CaseStore) -> None:
    name = store.create_collection("  Hydrocephalus & mimics ").name
    assert name == "hydrocephalus-mimics"
    store.add_to_collection(name, HYDRO.key, "typical")
    store.add_to_collection(name, BLEED.key)
    store.add_to_collection(name, HYDRO.key, "very typical")
    assert store.collection(name).entries == ((HYDRO.key, "very typical"), (BLEED.key, ""))
    reordered = store.reorder_collection(name, [BLEED.key, HYDRO.key])
    assert [key for key, _ in reordered.entries] == [BLEED.key, HYDRO.key]
    assert store.rename_collection(name, "Mimics").title == "Mimics"
    assert [key for key, _ in store.remove_from_collection(name, BLEED.key).entries] == [HYDRO.key]
    store.delete_collection(name)
    assert store.collections() == ()


def test_what_a_collection_cannot_do_is_said(store: CaseStore) -> None:
    name = store.create_collection("one").name
    for title in ("", "  ", "x" * 121, "one"):
        with pytest.raises(CollectionError):
            store.create_collection(title)
    with pytest.raises(CollectionError, match="each of the"):
        store.reorder_collection(name, [HYDRO.key])
    with pytest.raises(CaseMissing):
        store.add_to_collection(name, "nothing")
    with pytest.raises(CaseMissing):
        store.collection("nothing")


def _rows(store: CaseStore, statement: str) -> dict[str, int]:
    with store.connections.reading() as database:
        return dict(database.execute(statement).fetchall())
