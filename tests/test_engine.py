"""The engine on a small archive: what is found for words, scans and examples, and what is promised of every answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from search_cases import CASES, Made, build_archive, scan_of
from toy_encoder import ToyEncoder

from encoders.volume import read_volume
from indexer.case_store import CaseStore
from indexer.cases import CaseFilter, CaseMissing
from indexer.generations import IndexMissing
from indexer.schema import StoreError
from search_api.answers import Answer
from search_api.engine import EncoderMismatch, SearchEngine
from search_api.query import QueryError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("archive")


@pytest.fixture(scope="module")
def data(folder: Path) -> Path:
    return build_archive(folder)


@pytest.fixture(scope="module")
def engine(data: Path) -> Iterator[SearchEngine]:
    with SearchEngine.open(data, ToyEncoder()) as engine:
        yield engine


def names(answer: Answer) -> list[str]:
    return [hit.examination.participant.removeprefix("sub-") for hit in answer.hits]


def essence(answer: Answer) -> list[object]:
    return [(hit.key, hit.score, hit.same_participant) for hit in answer.hits]


def volumes(folder: Path, case: Made) -> list[object]:
    return [read_volume(scan_of(folder / "dataset", case, sequence)) for sequence in ("FLAIR", "T1w")]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("hydrocephalus", {"hy01", "hy02", "me01"}),
        ("hydrocephlus", {"hy01", "hy02", "me01"}),
        ("no hydrocephalus", {"gl01", "gl02"}),
        ("no midline shift", {"gl02"}),
        ("midline shift", {"gl01"}),
        ("MS", {"ms01"}),
        ("tumour", {"gl01", "gl02", "me01"}),
        ("acute stroke", {"st01"}),
        ("meningioma with hydrocephalus", {"me01"}),
        ("infarct without haemorrhage", {"st01"}),
        ("haemorrhage", {"ha01", "ha02"}),
        ("normal study", {"no01", "no02"}),
        ("show me cases of glioma, please", {"gl01", "gl02"}),
    ],
)
def test_the_cases_that_are_asked_for_come_first(engine: SearchEngine, text: str, first: set[str]) -> None:
    answer = engine.search(text=text)
    assert set(names(answer)[: len(first)]) == first
    assert answer.good_match


def test_a_denied_finding_is_not_returned_as_the_finding(engine: SearchEngine) -> None:
    for hit in engine.search(text="hydrocephalus", k=15).hits:
        for evidence in hit.evidence:
            assert evidence.assertion in (None, "present", "uncertain")
    for hit in engine.search(text="no hydrocephalus", k=2).hits:
        assert {evidence.text for evidence in hit.evidence if evidence.text} == {"No hydrocephalus."}


def test_a_report_that_says_the_opposite_is_no_hit_and_it_is_said(engine: SearchEngine) -> None:
    denying = {"gl01", "gl02", "no01", "no02"}  # two of them by normal ventricles
    answer = engine.search(text="hydrocephalus", k=15)
    assert not denying & set(names(answer))
    assert (answer.total, answer.contradicted, answer.hits_in_all) == (len(CASES), 4, len(CASES) - 4)
    assert "Left out: 4 cases whose report says the opposite." in answer.notices
    assert "gl01" not in names(engine.search(text="no midline shift", k=15))
    assert {"hy01", "hy02", "me01"}.isdisjoint(names(engine.search(text="no hydrocephalus", k=15)))
    # The words alone, several findings, or a scan: nothing is left out.
    for query in (
        engine.search(text="hydrocephalus", k=15, expand=False),
        engine.search(text="hydrocephalus", k=15, assertions=False),
        engine.search(text="glioma with hydrocephalus", k=15),
    ):
        assert query.contradicted == 0
        assert len(query.hits) == len(CASES)
    only = engine.search(text="hydrocephalus", filters=CaseFilter(finding="glioma"))
    assert (only.total, only.hits, only.good_match) == (2, (), False)


def test_who_denies_a_finding_denies_it_on_every_side_and_of_every_size(engine: SearchEngine) -> None:
    for text in ("severe hydrocephalus", "left hydrocephalus", "obstructive hydrocephalus"):
        assert {"gl01", "gl02"}.isdisjoint(names(engine.search(text=text, k=15)))


def test_beside_a_finding_what_states_the_excluded_one_is_no_hit(engine: SearchEngine) -> None:
    answer = engine.search(text="glioma without midline shift", k=15)
    assert names(answer)[0] == "gl02"
    assert "gl01" not in names(answer)
    assert answer.contradicted == 1


def test_possibility_history_and_side_are_asked_for(engine: SearchEngine) -> None:
    assert not engine.search(text="possible glioma").good_match
    assert names(engine.search(text="left haemorrhage"))[0] == "ha01"
    assert names(engine.search(text="right haemorrhage"))[0] == "ha02"


@pytest.mark.parametrize("text", ["left", "MRI brain", "2.0 cm", "NEAR(", "right side"])
def test_what_names_nothing_is_no_good_match(engine: SearchEngine, text: str) -> None:
    assert not engine.search(text=text).good_match


def test_evidence_can_be_chosen(engine: SearchEngine) -> None:
    for kind in ("sentence", "words", "report", "image"):
        answer = engine.search(text="hydrocephalus", evidence=[kind])
        assert {evidence.kind for hit in answer.hits for evidence in hit.evidence} == {kind}
    with pytest.raises(QueryError) as caught:
        engine.search(text="hydrocephalus", evidence=["tea leaves"])
    assert caught.value.code == "bad_evidence"


@pytest.mark.parametrize(("british", "american"), [("haemorrhage", "hemorrhage"), ("tumour", "tumor")])
def test_both_spellings_have_the_same_answer(engine: SearchEngine, british: str, american: str) -> None:
    assert essence(engine.search(text=british, k=15)) == essence(engine.search(text=american, k=15))


@pytest.mark.parametrize("text", ["pizza", "knee", "asdf", "my holiday in Portugal"])
def test_what_has_nothing_to_do_with_the_archive_is_no_good_match(engine: SearchEngine, text: str) -> None:
    assert not engine.search(text=text).good_match


def test_evidence_says_which_sentence_words_and_series(engine: SearchEngine) -> None:
    hit = engine.search(text="hydrocephalus").hits[0]
    kinds = {evidence.kind: evidence for evidence in hit.evidence}
    assert "hydrocephalus" in kinds["sentence"].text.casefold()
    assert "hydrocephalus" in kinds["words"].words
    assert all(0.0 <= evidence.score <= 1.0 for evidence in hit.evidence)
    assert kinds["sentence"].section in {"findings", "impression"}


def test_what_was_understood_is_said_and_can_be_taken_back(engine: SearchEngine) -> None:
    assert any("multiple sclerosis" in sentence for sentence in engine.search(text="MS").expanded)
    literal = engine.search(text="MS", expand=False)
    assert literal.expanded == ()
    assert not any(evidence.kind == "words" for hit in literal.hits for evidence in hit.evidence)


def test_a_stored_scan_finds_itself_first_and_marks_the_persons_other_session(
    engine: SearchEngine, folder: Path
) -> None:
    for case in CASES:
        answer = engine.search(scans=volumes(folder, case), k=15)
        first = answer.hits[0]
        named = (first.examination.participant, first.examination.session)
        assert named == (f"sub-{case.participant}", f"ses-{case.session}")
        assert first.score >= 0.999
        assert not first.same_participant
        marked = [hit for hit in answer.hits if hit.same_participant]
        assert len(marked) == (1 if case.participant == "ms01" else 0)
        assert all(hit.examination.participant == first.examination.participant for hit in marked)
        assert answer.findings


def test_one_series_is_enough_and_its_evidence_names_the_stored_series(engine: SearchEngine, folder: Path) -> None:
    answer = engine.search(scans=volumes(folder, CASES[4])[:1])
    evidence = answer.hits[0].evidence[0]
    assert (evidence.kind, evidence.sequence) == ("image", "FLAIR")
    stored = {series.number: series.sequence for series in answer.hits[0].examination.series}
    assert stored[evidence.series] == "FLAIR"


def test_text_and_scan_are_weighed(engine: SearchEngine, folder: Path) -> None:
    scan = volumes(folder, CASES[10])
    by_text, by_scan = engine.search(text="glioma", k=15), engine.search(scans=scan, k=15)
    assert names(engine.search(text="glioma", scans=scan, weight=0.0, k=15)) == names(by_text)
    assert names(engine.search(text="glioma", scans=scan, weight=1.0, k=15)) == names(by_scan)
    both = engine.search(text="glioma", scans=scan, weight=0.5, k=15)
    assert {hit.key: hit.score for hit in both.hits} == pytest.approx(
        {
            hit.key: 0.5 * hit.score + 0.5 * next(other.score for other in by_scan.hits if other.key == hit.key)
            for hit in by_text.hits
        },
        abs=2e-6,
    )


def test_more_like_this_leaves_the_example_out_and_marks_its_person(engine: SearchEngine) -> None:
    example = engine.search(text="multiple sclerosis", k=1).hits[0]
    answer = engine.search(like=example.key, k=15)
    assert example.key not in [hit.key for hit in answer.hits]
    assert answer.total == len(CASES) - 1
    marked = [hit.examination.participant for hit in answer.hits if hit.same_participant]
    assert marked == [example.examination.participant]
    reports = {hit.key: one.score for hit in answer.hits for one in hit.evidence if one.kind == "report"}
    assert max(reports, key=lambda key: reports[key]) == next(hit.key for hit in answer.hits if hit.same_participant)
    with pytest.raises(CaseMissing):
        engine.search(like="nosuchcase00")


def test_an_examination_without_report_can_be_the_example(engine: SearchEngine) -> None:
    unreported = engine.search(text="glioma", filters=CaseFilter(reported=False), k=1).hits[0]
    assert len(engine.search(like=unreported.key, k=15).hits) == len(CASES) - 1


FILTERS = st.builds(
    CaseFilter,
    sex=st.sampled_from([None, "F", "M", "O"]),
    age_min=st.sampled_from([None, 30.0, 50.0, 81.0]),
    age_max=st.sampled_from([None, 45.0, 70.0]),
    reported=st.sampled_from([None, True, False]),
    finding=st.sampled_from([None, "hydrocephalus", "glioma"]),
)
TEXTS = st.sampled_from(["hydrocephalus", "no haemorrhage", "normal study", "MS", "glioma with midline shift", "pizza"])


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS, filters=FILTERS)
def test_a_filtered_search_is_the_search_filtered(engine: SearchEngine, text: str, filters: CaseFilter) -> None:
    passing = {one.key for one in engine.store.examinations(engine.store.matching(filters).tolist()).values()}
    everything, filtered = engine.search(text=text, k=15), engine.search(text=text, k=15, filters=filters)
    assert filtered.total == len(passing)
    assert essence(filtered) == [one for one in essence(everything) if one[0] in passing]
    assert [hit.evidence for hit in filtered.hits] == [hit.evidence for hit in everything.hits if hit.key in passing]


def test_the_total_is_exact_for_none_one_and_all(engine: SearchEngine) -> None:
    assert engine.search(text="glioma").total == len(CASES)
    one = engine.search(text="glioma", filters=CaseFilter(age_min=80.0))
    assert (one.total, names(one)) == (1, ["st01"])
    none = engine.search(text="glioma", filters=CaseFilter(age_min=100.0))
    assert (none.total, none.hits, none.good_match) == (0, (), False)


def test_pages_put_together_are_the_whole_and_none_follows_the_last(engine: SearchEngine) -> None:
    whole = engine.search(text="hydrocephalus", k=200)
    pages = [engine.search(text="hydrocephalus", k=4, page=page) for page in range(1, 6)]
    assert [one for page in pages for one in essence(page)] == essence(whole)
    assert [hit.rank for page in pages for hit in page.hits] == list(range(1, whole.hits_in_all + 1))
    assert pages[-1].hits == ()
    assert len({hit.key for hit in whole.hits}) == len(whole.hits)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({}, "empty_query"),
        ({"text": ""}, "empty_query"),
        ({"text": " ? "}, "no_words"),
        ({"text": "the of"}, "no_words"),
        ({"text": "x" * 3_000}, "too_long"),
        ({"text": "glioma", "k": 0}, "bad_k"),
        ({"text": "glioma", "k": -1}, "bad_k"),
        ({"text": "glioma", "k": 1_000_000_000}, "bad_k"),
        ({"text": "glioma", "page": 0}, "bad_page"),
        ({"text": "glioma", "page": 10**12}, "bad_page"),
        ({"text": "glioma", "weight": 1.5}, "bad_weight"),
        ({"text": "glioma", "weight": float("nan")}, "bad_weight"),
    ],
)
def test_what_cannot_be_asked_has_its_code(engine: SearchEngine, asked: dict[str, object], code: str) -> None:
    with pytest.raises(QueryError) as caught:
        engine.search(**asked)
    assert caught.value.code == code


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=60), expand=st.booleans())
def test_any_text_has_an_answer_or_a_query_error(engine: SearchEngine, text: str, expand: bool) -> None:
    try:
        answer = engine.search(text=text, k=3, expand=expand)
    except QueryError as error:
        assert error.code in {"empty_query", "no_words"}
    else:
        json.dumps(answer.to_dict())


@pytest.mark.parametrize(
    "text", ['"', "NEAR(glioma", "T2/FLAIR", "don't", "a OR b", "t:x", "{t}:x", "hydro*", "😀 glioma"]
)
def test_punctuation_is_harmless(engine: SearchEngine, text: str) -> None:
    try:
        assert engine.search(text=text).total == len(CASES)
    except QueryError as error:
        assert error.code == "no_words"


def test_an_answer_is_the_same_after_json(engine: SearchEngine, folder: Path) -> None:
    for answer in (engine.search(text="no hydrocephalus"), engine.search(scans=volumes(folder, CASES[0]), text="MS")):
        document = json.loads(json.dumps(answer.to_dict()))
        assert Answer.from_dict(document) == answer
        assert {"query", "expanded", "hits", "total", "good_match", "generation", "encoder_id", "milliseconds"} <= set(
            document
        )
        assert {"rank", "score", "key", "same_participant", "examination", "evidence", "copies"} == set(
            document["hits"][0]
        )
        assert "findings" in document or answer.findings is None
        assert "path" not in json.dumps(document)
        assert str(folder) not in json.dumps(document)


def test_without_reports_the_scans_answer(tmp_path: Path) -> None:
    with SearchEngine.open(build_archive(tmp_path, reports=False), ToyEncoder()) as engine:
        answer = engine.search(text="glioma", k=15)
        assert len(answer.hits) == len(CASES)
        assert {evidence.kind for hit in answer.hits for evidence in hit.evidence} <= {"image"}
        assert answer.hits[0].score > 0.0


def test_many_threads_have_the_same_answer_and_nothing_is_written(engine: SearchEngine, data: Path) -> None:
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file() and path.suffix != ".lock"}
    texts = ["hydrocephalus", "no midline shift", "MS", "normal study"] * 5
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda text: essence(engine.search(text=text)), texts))
    assert answers == [essence(engine.search(text=text)) for text in texts]
    for path, content in before.items():
        if "-shm" not in path.name:
            assert path.read_bytes() == content


def test_another_encoder_and_a_missing_index_are_refused(data: Path, tmp_path: Path) -> None:
    class Other(ToyEncoder):
        encoder_id = "other-encoder"

    with pytest.raises(EncoderMismatch, match="other-encoder"):
        SearchEngine.open(data, Other())
    with pytest.raises(StoreError):
        SearchEngine.open(tmp_path / "nothing", ToyEncoder())
    CaseStore.open(tmp_path / "empty").close()
    with pytest.raises(IndexMissing):
        SearchEngine.open(tmp_path / "empty", ToyEncoder())
