"""What cannot be scored, or has no threshold, in the worklist, the case page, and the stored scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from fastapi.testclient import TestClient
from search_cases import write_volume
from test_report_check import FixedScores
from typer.testing import CliRunner

import encoders
import search_api.commands
from encoders.bundle import SeriesEncoding
from encoders.calibration import Measured, OperatingPoint
from encoders.findings import FindingScore
from encoders.sequences import MRSequence
from encoders.volume import Volume, read_volume
from indexer.case_store import CaseStore
from indexer.cases import CaseFilter
from indexer.ingest import ingest
from indexer.rebuild import rebuild
from search_api.app import build_app
from search_api.engine import SearchEngine
from search_api.settings import Settings
from web import build_site

SERIES = {
    "knee": ("T2w",),  # no brain
    "thin": ("SWI",),  # of too little
    "beside": ("FLAIR", "T2w"),  # a brain, and something else
    "whole": ("FLAIR", "T1w"),
    "alone": ("T1w",),  # "abnormal" is not calibrated
    "other": ("T1w",),
}
FIGURES = Measured(0.9, 0.8, 100, (0.82, 0.95), (0.71, 0.87), "100 made-up examinations, 2026-11-24")


class Selective(FixedScores):
    """T2w is never a brain, SWI always a quarter of one; for T1w alone nothing is calibrated but an infarct."""

    def __init__(self) -> None:
        super().__init__(abnormal=0.9, infarct=0.8)

    def encode_series(self, volume: Volume) -> SeriesEncoding:
        found = super().encode_series(volume)
        coverage = 0.25 if volume.sequence is MRSequence.SWI else 1.0
        return replace(found, in_range=volume.sequence is not MRSequence.T2W, coverage=coverage, partial=coverage < 0.7)

    def score_series(self, embeddings, sequences, point: OperatingPoint | None = None) -> tuple[FindingScore, ...]:
        assert not {MRSequence.T2W, MRSequence.SWI} & set(sequences)
        if point is not None and point.aim == "npv":
            note = f"{point} cannot be reached: the best that is reached is 0.930."
            return tuple(
                replace(one, threshold=None, flagged=False, note=note)
                for one in super().score_series(embeddings, sequences)
            )
        scores = [replace(one, measured=FIGURES) for one in super().score_series(embeddings, sequences, point)]
        alone = set(sequences) == {MRSequence.T1W}
        return tuple(one for one in scores if not alone or one.finding == "infarct")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("groups")
    (folder / "bids").mkdir()
    (folder / "bids" / "dataset_description.json").write_text('{"Name": "groups", "BIDSVersion": "1.10.0"}', "utf-8")
    for number, (name, sequences) in enumerate(SERIES.items()):
        for place, sequence in enumerate(sequences):
            write_volume(
                folder / "bids" / f"sub-{name}" / "anat" / f"sub-{name}_{sequence}.nii.gz", 10 * number + place
            )
    ingest(str(folder / "bids"), folder / "data")
    rebuild(folder / "data", Selective())
    return folder / "data"


@pytest.fixture
def engine(data: Path) -> Iterator[SearchEngine]:
    with SearchEngine.open(data, Selective()) as opened:
        yield opened


def test_the_groups_follow_each_other_with_their_reasons(engine: SearchEngine, data: Path) -> None:
    entries = engine.triage().entries
    assert [entry.group for entry in entries] == ["scored"] * 2 + ["no_threshold"] * 2 + ["not_scored"] * 2
    named = {entry.examination.participant.removeprefix("sub-"): entry for entry in entries}
    assert {name: entry.why for name, entry in named.items()} == {
        "beside": None,
        "whole": None,
        "alone": "not calibrated for T1w alone",
        "other": "not calibrated for T1w alone",
        "knee": "T2w: it does not look like a brain MRI",
        "thin": "SWI: it covers only 25% of the brain",
    }
    assert all(entry.score is None and not entry.flagged for entry in entries[2:])
    assert named["beside"].flagged and named["beside"].score == 0.9
    assert [reason.finding for reason in named["alone"].reasons] == ["infarct"]
    assert named["knee"].reasons == named["thin"].reasons == ()
    orders = [_order(engine, data, entry.examination.participant) for entry in entries[2:4]]
    assert orders[0] > orders[1]


def _order(engine: SearchEngine, data: Path, person: str) -> float:
    volume = read_volume(data.parent / "bids" / person / "anat" / f"{person}_T1w.nii.gz")
    return engine.encoder.reading_order(engine.encoder.encode_series(volume).embedding[None], [MRSequence.T1W])


def test_stored_scores_are_of_the_same_series(engine: SearchEngine, data: Path) -> None:
    keys = {one.examination.participant.removeprefix("sub-"): one.key for one in engine.triage().entries}
    assert engine.stored_scores(keys["knee"]).findings == ()
    assert engine.stored_scores(keys["knee"]).unscored == "T2w: it does not look like a brain MRI"
    alone = engine.stored_scores(keys["alone"])
    assert [one.finding for one in alone.findings] == ["infarct"]
    assert set(alone.not_calibrated) == {"abnormal", "hydrocephalus", "meningioma", "haemorrhage"}
    with CaseStore.open(data, read_only=True) as store:
        flagged = {
            store.examinations([int(one)])[int(one)].participant
            for one in store.matching(CaseFilter(finding="infarct"))
        }
        scored = store.scores(store.matching(CaseFilter()))
    assert flagged == {"sub-beside", "sub-whole", "sub-alone", "sub-other"}
    assert sorted(map(len, scored.values())) == [1, 1, 5, 5]


def test_a_point_that_cannot_be_reached_is_said_with_the_best(engine: SearchEngine) -> None:
    listed = engine.triage("npv=0.99@0.3")
    assert {entry.group for entry in listed.entries} == {"no_threshold", "not_scored"}
    assert all(entry.reasons == () for entry in listed.entries)
    assert any("npv=0.99@0.3 cannot be reached: the best that is reached is 0.930" in note for note in listed.notices)
    assert not any("measured" in note for note in listed.notices)


def test_the_command_shows_groups_and_figures(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "load", Selective)
    app = typer.Typer()
    search_api.commands.register(app)
    shown = CliRunner().invoke(app, ["triage", "--data", str(data), "--prevalence", "0.5"]).stdout
    places = [shown.index(part) for part in ("flagged for review", "Without a threshold", "Cannot be scored:")]
    assert places == sorted(places)
    assert "0.90 / 0.50" in shown and "threshold 0.500 (sensitivity=0.9)" in shown
    assert "sensitivity 90 % (82–95 %), specificity 80 % (71–87 %), n = 100" in shown
    assert "infarct 0.80 / 0.50 (sensitivity 90 %" in shown
    assert "measured on: 100 made-up examinations, 2026-11-24." in shown
    assert "82 % of such flags are right" in shown


def test_the_pages_say_the_same(data: Path) -> None:
    app = build_app(Settings(data=data), encoder=Selective())
    build_site(app)
    with TestClient(app, base_url="http://127.0.0.1") as site:
        listed = site.get("/api/triage").json()["entries"]
        page = site.get("/triage").text
        knee = next(entry for entry in listed if entry["examination"]["participant"] == "sub-knee")
        document = site.get(f"/api/examinations/{knee['key']}").json()
        case = site.get(f"/case/{knee['key']}").text
    places = [page.index(part) for part in ("flagged for review", "Without a threshold", "Cannot be scored")]
    assert places == sorted(places)
    assert "sensitivity 90 % (82–95 %)" in page and "100 made-up examinations, 2026-11-24" in page
    assert (knee["score"], knee["group"], document["findings"]) == (None, "not_scored", [])
    assert document["unscored"] == "T2w: it does not look like a brain MRI"
    assert "No finding is scored: <bdi>T2w: it does not look like a brain MRI</bdi>" in case
