"""Suggested findings: what is flagged, phrased for review, with cases that have it and one that has not."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from http_cases import ADDRESS, assert_refused, flair_of, upload
from search_cases import build_archive
from test_report_check import FixedScores
from toy_encoder import ToyEncoder

import encoders
from encoders.explain import side_of
from encoders.findings import Finding
from encoders.volume import read_volume
from indexer.cases import CaseMissing
from search_api.app import build_app
from search_api.client import Client
from search_api.engine import SearchEngine
from search_api.query import QueryError
from search_api.scan_answers import Suggestions
from search_api.settings import Settings

LOW = {"infarct": 0.1, "meningioma": 0.1}
GLIOMA = Finding("glioma", "glioma", ("There is a glioma.",), ("No glioma.",))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suggestions")
    build_archive(folder)
    return folder


@pytest.fixture
def engine(folder: Path) -> SearchEngine:
    return SearchEngine.open(folder / "data", FixedScores(hydrocephalus=0.9, haemorrhage=0.7, **LOW))


def test_flagged_findings_come_with_cases_that_have_them_and_one_that_has_not(
    engine: SearchEngine, folder: Path
) -> None:
    with engine:
        suggested = engine.suggest([read_volume(flair_of(folder / "dataset", "nr01"))])
    assert [one.finding for one in suggested.suggestions] == ["hydrocephalus", "haemorrhage"]
    first = suggested.suggestions[0]
    assert first.rank == 1 and first.score.threshold is not None
    assert first.sentence == "Possible hydrocephalus, most evident in FLAIR; for review."
    assert {hit.examination.participant for hit in first.similar} <= {"sub-hy01", "sub-hy02", "sub-me01"} and len(
        first.similar
    ) == 3
    assert len(first.look_alike) == 1
    assert first.look_alike[0].examination.participant not in {"sub-hy01", "sub-hy02", "sub-me01"}
    assert Suggestions.from_dict(suggested.to_dict()) == suggested


def test_the_scans_own_person_is_no_precedent(engine: SearchEngine) -> None:
    with engine:
        found = engine.search("hydrocephalus", k=10)
        own = next(hit for hit in found.hits if hit.examination.participant == "sub-hy01")
        suggested = engine.suggest(key=own.key)
    shown = [hit for one in suggested.suggestions for hit in (*one.similar, *one.look_alike)]
    assert shown
    assert "sub-hy01" not in {hit.examination.participant for hit in shown}


def test_where_nothing_is_flagged_nothing_is_suggested_and_it_is_said(folder: Path) -> None:
    with SearchEngine.open(folder / "data", FixedScores(measured=False, hydrocephalus=0.99)) as engine:
        suggested = engine.suggest([read_volume(flair_of(folder / "dataset", "nr01"))])
    assert suggested.suggestions == ()
    assert any("No finding has a threshold for FLAIR alone" in notice for notice in suggested.notices)
    with SearchEngine.open(folder / "data", FixedScores(hydrocephalus=0.1, haemorrhage=0.1, **LOW)) as engine:
        suggested = engine.suggest([read_volume(flair_of(folder / "dataset", "nr01"))])
    assert suggested.suggestions == ()
    assert any("does not make a scan normal" in notice for notice in suggested.notices)


def test_what_cannot_be_asked_has_its_error(engine: SearchEngine) -> None:
    with engine:
        with pytest.raises(QueryError, match="No scan"):
            engine.suggest([])
        with pytest.raises(CaseMissing):
            engine.suggest(key="no-such-case")


@pytest.mark.parametrize(
    ("tumour", "oedema", "side"),
    [
        ((0.9, 0.1), (0.0, 0.0), "left"),
        ((0.1, 0.2), (0.1, 0.8), "right"),
        ((0.9, 0.8), (0.0, 0.0), None),  # on both
        ((0.4, 0.0), (0.0, 0.0), None),  # hardly anywhere
    ],
)
def test_a_side_is_named_only_where_it_is_clear(
    tumour: tuple[float, float], oedema: tuple[float, float], side: str | None
) -> None:
    assert side_of(GLIOMA, {"tumour": tumour, "oedema": oedema}) == side
    assert side_of(GLIOMA, {}) is None
    assert side_of(Finding("hydrocephalus", "hydrocephalus", ("a",), ("b",)), {"ventricles": (1.0, 0.0)}) is None


def test_over_http_the_same_is_suggested_for_files_and_for_a_case(folder: Path) -> None:
    app = build_app(Settings(data=folder / "data"), encoder=FixedScores(hydrocephalus=0.9, haemorrhage=0.1, **LOW))
    scan = flair_of(folder / "dataset", "nr01")
    with TestClient(app, base_url=ADDRESS) as client:
        uploaded = upload(client, scan.read_bytes(), scan.name, to="suggest")
        assert uploaded.status_code == 200
        assert [one["finding"] for one in uploaded.json()["suggestions"]] == ["hydrocephalus"]
        waiting = client.get("/api/triage").json()["entries"]
        key = next(entry["key"] for entry in waiting if entry["examination"]["participant"] == "sub-nr01")
        stored = client.get(f"/api/examinations/{key}/suggestions").json()
        assert [one["sentence"] for one in stored["suggestions"]] == [
            one["sentence"] for one in uploaded.json()["suggestions"]
        ]
        assert_refused(client.get("/api/examinations/none/suggestions"), 404, "not_found")
        assert_refused(client.post("/api/suggest", files=[("other", ("a.nii", b"x"))]), 400, "no_files")
        assert_refused(upload(client, b"no volume", "a_FLAIR.nii", to="suggest"), 415, "not_nifti")


def test_a_report_alone_is_compared_with_itself(folder: Path) -> None:
    app = build_app(Settings(data=folder / "data"), encoder=ToyEncoder())
    text = "FINDINGS:\nLeft frontal meningioma.\n\nIMPRESSION:\nRight frontal meningioma."
    with TestClient(app, base_url=ADDRESS) as client:
        checked = client.post("/api/check-report", files={"report": (None, text)}).json()
        assert [one["kind"] for one in checked["contradictions"]] == ["side"]
        assert checked["findings"] == checked["statements"] == []
        foreign = client.post("/api/check-report", files={"report": (None, "Unauffälliger Befund.")}).json()
        assert foreign["outside"] == "language"
        assert any("not seem to be in English" in notice for notice in foreign["notices"])
        for content in (text.encode(), text.encode("utf-16"), b"\xef\xbb\xbf" + text.encode()):
            sent = client.post("/api/check-report", files={"report": ("report.txt", content)}).json()
            assert sent["contradictions"] == checked["contradictions"]
        binary = client.post("/api/check-report", files={"report": ("report.doc", bytes(range(256)) * 8)})
        assert_refused(binary, 400, "bad_report")
        transport = httpx.MockTransport(lambda _: httpx.Response(200, json=checked))
        with Client(ADDRESS, transport=transport) as asking:
            assert [one.second for one in asking.check_report([], text).contradictions] == ["Right frontal meningioma."]


def test_a_stored_glioma_is_suggested_in_its_place(tmp_path: Path) -> None:
    """With the shipped networks: the voxel that is named is inside the series, and the same point in mm."""
    from encoders.sequences import MRSequence
    from encoders.volume import Volume
    from search_api.scoring import encode_scans
    from search_api.suggestions import suggest
    from training.phantoms.contrast import render
    from training.phantoms.pathology import make_phantom
    from training.phantoms.scenario import draw_facts

    seed = next(
        seed
        for seed in range(9_600_000, 9_600_400)
        if (facts := draw_facts(seed)).diagnosis == "glioma"
        and any((item.size_mm or 0) > 40 and item.side in ("left", "right") for item in facts.abnormalities)
    )
    phantom = make_phantom(seed)
    bundle = encoders.load()
    kinds = (MRSequence.FLAIR, MRSequence.T2W, MRSequence.T1W)
    volumes = [Volume.from_voxels(*render(phantom, kind, seed), kind) for kind in kinds]
    suggested = suggest(bundle, volumes, encode_scans(bundle, volumes))
    placed = [one for one in suggested.suggestions if one.place is not None]
    assert placed
    for one in placed:
        volume = volumes[one.place.series - 1]
        assert all(0 <= index < length for index, length in zip(one.place.voxel, volume.voxels.shape, strict=True))
        back = volume.affine[:3, :3] @ one.place.voxel + volume.affine[:3, 3]
        assert max(abs(back - one.place.millimetres)) <= 0.51 * max(volume.spacing) + 0.1


def test_findings_in_one_place_are_one_suggestion_and_ventricles_are_another() -> None:
    from search_api.scan_answers import Place
    from search_api.suggestions import _same, _sentence

    here, near, far = (Place(1, "FLAIR", (0, 0, 0), (x, 0.0, 0.0)) for x in (0.0, 20.0, 50.0))
    assert _same(here, near) and not _same(here, far) and not _same(here, None)
    sentence = _sentence(GLIOMA, "left", "FLAIR", ["old infarct", "meningioma"])
    assert sentence == "Possible glioma (or old infarct, or meningioma) on the left, most evident in FLAIR; for review."
