"""Figures and readiness: what Prometheus and whatever starts and stops a server can tell from outside."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from audit_cases import break_audit, fill_disk, free_disk, mend_audit
from fastapi.testclient import TestClient
from http_cases import ADDRESS, PLANTED, assert_discreet, flair_of, serving, upload
from search_cases import build_archive
from site_cases import site_of
from toy_encoder import ToyEncoder

from indexer.generation_files import current_name, names
from indexer.ingest import ingest
from indexer.rebuild import rebuild


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures")
    build_archive(folder)
    return folder


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    with TestClient(site_of(folder / "data"), base_url=ADDRESS) as client:
        assert client.get("/readyz").status_code == 200
        yield client


def figures(client: TestClient) -> dict[str, float]:
    """Every sample with its labels."""
    lines = client.get("/metrics").text.splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}


def test_queries_are_counted_once_by_kind_and_outcome(client: TestClient, folder: Path) -> None:
    client.get("/api/search?q=glioma")
    client.get("/search?q=glioma&k=12")  # a page, whose own call is the query
    client.get("/api/search?q=")
    upload(client, flair_of(folder / "dataset").read_bytes())
    found = figures(client)
    assert found['neurorecall_queries_total{kind="search",outcome="answered"}'] == 2
    assert found['neurorecall_queries_total{kind="search",outcome="refused"}'] == 1
    assert found['neurorecall_queries_total{kind="score",outcome="answered"}'] == 1
    assert found['neurorecall_query_seconds_count{kind="search"}'] == 3
    assert found['neurorecall_query_seconds_sum{kind="search"}'] > 0
    assert found['neurorecall_requests_total{method="GET",route="/search",status="200"}'] == 1
    assert found["neurorecall_audit_seconds_count"] == 4
    assert found["neurorecall_audit_failures_total"] == 0


def test_refused_uploads_are_counted_by_code(client: TestClient) -> None:
    upload(client, b"PK" * 200)
    upload(client, b"PK" * 200)
    client.post("/api/score", json={"files": []})
    found = figures(client)
    assert found['neurorecall_uploads_refused_total{code="not_nifti"}'] == 2
    assert found['neurorecall_uploads_refused_total{code="not_multipart"}'] == 1
    assert found["neurorecall_uploads_in_progress"] == found["neurorecall_uploads_waiting"] == 0
    assert found["neurorecall_requests_in_progress"] == 1  # this one


def test_the_generation_its_age_and_the_free_space_are_told(client: TestClient, folder: Path) -> None:
    found = figures(client)
    name = current_name(folder / "data")
    assert found[f'neurorecall_generation_info{{encoder_id="toy-64",generation="{name}"}}'] == 1
    assert 0 <= found["neurorecall_generation_age_seconds"] < 3600
    assert found["neurorecall_free_bytes"] == pytest.approx(shutil.disk_usage(folder).free, rel=0.05)
    assert found["neurorecall_ready"] == 1


def test_labels_are_templates_and_words_of_ours_whatever_is_asked(client: TestClient) -> None:
    for number in range(50):
        client.get(f"/{PLANTED}{number}")
        client.get(f"/api/examinations/{PLANTED}{number}")
        client.request(f"{PLANTED}{number}", "/api/search")
        client.get(f"/api/search?q={PLANTED}{number}&{PLANTED}=1")
    before = set(figures(client))
    assert not [name for name in before if PLANTED in name]
    routes = {found[1] for name in before if (found := re.search(r'route="([^"]*)"', name))}
    assert routes <= {"unmatched", "/readyz", "/metrics", "/api/search", "/api/examinations/{key}"}


def reasons(client: TestClient, status: int) -> list[str]:
    answer = client.get("/readyz")
    assert answer.status_code == status, answer.text
    assert_discreet(answer.text)
    assert answer.json()["ready"] == (status == 200)
    assert all(one["message"] and one["hint"] for one in answer.json()["reasons"])
    return [one["code"] for one in answer.json()["reasons"]]


def test_without_an_index_and_with_another_encoders_the_reason_is_told(tmp_path: Path, folder: Path) -> None:
    with serving(tmp_path / "data") as client:
        assert reasons(client, 503) == ["index_missing"] or reasons(client, 503) == ["store_missing"]
    shutil.copytree(folder / "data", tmp_path / "other")
    rebuild(tmp_path / "other", ToyEncoder("other"))
    with serving(tmp_path / "other") as client:
        assert reasons(client, 503) == ["encoder_mismatch"]


def test_a_damaged_store_is_a_reason(tmp_path: Path, folder: Path) -> None:
    shutil.copytree(folder / "data", tmp_path / "data")
    for file in (tmp_path / "data").glob("cases.sqlite*"):
        file.write_bytes(b"no database at all" * 1000)
    with serving(tmp_path / "data") as client:
        assert reasons(client, 503) == ["store_damaged"]


def test_an_audit_that_cannot_be_written_is_a_reason_until_it_can(tmp_path: Path, folder: Path) -> None:
    data = shutil.copytree(folder / "data", tmp_path / "data")
    with serving(data) as client:
        assert reasons(client, 200) == []
        break_audit(data)
        assert reasons(client, 503) == ["audit_unavailable"]
        assert figures(client)["neurorecall_ready"] == 0
        assert client.get("/api/search?q=glioma").status_code == 503
        assert figures(client)["neurorecall_audit_failures_total"] == 1
        assert client.get("/healthz").status_code == 200
        mend_audit(data)
        assert reasons(client, 200) == []
        kept = fill_disk(data)
        assert client.get("/api/search?q=glioma").status_code == 507
        assert figures(client)["neurorecall_audit_failures_total"] == 2
        free_disk(data, kept)
        assert client.get("/api/search?q=glioma").status_code == 200


def test_little_free_space_is_told_while_questions_are_answered(folder: Path) -> None:
    with serving(folder / "data", free_bytes=2**62) as client:
        assert reasons(client, 200) == ["disk_nearly_full"]
        assert client.get("/api/search?q=glioma").status_code == 200


def test_a_broken_newer_generation_is_told_while_the_older_one_answers(tmp_path: Path) -> None:
    data = build_archive(tmp_path)
    older = current_name(data)
    reports = tmp_path / "dataset" / "reports.tsv"
    reports.write_text(reports.read_text("utf-8") + "sub-nr01\tses-1\tCerebral abscess.\tAbscess.\n", "utf-8")
    ingest(str(tmp_path / "dataset"), data, reports=reports)
    rebuild(data, ToyEncoder())
    newer = names(data)[0]
    assert newer != older
    (data / "generations" / newer / "report.faiss").write_bytes(b"")
    with serving(data) as client:
        assert reasons(client, 200) == ["generation_skipped"]
        assert client.get("/api/search?q=glioma").json()["generation"] == older
        assert figures(client)["neurorecall_ready"] == 1
