"""Cohorts on disk: harmless cells, whole or not at all, and a BIDS dataset that can be ingested again."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import nibabel
import pytest
from search_cases import build_archive
from toy_encoder import ToyEncoder

from indexer.case_store import CaseStore
from indexer.ingest import ingest
from search_api.answers import BANNER
from search_api.engine import SearchEngine
from search_api.export import ExportError, Format, export, safe_cell, write_csv


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_archive(tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="module")
def engine(data: Path) -> Iterator[SearchEngine]:
    with SearchEngine.open(data, ToyEncoder()) as engine:
        yield engine


def test_a_table_has_one_line_a_case_with_report_and_provenance(engine: SearchEngine, tmp_path: Path) -> None:
    answer = engine.search(text="glioma", k=4)
    summary = export([answer], engine.store, tmp_path / "cohort", Format.CSV)
    with (tmp_path / "cohort" / "cases.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["key"] for row in rows] == [hit.key for hit in answer.hits]
    assert "Glioma" in rows[0]["report"]
    assert summary.cases == 4
    about = json.loads((tmp_path / "cohort" / "export.json").read_text("utf-8"))
    assert (about["notice"], about["query"], about["generation"]) == (BANNER, "glioma", answer.generation)


@pytest.mark.parametrize("text", ["=cmd()", "+1", "-1", "@x", "\t=1", " =1", "\r=1"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert safe_cell(text) == f"'{text}"


def test_formulas_in_the_archive_do_not_reach_the_table(engine: SearchEngine, tmp_path: Path) -> None:
    hit = engine.search(text="glioma", k=1).hits[0]
    evil = replace(hit, examination=replace(hit.examination, diagnosis='=HYPERLINK("x")', participant="@who"))
    with (tmp_path / "cases.csv").open("w", encoding="utf-8", newline="") as file:
        write_csv([evil], engine.store, file)
    with (tmp_path / "cases.csv").open(encoding="utf-8", newline="") as file:
        row = next(csv.DictReader(file))
    assert (row["diagnosis"], row["participant"]) == ('\'=HYPERLINK("x")', "'@who")


def test_a_bids_export_can_be_ingested_again(engine: SearchEngine, tmp_path: Path) -> None:
    answer = engine.search(text="multiple sclerosis", k=6)
    cohort = tmp_path / "cohort"
    summary = export([answer], engine.store, cohort, Format.BIDS)
    assert (summary.cases, summary.series, summary.left_out) == (6, 12, ())
    taken = ingest(str(cohort), tmp_path / "data", reports=cohort / "reports.tsv")
    assert (taken.added, len(taken.refused)) == (6, 0)
    with CaseStore.open(tmp_path / "data", read_only=True) as store:
        assert store.counts().series == 12
        assert store.counts().reported == sum(hit.examination.reported for hit in answer.hits)
        assert store.counts().participants == len({hit.examination.participant for hit in answer.hits})
        assert store.facets()["sequence"] == {"FLAIR": 6, "T1w": 6}


def test_the_voxels_are_those_of_the_store(engine: SearchEngine, tmp_path: Path) -> None:
    answer = engine.search(text="meningioma", k=1)
    export([answer], engine.store, tmp_path / "cohort", Format.BIDS)
    key = answer.hits[0].key
    copies = {contents(path) for path in (tmp_path / "cohort").rglob("*.nii.gz")}
    assert len(copies) == len(answer.hits[0].examination.series)
    assert copies == {
        contents(engine.store.series_file(key, series.number)) for series in answer.hits[0].examination.series
    }


def contents(path: Path) -> tuple[bytes, bytes, str, tuple[float, ...]]:
    """What must be the same: voxels as stored, affine, data type, spacing."""
    image = nibabel.load(path)
    voxels = image.dataobj.get_unscaled()
    return voxels.tobytes(), image.affine.tobytes(), str(voxels.dtype), tuple(map(float, image.header.get_zooms()))


def test_a_folder_with_something_in_it_is_left_alone(engine: SearchEngine, tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("mine", "utf-8")
    with pytest.raises(ExportError, match="empty folder"):
        export([engine.search(text="glioma")], engine.store, tmp_path, Format.CSV)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


def test_nothing_is_left_behind_when_an_export_fails(engine: SearchEngine, tmp_path: Path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("search_api.export.bare_nifti", full)
    with pytest.raises(OSError, match="No space"):
        export([engine.search(text="glioma", k=2)], engine.store, tmp_path / "cohort", Format.BIDS)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_answer_is_not_a_cohort(engine: SearchEngine, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="none"):
        export([engine.search(text="glioma", k=200, page=2)], engine.store, tmp_path / "cohort", Format.CSV)
