"""Uploads: each file in a process of its own with limits, so many at a time, and nothing left of them."""

from __future__ import annotations

import asyncio
import gzip
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from http_cases import ADDRESS, assert_refused, flair_of, serving, upload
from search_cases import CASES, build_archive, scan_of
from test_volume import nifti, smooth_voxels
from toy_encoder import ToyEncoder

from encoders.volume import VolumeError, read_volume
from search_api.app import build_app
from search_api.settings import Settings
from search_api.uploads import run_worker


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uploads")
    build_archive(folder)
    return folder


@pytest.fixture
def client(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with serving(folder / "data", upload_wait_seconds=0.0) as client:
        yield client
    assert list(tmp_path.iterdir()) == []


def parsed(options: dict[str, object], content: bytes) -> bytes:
    """What the worker answers."""

    def filled(made: IO[bytes]) -> IO[bytes]:
        made.write(content)
        made.seek(0)
        return made

    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as outcome:
        run_worker({**OPTIONS, **options}, filled(source), outcome, 30.0)
        outcome.seek(0)
        return outcome.read()


OPTIONS = {
    "name": "The file",
    "frame": None,
    "voxels": 512**3,
    "file_bytes": 300 * 1024**2,
    "inflated_bytes": 1024**3,
    "memory_bytes": 4 * 1024**3,
    "seconds": 30,
}


def test_the_worker_reads_what_read_volume_reads() -> None:
    content = gzip.compress(nifti())
    line, _, voxels = parsed({}, content).partition(b"\n")
    assert b'"shape"' in line
    np.testing.assert_array_equal(np.frombuffer(voxels, np.float32), read_volume(content).voxels.ravel())


def test_the_worker_ends_at_its_memory_limit() -> None:
    large = gzip.compress(nifti(np.tile(smooth_voxels(), (16, 16, 18))), 1)
    assert b'"shape"' in parsed({}, large)[:200]
    answer = parsed({"memory_bytes": 260 * 1024**2}, large)
    assert answer == b"" or b"too_large" in answer


def test_the_worker_is_ended_when_it_takes_too_long() -> None:
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as outcome:
        source.write(gzip.compress(nifti()))
        source.seek(0)
        began = time.monotonic()
        with pytest.raises(VolumeError) as raised:
            run_worker(OPTIONS, source, outcome, 0.001)
    assert raised.value.code == "too_slow"
    assert time.monotonic() - began < 10.0


def test_a_scan_that_is_stored_finds_itself_first(client: TestClient, folder: Path) -> None:
    scan = flair_of(folder / "dataset", "gl01")
    answer = upload(client, scan.read_bytes(), scan.name, to="search/scan").json()
    assert answer["hits"][0]["examination"]["participant"] == "sub-gl01"
    assert answer["hits"][0]["score"] >= 0.999
    assert answer["findings"][0]["finding"] == "abnormal"
    assert answer["hits"][0]["evidence"][0]["kind"] == "image"


def test_words_filters_and_weight_go_with_a_scan(client: TestClient, folder: Path) -> None:
    scan = flair_of(folder / "dataset", "gl01")
    content = scan.read_bytes()
    both = upload(client, content, scan.name, to="search/scan", q="hydrocephalus", weight="0.1", k="3").json()
    assert both["query"] == "hydrocephalus"
    assert len(both["hits"]) == both["k"] == 3
    assert both["hits"][0]["examination"]["diagnosis"] == "hydrocephalus"
    women = upload(client, content, scan.name, to="search/scan", sex="F", k="200").json()
    assert {hit["examination"]["sex"] for hit in women["hits"]} == {"F"}
    assert women["total"] == sum(case.sex == "F" for case in CASES)


def test_several_series_are_scored_together(client: TestClient, folder: Path) -> None:
    scans = [scan_of(folder / "dataset", CASES[0], name) for name in ("FLAIR", "T1w")]
    files = [("files", (scan.name, scan.read_bytes())) for scan in scans]
    report = client.post("/api/score", files=files).json()
    assert [series["sequence"] for series in report["series"]] == ["FLAIR", "T1w"]
    assert report["findings"][0] == report["abnormal"]
    swapped = client.post("/api/score", files=files, data={"sequences": "T2w,"}).json()
    assert [series["sequence"] for series in swapped["series"]] == ["T2w", "T1w"]
    listed = client.post("/api/score", files=files, data={"sequences": ["DWI", "ADC"]}).json()
    assert [series["sequence"] for series in listed["series"]] == ["DWI", "ADC"]


def test_the_files_of_one_upload_are_bounded_together(folder: Path) -> None:
    files = [("files", (f"{number}_FLAIR.nii", nifti())) for number in range(3)]
    with serving(folder / "data", voxels=2 * smooth_voxels().size) as client:
        assert client.post("/api/score", files=files[:2]).status_code == 200
        assert_refused(client.post("/api/score", files=files), 413, "too_large")
    with serving(folder / "data", files=2) as client:
        assert_refused(client.post("/api/score", files=files), 400, "bad_multipart")


def test_a_report_is_checked_against_its_scan(client: TestClient, folder: Path) -> None:
    scan = flair_of(folder / "dataset")
    checked = upload(client, scan.read_bytes(), scan.name, to="check-report", report="No hydrocephalus.").json()
    assert checked["checked"] == 0  # nothing has a threshold
    assert checked["statements"] == checked["unmentioned"] == []
    assert any("No finding has a threshold" in notice for notice in checked["notices"])


def test_sentences_are_asked_of_bundles_only_and_a_few_at_a_time(client: TestClient, folder: Path) -> None:
    scan = flair_of(folder / "dataset")
    content = scan.read_bytes()
    assert upload(client, content, scan.name, ask=" \n").json()["asked"] == []
    assert_refused(upload(client, content, scan.name, ask="there is a cyst"), 400, "no_asking")
    many = "\n".join(f"there is a cyst of {number} mm" for number in range(21))
    assert_refused(upload(client, content, scan.name, ask=many), 400, "too_many_sentences")
    assert_refused(upload(client, content, scan.name, ask="a" * 2001), 400, "too_long")


def test_more_uploads_than_slots_are_told_to_come_back(folder: Path) -> None:
    app = build_app(Settings(data=folder / "data", uploads=1, upload_wait_seconds=0.0), encoder=ToyEncoder())
    content = flair_of(folder / "dataset").read_bytes()

    async def all_at_once() -> tuple[list[httpx.Response], httpx.Response]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url=ADDRESS) as client:
            uploads = [client.post("/api/score", files=[("files", ("a_FLAIR.nii", content))]) for _ in range(6)]
            answers, search = await asyncio.gather(asyncio.gather(*uploads), client.get("/api/search?q=glioma"))
            return list(answers), search

    answers, search = asyncio.run(all_at_once())
    assert search.status_code == 200
    assert sorted({answer.status_code for answer in answers}) == [200, 503]
    for answer in answers:
        if answer.status_code == 503:
            assert answer.json()["code"] == "busy"
            assert int(answer.headers["retry-after"]) > 0
    with serving(folder / "data", uploads=1, upload_wait_seconds=0.0) as client:
        assert upload(client, content).status_code == 200
        assert upload(client, content).status_code == 200


def test_an_upload_waits_for_a_free_slot(folder: Path) -> None:
    app = build_app(Settings(data=folder / "data", uploads=1, upload_wait_seconds=60.0), encoder=ToyEncoder())
    content = flair_of(folder / "dataset").read_bytes()

    async def both() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=ADDRESS) as client:
            asked = [client.post("/api/score", files=[("files", ("a_FLAIR.nii", content))]) for _ in range(2)]
            return list(await asyncio.gather(*asked))

    assert [answer.status_code for answer in asyncio.run(both())] == [200, 200]
