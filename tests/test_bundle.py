"""The shipped bundle: complete, honest about what it cannot encode, and refused when it is damaged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import encoders
from encoders import Bundle, BundleError, EncodingError, MRSequence, Volume
from encoders.bundle import PRETRAINED

MAX_MIB = 64


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return encoders.load()


@pytest.fixture(scope="module")
def head() -> np.ndarray:
    """A ball of tissue with a dark centre in air, (96, 112, 96) at 2 mm."""
    x, y, z = np.ogrid[-1:1:96j, -1:1:112j, -1:1:96j]
    radius = np.sqrt(x**2 + y**2 + z**2)
    voxels = np.where(radius < 0.75, 100.0, 0.0) - np.where(radius < 0.2, 60.0, 0.0)
    return (voxels + np.random.default_rng(1).normal(0, 2, voxels.shape)).astype(np.float32)


def volume(head: np.ndarray, sequence: MRSequence | None) -> Volume:
    return Volume.from_voxels(head, np.diag([2.0, 2.0, 2.0, 1.0]), sequence)


def test_the_bundle_is_small_enough_to_ship_and_has_a_model_card() -> None:
    size = sum(path.stat().st_size for path in PRETRAINED.rglob("*") if path.is_file())
    assert size <= MAX_MIB * 2**20
    assert "non-commercial" in (PRETRAINED / "MODEL_CARD.md").read_text("utf-8")


@pytest.mark.parametrize("sequence", list(MRSequence))
def test_every_known_mr_sequence_is_encoded(bundle: Bundle, head: np.ndarray, sequence: MRSequence) -> None:
    encoding = bundle.encode_series(volume(head, sequence))
    assert encoding.embedding.shape == (bundle.dim,)
    assert np.linalg.norm(encoding.embedding) == pytest.approx(1, abs=1e-5)
    assert bool(encoding.notes) == (sequence is MRSequence.PDW)
    again = bundle.encode_series(volume(head, sequence))
    assert float(encoding.embedding @ again.embedding) >= 0.9999


def test_an_unknown_mr_sequence_is_said_so(bundle: Bundle, head: np.ndarray) -> None:
    with pytest.raises(EncodingError, match="not known") as caught:
        bundle.encode_series(volume(head, None))
    assert caught.value.code == "unknown_sequence"
    assert "FLAIR" in caught.value.hint


def test_an_examination_is_the_weighed_sum_of_its_series(bundle: Bundle, head: np.ndarray) -> None:
    volumes = [volume(head, MRSequence.T1W), volume(head[::-1].copy(), MRSequence.FLAIR)]
    fused = bundle.encode_examination(volumes)
    parts = np.stack([bundle.encode_series(item).embedding for item in volumes])
    assert np.linalg.norm(fused) == pytest.approx(1, abs=1e-5)
    assert np.allclose(fused, bundle.fuse(parts, (MRSequence.T1W, MRSequence.FLAIR)), atol=1e-5)
    assert np.linalg.matrix_rank(np.vstack([parts, fused]), tol=1e-3) == 2


@pytest.mark.parametrize("shape", [(384,), (2, 384), (1, 3), (0, 384)])
def test_embeddings_of_a_wrong_shape_are_refused(bundle: Bundle, shape: tuple[int, ...]) -> None:
    with pytest.raises(BundleError, match="Expected embeddings of shape"):
        bundle.fuse(np.zeros(shape, np.float32), (MRSequence.T1W,))


def test_texts_and_scores_follow_the_contract(bundle: Bundle) -> None:
    texts = bundle.encode_texts(["there is hydrocephalus", "no hydrocephalus"])
    assert texts.shape == (2, bundle.dim) and texts.dtype == np.float32
    assert np.allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-5)
    scores = {score.finding: score for score in bundle.score(texts[0])}
    assert next(iter(scores)) == "abnormal"
    assert all(0 <= score.score <= 1 for score in scores.values())
    measured = {name: score.measured for name, score in scores.items() if score.measured is not None}
    assert {"abnormal", "hydrocephalus", "glioma"} <= set(measured)
    assert all(figures.n >= 100 for figures in measured.values())
    assert not any(score.flagged for name, score in scores.items() if name not in measured)
    calibrated = bundle.calibrations(fused=True)
    assert set(scores) == set(calibrated) < {finding.name for finding in bundle.findings}
    denied = {score.finding: score for score in bundle.score(texts[1])}
    assert scores["hydrocephalus"].score > denied["hydrocephalus"].score
    with pytest.raises(BundleError, match=r"shape \(384,\), got \(3,\)"):
        bundle.score(np.zeros(3, np.float32))


def test_any_sentence_is_scored_beside_normal_examinations(bundle: Bundle) -> None:
    scan = bundle.encode_texts(["There is a large colloid cyst of the third ventricle."])[0]
    near, far = bundle.ask(scan, ["there is a colloid cyst", "the mastoid air cells are clear"])
    assert near.similarity > far.similarity
    assert near.above_normal is not None and near.above_normal > 0.95 and near.n > 50
    (alone,) = bundle.ask(scan, ["there is a colloid cyst"], [MRSequence.T1W])
    assert alone.n >= near.n


def test_the_environment_names_another_bundle(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURORECALL_BUNDLE", str(tmp_path / "none"))
    with pytest.raises(BundleError):
        encoders.load()
    assert encoders.load(PRETRAINED).encoder_id == bundle.encoder_id
    monkeypatch.setenv("NEURORECALL_BUNDLE", str(PRETRAINED))
    assert encoders.load().encoder_id == bundle.encoder_id


def test_the_id_names_the_weights_and_damage_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(PRETRAINED, copy)
    assert encoders.load(copy).encoder_id == bundle.encoder_id
    manifest = json.loads((copy / "bundle.json").read_text())
    manifest["networks"][0]["weight"] += 1
    (copy / "bundle.json").write_text(json.dumps(manifest))
    assert encoders.load(copy).encoder_id != bundle.encoder_id
    weights = copy / manifest["networks"][0]["file"]
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(BundleError, match="damaged"):
        encoders.load(copy)
    weights.unlink()
    with pytest.raises(BundleError, match=weights.name):
        encoders.load(copy)
    (copy / "bundle.json").write_text('{"format": 99}')
    with pytest.raises(BundleError, match="format 1, got 99"):
        encoders.load(copy)
    with pytest.raises(BundleError, match=r"no bundle\.json"):
        encoders.load(tmp_path)
