"""A newer generation while the engine is open: it is swapped in, and removed cases are gone at once."""

from __future__ import annotations

from pathlib import Path

from search_cases import CASES, build_archive
from toy_encoder import ToyEncoder

from indexer.case_store import CaseStore
from indexer.ingest import ingest
from indexer.rebuild import rebuild
from search_api.engine import SearchEngine


def test_a_newer_generation_is_swapped_in_and_answers_stay_whole(tmp_path: Path) -> None:
    data = build_archive(tmp_path)
    with SearchEngine.open(data, ToyEncoder()) as engine:
        before = engine.search(text="abscess")
        assert not engine.reload()
        reports = tmp_path / "dataset" / "reports.tsv"
        reports.write_text(reports.read_text("utf-8") + "sub-nr01\tses-1\tCerebral abscess.\tAbscess.\n", "utf-8")
        ingest(str(tmp_path / "dataset"), data, reports=reports)
        rebuild(data, ToyEncoder())
        assert engine.reload()
        after = engine.search(text="abscess")
        assert after.generation != before.generation
        assert not before.good_match
        assert after.good_match
        assert "nr01" in after.hits[0].examination.participant


def test_a_removed_case_is_not_returned_before_the_next_rebuild(tmp_path: Path) -> None:
    data = build_archive(tmp_path)
    with SearchEngine.open(data, ToyEncoder()) as engine:
        first = engine.search(text="meningioma").hits[0]
        with CaseStore.open(data) as store:
            store.remove(first.key)
        answer = engine.search(text="meningioma", k=15)
        assert first.key not in [hit.key for hit in answer.hits]
        assert answer.total == len(answer.hits) == len(CASES) - 1
