"""The main job on the shared real scans, with the shipped bundle: in, indexed, found by words and by scan."""

from __future__ import annotations

from pathlib import Path

import pytest

import encoders
from search_api import SearchEngine
from training.evaluation_retrieval import SELF_SCORE, RetrievalFigures, evaluate_retrieval

pytestmark = [pytest.mark.shared, pytest.mark.slow]
ASKED = ("multiple sclerosis", "glioma", "acute stroke", "normal study")
SLABS = ("sub-antspilist1", "sub-antspilist25", "sub-antspilist55")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared-cases")


@pytest.fixture(scope="module")
def figures(shared_mri: Path, work: Path) -> RetrievalFigures:
    return evaluate_retrieval(shared_mri, work, encoders.load(), SearchEngine.open, print)


def test_every_examination_is_taken_in_and_only_the_slabs_are_partial(figures: RetrievalFigures) -> None:
    assert figures.examinations == 41
    assert figures.refused == 0
    assert figures.partial == SLABS


@pytest.mark.parametrize("query", ASKED)
def test_the_first_hits_are_of_the_diagnosis(figures: RetrievalFigures, query: str) -> None:
    row = next(row for row in figures.queries if row.query == query)
    assert row.with_reports == row.depth == min(5, row.cases)


def test_each_scan_finds_itself_first(figures: RetrievalFigures) -> None:
    scans = figures.scans
    assert scans.series == scans.found_first == 73
    assert scans.lowest_score >= SELF_SCORE


def test_the_same_persons_other_session_is_marked_and_nobody_elses(figures: RetrievalFigures) -> None:
    scans = figures.scans
    assert scans.other_sessions > 0
    assert scans.other_sessions_marked == scans.other_sessions
    assert scans.others_marked == 0


@pytest.mark.parametrize("query", ASKED)
def test_with_reports_withheld_the_scans_answer_alone(shared_mri: Path, work: Path, query: str) -> None:
    from indexer.ingest import ingest
    from indexer.rebuild import rebuild

    data = work / "withheld"
    if not data.exists():
        flair = work / "flair"
        flair.mkdir()
        for path in sorted(shared_mri.glob("sub-*/**/*_FLAIR.nii.gz"))[:6]:
            (flair / path.name).symlink_to(path)
        ingest(str(flair), data)
        rebuild(data, encoders.load())
    with SearchEngine.open(data) as engine:
        hits = engine.search(query, k=5).hits
        assert len(hits) == 5
        assert {item.kind for hit in hits for item in hit.evidence} == {"image"}
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
