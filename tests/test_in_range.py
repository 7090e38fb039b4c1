"""Scans that do not look like a brain MRI: how that is learned and told, and what is done with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from indexed import key_of, make_archive
from search_cases import CASES, build_archive, scan_of
from test_report_check import FixedScores

import encoders
from encoders.bundle import EncodingError, SeriesEncoding
from encoders.in_range import load_rules, save_rules
from encoders.sequences import MRSequence
from encoders.volume import Volume, read_volume
from indexer.case_store import CaseStore
from indexer.rebuild import rebuild
from search_api.engine import SearchEngine
from training.evaluation_range import range_table
from training.other_things import KINDS, draw_other
from training.out_of_range import fit_rule


class Doubtful(FixedScores):
    """Takes every series but T1w for something else than a brain."""

    def encode_series(self, volume: Volume) -> SeriesEncoding:
        return replace(super().encode_series(volume), in_range=volume.sequence is MRSequence.T1W)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    build_archive(folder)
    return folder


@contextmanager
def doubting(folder: Path) -> Iterator[SearchEngine]:
    encoder = Doubtful()
    encoder.fixed = {"abnormal": 0.9, "infarct": 0.9, "meningioma": 0.9}
    with SearchEngine.open(folder / "data", encoder) as engine:
        yield engine


def scan(folder: Path, sequence: str) -> Volume:
    return read_volume(scan_of(folder / "dataset", CASES[0], sequence))


def test_a_rule_parts_what_it_was_shown_and_is_kept(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    brains = rng.normal(0, 1, (300, 40)).astype(np.float32)
    others = rng.normal(0, 3, (300, 40)).astype(np.float32) + 4
    rule = fit_rule(brains[:200], others[:200])
    assert np.mean([rule.holds(row) for row in brains[200:]]) > 0.97
    assert np.mean([rule.holds(row) for row in others[200:]]) < 0.03
    save_rules({"vision/flair.safetensors": rule}, tmp_path / "range.safetensors")
    kept = load_rules(tmp_path / "range.safetensors")["vision/flair.safetensors"]
    np.testing.assert_array_equal(kept.likeness(others), rule.likeness(others))
    assert kept.threshold == rule.threshold
    assert load_rules(tmp_path / "no such file") == {}


@pytest.mark.slow
def test_other_things_are_of_every_kind_and_the_same_for_a_seed() -> None:
    drawn = [draw_other(seed, MRSequence.T2W) for seed in range(30)]
    assert {kind for kind, _ in drawn} == set(KINDS)
    for kind, volume in drawn:
        assert np.isfinite(volume.voxels).all(), kind
        assert volume.voxels.std() > 0, kind
        assert volume.sequence is MRSequence.T2W
    np.testing.assert_array_equal(draw_other(3, MRSequence.T2W)[1].voxels, drawn[3][1].voxels)


def test_a_search_with_something_else_is_refused_unless_insisted(folder: Path) -> None:
    flair = scan(folder, "FLAIR")
    with doubting(folder) as engine:
        with pytest.raises(EncodingError) as caught:
            engine.search(scans=[flair])
        assert caught.value.code == "not_brain_mri"
        answer = engine.search(scans=[flair], insist=True)
        assert answer.hits
        assert any("does not look like a brain MRI" in notice for notice in answer.notices)
        assert answer.findings == ()
        with pytest.raises(EncodingError):
            engine.check_report([flair], "There is an acute infarct.")


def test_something_else_is_scored_without_confidence(folder: Path) -> None:
    with doubting(folder) as engine:
        report = engine.score([scan(folder, "FLAIR")])
    assert report.series[0].not_brain_mri
    assert (report.findings, report.abnormal) == ((), None)
    assert report.unscored == "FLAIR: it does not look like a brain MRI"
    assert any("does not look like a brain MRI" in notice for notice in report.notices)


def test_what_shows_next_to_nothing_of_a_brain_is_scored_for_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with doubting(folder) as engine:
        whole = engine.encoder.encode_series
        monkeypatch.setattr(
            engine.encoder, "encode_series", lambda volume: replace(whole(volume), partial=True, coverage=0.16)
        )
        report = engine.score([scan(folder, "T1w")])
        checked = engine.check_report([scan(folder, "T1w")], "Findings: No hydrocephalus. No infarct.")
    assert (checked.statements, checked.unmentioned, checked.checked) == ((), (), 0)
    assert any("it covers only 16% of the brain" in notice for notice in checked.notices)
    assert report.series[0].partial
    assert not report.series[0].not_brain_mri
    assert report.findings == ()
    assert report.unscored == "T1w: it covers only 16% of the brain"


def test_beside_a_brain_something_else_does_not_count(folder: Path) -> None:
    flair, t1w = scan(folder, "FLAIR"), scan(folder, "T1w")
    with doubting(folder) as engine:
        alone, both = engine.search(scans=[t1w]), engine.search(scans=[flair, t1w])
        report = engine.score([flair, t1w])
    assert [(hit.key, hit.score) for hit in both.hits] == [(hit.key, hit.score) for hit in alone.hits]
    assert [series.not_brain_mri for series in report.series] == [True, False]
    assert any(score.flagged for score in report.findings)


def test_the_table_says_what_was_taken_for_a_brain() -> None:
    figures = {"noise": {"value": 0.25, "low": 0.0, "high": 0.5, "n": 8}}
    assert "| noise | 8 | 0.25 (0.00-0.50) |" in range_table(figures)


@pytest.mark.slow
def test_the_shipped_networks_know_other_things() -> None:
    bundle = encoders.load()
    things = [draw_other(seed, MRSequence.FLAIR)[1] for seed in range(9_100_000, 9_100_012)]
    encoded = [bundle.encode_series(volume) for volume in things]
    # What covers little of a brain is said to be partial, and not judged beyond that.
    assert sum(one.in_range and not one.partial for one in encoded) <= 1


@pytest.mark.shared
def test_real_scans_are_hardly_ever_refused(shared_mri: Path) -> None:
    bundle = encoders.load()
    volumes = [read_volume(path) for path in sorted(shared_mri.glob("sub-*/**/*.nii.gz"))[::2]]
    taken = [bundle.encode_series(volume).in_range for volume in volumes if volume.sequence in bundle.sequences]
    assert len(taken) > 20
    assert sum(taken) >= 0.94 * len(taken)


def test_an_indexed_series_says_that_it_is_no_brain(tmp_path: Path) -> None:
    _, data = make_archive(tmp_path)
    assert rebuild(data, Doubtful()).refused == ()
    with CaseStore.open(data, read_only=True) as store:
        notes = {one.name: one.notes for one in store.examination(key_of(data, "sub-02")).series}
    assert any("does not look like a brain MRI" in note for note in notes["sub-02_FLAIR"])
    assert not any("does not look like a brain MRI" in note for note in notes["sub-02_T1w"])
