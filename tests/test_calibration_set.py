"""Calibration by the MR sequences that an examination has: what is kept, what is chosen, and its file."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import encoders
from encoders.bundle import PRETRAINED
from encoders.calibration import CalibrationError, OperatingPoint
from encoders.calibration_fit import choose_shares, fit_platt
from encoders.calibration_set import FILE, CalibrationSet, load_calibration_set
from encoders.manifest import BundleError
from encoders.seen_sides import SeenSides, SideVotes
from encoders.sequences import MRSequence

NAMES = ("abnormal", "infarct")
COUNT, DIM = 200, 6
WEIGHTS = (1.0, 0.5)


def examined(missing: int = 40) -> CalibrationSet:
    """Two networks: the first tells abnormal (axis 0), the second tells nothing; the last few lack the second."""
    rng = np.random.default_rng(6)
    abnormal = rng.random(COUNT) < 0.5
    rows, networks, vectors = [], [], []
    for row in range(COUNT):
        for network in (0, 1):
            if network == 1 and row % (COUNT // missing) == 0:
                continue
            vector = rng.normal(0, 1, DIM)
            vector[0] += 2.0 * abnormal[row] * (network == 0)
            rows.append(row)
            networks.append(network)
            vectors.append(vector / np.linalg.norm(vector))
    return CalibrationSet(
        vectors=np.array(vectors, np.float32),
        examinations=np.array(rows, np.int32),
        networks=np.array(networks, np.uint8),
        present={"abnormal": abnormal, "infarct": np.arange(COUNT) == 3},
        points={name: OperatingPoint("sensitivity", 0.9) for name in NAMES},
        data="made-up examinations",
        date="2026-01-01",
    )


def by_axis(embeddings: np.ndarray) -> np.ndarray:
    return embeddings[:, :2].T


def test_only_examinations_with_every_network_count_and_only_those_series() -> None:
    whole = examined()
    rows, fused = whole.fused(frozenset({0, 1}), WEIGHTS)
    assert len(rows) == 160 and not (rows % 5 == 0).any()
    np.testing.assert_allclose(np.linalg.norm(fused, axis=1), 1, atol=1e-5)
    parts = whole.vectors[whole.examinations == rows[0]]
    expected = WEIGHTS[0] * parts[0] + WEIGHTS[1] * parts[1]
    np.testing.assert_allclose(fused[0], expected / np.linalg.norm(expected), atol=1e-6)
    rows, fused = whole.fused(frozenset({0}), WEIGHTS)
    assert len(rows) == COUNT
    np.testing.assert_allclose(fused, whole.vectors[whole.networks == 0], atol=1e-6)


def test_each_set_of_networks_has_figures_of_its_own() -> None:
    whole = examined()
    first, second = (whole.calibrations(NAMES, frozenset({one}), WEIGHTS, by_axis) for one in (0, 1))
    assert set(first) == {"abnormal"}  # one examination with an infarct chooses no threshold
    assert first["abnormal"].told and not second["abnormal"].told
    assert len(first["abnormal"].choosing.present) + len(first["abnormal"].choosing.absent) == COUNT // 2
    assert first["abnormal"].data == "100 made-up examinations, 2026-01-01"
    assert second["abnormal"].data.startswith("80 ")
    assert whole.calibrations(NAMES, frozenset({2}), (1.0, 1.0, 1.0), by_axis) == {}


def test_the_file_holds_all_of_it_and_goes_with_its_encoder_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert load_calibration_set(tmp_path, "encoder-1") is None
    whole = examined()
    whole.save(tmp_path, "encoder-1")
    read = load_calibration_set(tmp_path, "encoder-1")
    assert read is not None
    np.testing.assert_allclose(read.vectors, whole.vectors, atol=1e-3)
    np.testing.assert_array_equal(read.present["infarct"], whole.present["infarct"])
    assert (read.points, read.data, read.date) == (whole.points, whole.data, whole.date)
    with caplog.at_level(logging.WARNING):
        assert load_calibration_set(tmp_path, "encoder-2") is None
    assert "calibrate the bundle again" in caplog.text


@pytest.mark.parametrize("damage", ["truncated", "text", "lengths", "no metadata", "sides seen", "true sides"])
def test_a_damaged_file_is_refused(damage: str, tmp_path: Path) -> None:
    examined().save(tmp_path, "encoder-1")
    path = tmp_path / FILE
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-10])
    elif damage == "sides seen":
        sides = SeenSides.of([{"infarct": "left"}], [{}] * COUNT)
        replace(examined(), sides=sides).save(tmp_path, "encoder-1")
    elif damage == "true sides":
        whole = examined()
        sides = SeenSides.of([{"infarct": "left"}] * len(whole.vectors), [{}])
        replace(whole, sides=sides).save(tmp_path, "encoder-1")
    elif damage == "text":
        path.write_text("{}")
    elif damage == "lengths":
        arrays = load_file(path)
        said = {"encoder_id": "encoder-1", "date": "", "data": "", "operating_points": "{}"}
        save_file(arrays, path, said)
    else:
        save_file(load_file(path), path)
    with pytest.raises(CalibrationError, match=r"calibration\.safetensors"):
        load_calibration_set(tmp_path, "encoder-1")


def test_the_hash_of_the_data_is_kept_and_is_of_vectors_and_labels(tmp_path: Path) -> None:
    whole = examined()
    whole.save(tmp_path, "x-1")
    with safe_open(tmp_path / FILE, "np") as stored:
        told = stored.metadata()["data_sha256"]
    loaded = load_calibration_set(tmp_path, "x-1")
    assert loaded is not None and loaded.data_hash == whole.data_hash == told and len(told) == 64
    backwards = dict(reversed(whole.present.items()))
    assert replace(whole, present=backwards, date="2001-01-01", data="others").data_hash == told
    flipped = {**whole.present, "infarct": ~whole.present["infarct"]}
    sides = SeenSides.of([{"infarct": "left"}] * len(whole.vectors), [{}] * COUNT)
    others = [replace(whole, present=flipped), replace(whole, vectors=whole.vectors[::-1])]
    others += [replace(whole, networks=1 - whole.networks), replace(whole, sides=sides)]
    assert len({told, *(one.data_hash for one in others)}) == 5


def test_data_that_are_not_those_of_the_hash_are_refused(tmp_path: Path) -> None:
    examined().save(tmp_path, "x-1")
    with safe_open(tmp_path / FILE, "np") as stored:
        said = stored.metadata()
    arrays = load_file(tmp_path / FILE)
    save_file({**arrays, "present": 1 - arrays["present"]}, tmp_path / FILE, said)
    with pytest.raises(CalibrationError, match="SHA-256"):
        load_calibration_set(tmp_path, "x-1")


def test_the_shipped_file_tells_the_hash_of_its_data() -> None:
    with safe_open(PRETRAINED / FILE, "np") as stored:
        told = stored.metadata()["data_sha256"]
    measured = encoders.load(PRETRAINED).calibration_set
    assert measured is not None and measured.data_hash == told
    assert told in (PRETRAINED / "MODEL_CARD.md").read_text("utf-8")


def test_a_score_that_falls_with_the_finding_becomes_its_prevalence() -> None:
    labels = np.arange(100) < 20
    slope, intercept = fit_platt(np.where(labels, -1.0, 1.0) + np.linspace(0, 0.1, 100), labels)
    assert slope == 0
    assert 1 / (1 + np.exp(-intercept)) == pytest.approx(0.2, abs=0.03)


def test_the_shipped_bundle_was_measured_for_usual_sets_of_sequences() -> None:
    bundle = encoders.load(PRETRAINED)
    alone = bundle.calibrations([MRSequence.FLAIR])["abnormal"]
    together = bundle.calibrations([MRSequence.FLAIR, MRSequence.T1W, MRSequence.T2W])["abnormal"]
    assert alone.told and together.told and alone is not together
    assert alone.data.startswith("400 phantom examinations")
    # Proton density is encoded by the network for T2w, and two series of a kind are that kind.
    assert bundle.calibrations([MRSequence.PDW, MRSequence.T2W]) is bundle.calibrations([MRSequence.T2W])


def test_a_side_is_wrong_where_all_chosen_series_show_the_other() -> None:
    left, right = {"glioma": "left"}, {"glioma": "right"}
    # Networks 0 and 1 of four examinations: agreed, at odds, both wrong, and nothing on one side.
    seen = [left, left, left, right, right, right, left, left]
    sides = SeenSides.of(seen, [left, left, left, {}])
    whole = replace(examined(), sides=sides, examinations=np.repeat(np.arange(4, dtype=np.int32), 2))
    whole = replace(whole, networks=np.tile(np.array([0, 1], np.uint8), 4), vectors=whole.vectors[:8])
    both = frozenset({0, 1})
    rows, chosen = np.arange(4), np.ones(8, np.bool_)
    assert sides.wrong(whole.examinations, chosen, rows) == (1, 3)
    assert sides.wrong(whole.examinations, chosen, rows, votes=2) == (1, 3)
    assert sides.wrong(whole.examinations, whole.networks == 1, rows) == (2, 3)
    # Chosen on the first two examinations, measured on the others.
    assert whole.side_votes(frozenset({0}), 0.0) == SideVotes(1, 1, 1)
    assert whole.side_votes(frozenset({1}), 0.4) is None  # one of two is wrong, and there is no second series to agree
    assert whole.side_votes(both, 0.0) == SideVotes(1, 1, 1)
    assert replace(whole, sides=None).side_votes(both, 1.0) is None


def test_more_series_must_agree_where_one_is_wrong_too_often() -> None:
    left, right = {"glioma": "left"}, {"glioma": "right"}
    seen = [left, {}, right, {}, left, left, right, right]
    sides = SeenSides.of(seen, [left] * 4)
    whole = replace(examined(), sides=sides, examinations=np.repeat(np.arange(4, dtype=np.int32), 2))
    whole = replace(whole, networks=np.tile(np.array([0, 1], np.uint8), 4), vectors=whole.vectors[:8])
    assert whole.side_votes(frozenset({0, 1}), 0.1) == SideVotes(2, 1, 2)


def test_sides_are_kept_with_the_calibration(tmp_path: Path) -> None:
    whole = examined()
    sides = SeenSides.of([{"infarct": "left"}] * len(whole.vectors), [{"infarct": "right"}, *[{}] * (COUNT - 1)])
    replace(whole, sides=sides).save(tmp_path, "x-1")
    loaded = load_calibration_set(tmp_path, "x-1")
    assert loaded is not None and loaded.side_votes(frozenset({0}), 1.0) == SideVotes(1, 0, 0)
    whole.save(tmp_path, "x-1")
    loaded = load_calibration_set(tmp_path, "x-1")
    assert loaded is not None and loaded.sides is None


def test_normal_examinations_are_those_of_the_measuring_half() -> None:
    whole = examined()
    expected = (~whole.present["abnormal"])[COUNT // 2 :].sum()
    assert len(whole.normal(frozenset({0}), WEIGHTS)) == expected


def test_a_finding_weighs_the_networks_by_what_they_tell() -> None:
    whole = examined()
    both = whole.calibrations(NAMES, frozenset({0, 1}), (0.1, 1.0), by_axis)["abnormal"]
    fused = whole.calibrations(NAMES, frozenset({0, 1}), (0.1, 1.0), by_axis, fused=True)["abnormal"]
    assert both.shares[0] > 0.7 > both.shares[1] and sum(both.shares) == pytest.approx(1)
    assert fused.shares == (1.0,)
    assert both.told and not fused.told  # the fused vector is nearly all that of the network that tells nothing


def test_what_tells_nothing_is_weighed_as_usual() -> None:
    rng = np.random.default_rng(0)
    labels, usual = rng.random(400) < 0.3, np.array([0.2, 0.8])
    scores = rng.normal(0, 1, (400, 2))
    scores[labels] -= 3.0  # lower where it is there: no weight above zero tells that
    np.testing.assert_allclose(choose_shares(scores, labels, usual)[0], usual)
    shares, sums = choose_shares(scores[:, :1], labels, np.ones(1))
    np.testing.assert_allclose(shares, 1.0)
    np.testing.assert_allclose(sums, scores[:, 0])


def test_where_a_network_lies_says_nothing_of_what_it_tells() -> None:
    rng = np.random.default_rng(3)
    labels, usual = rng.random(400) < 0.3, np.full(3, 1 / 3)
    scores = rng.normal(0, 1, (400, 3))
    scores[labels, 0] += 2.0
    shares, sums = choose_shares(scores, labels, usual)
    shifted, sums_shifted = choose_shares(scores + np.array([0.0, 3.0, -1.0]), labels, usual)
    assert shares[0] > 0.7
    np.testing.assert_allclose(shares, shifted, atol=1e-3)
    np.testing.assert_allclose(sums_shifted - sums, (sums_shifted - sums).mean(), atol=1e-2)


@pytest.mark.parametrize("told", [0.0, 1.0])
def test_shares_do_not_make_thresholds_hopeful(told: float) -> None:
    rng = np.random.default_rng(4)
    missed, usual = [], np.full(6, 1 / 6)
    for _ in range(120):
        labels = np.arange(300) < 29
        scores = rng.normal(0, 1, (600, 6))
        scores[:300][labels, 0] += told
        scores[300:, 0] += told  # further examinations with the finding
        shares, sums = choose_shares(scores[:300], labels, usual)
        threshold = np.sort(sums[labels])[2]  # at most one in ten of 30 is missed
        missed.append(float((scores[300:] @ shares < threshold).mean()))
    assert np.mean(missed) == pytest.approx(0.1, abs=0.03)


def test_scores_of_a_bundle_are_summed_by_each_finding_s_shares() -> None:
    bundle = encoders.load(PRETRAINED)
    measured = bundle.calibration_set
    assert measured is not None
    sequences = [MRSequence.T1W, MRSequence.FLAIR, MRSequence.FLAIR]
    embeddings = measured.vectors[[0, 1, 2]]
    raw = bundle.raw_scores(embeddings)
    calibrations = bundle.calibrations(sequences)
    scores = {one.finding: one.score for one in bundle.score_series(embeddings, sequences)}
    order = [finding.name for finding in bundle.findings]
    for name, known in calibrations.items():
        t1w, flair, again = raw[order.index(name)]
        summed = known.shares[0] * t1w + known.shares[1] * (flair + again) / 2
        assert scores[name] == pytest.approx(known.score(float(summed)), abs=1e-5)
    with pytest.raises(BundleError, match="Expected embeddings of shape"):
        bundle.score_series(embeddings, sequences[:2])
