"""Training on a hospital's own pairs: what is learned from, what is kept back, and that the new bundle is whole."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from test_vision import training
from typer.testing import CliRunner, Result

import encoders
import neurorecall
from encoders import calibration_set
from encoders.bundle import PRETRAINED, Bundle
from encoders.calibration import OperatingPoint
from encoders.calibration_set import CalibrationSet
from encoders.sequences import MRSequence
from encoders.vision import SequenceNetwork
from indexer.case_store import CaseStore
from indexer.ingest import ingest
from indexer.rebuild import rebuild
from training import calibration, site_pairs
from training.assembly import assemble
from training.calibration import CalibrationConfigError, TooFewCases, calibrated_sets, load_config, site_set
from training.phantoms.cohort import write_cohort
from training.site_pairs import prepare, train_on_site
from training.vision_examples import NETWORKS
from training.vision_loop import save_state
from training.vision_settings import VisionTraining, VisionTrainingError

__all__ = ["training"]  # the fixture
CASES = 16


def quiet(done: int, total: int) -> None:
    assert done <= total


@pytest.fixture
def tiny(training: VisionTraining) -> VisionTraining:
    return dataclasses.replace(training, phantoms=CASES, tune_volumes=12, tune_batch=3, contrasted=4)


@pytest.fixture
def bundle(tiny: VisionTraining, tmp_path: Path) -> Bundle:
    """The shipped NeuroBERT with small networks that have learned nothing."""
    home = tmp_path / "shipped"
    home.mkdir()
    for name, _ in NETWORKS:
        save_state(home / f"{name}.safetensors", SequenceNetwork(tiny.network).half().state_dict())
    shutil.copyfile(PRETRAINED / "findings.toml", home / "findings.toml")
    assemble("tiny", PRETRAINED / "text", home, tiny.network, {name: 0.5 for name, _ in NETWORKS}, home)
    return encoders.load(home)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    write_cohort(folder / "cohort", cases=CASES, seed=77)
    ingest(str(folder / "cohort"), folder / "data", reports=folder / "cohort" / "reports.tsv")
    return folder / "data"


@pytest.mark.slow
def test_the_networks_go_on_learning_from_ingested_pairs(
    tiny: VisionTraining, bundle: Bundle, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_pairs, "LEAST_SERIES", 6)
    monkeypatch.setattr(site_pairs, "REPORTS", 20)
    made = train_on_site(tiny, data, tmp_path / "run", bundle, quiet)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text("utf-8"))
    learned = {name for name, count in metrics["series"].items() if count >= 6}
    assert learned == set(metrics["kept back"]) != set()
    for name, _ in NETWORKS:
        same = (made / "vision" / f"{name}.safetensors").read_bytes() == (
            bundle.folder / "vision" / f"{name}.safetensors"
        ).read_bytes()
        assert same == (name not in learned), name
    after = encoders.load(made)
    assert after.encoder_id != bundle.encoder_id
    assert after.findings == bundle.findings
    # Nothing that is finished is done again.
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "run" / "examples").iterdir()}
    pairs = prepare(tiny, data, tmp_path / "run", bundle, quiet)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run" / "examples").iterdir()} == stamps
    for kind in range(len(NETWORKS)):
        assert max(pairs.learned[kind], default=-1) < pairs.config.phantoms
        assert min(pairs.kept[kind], default=CASES) >= pairs.config.phantoms
    with CaseStore.open(data, read_only=True) as store:
        assert pairs.config.phantoms + pairs.config.test_phantoms == store.counts().reported


@pytest.mark.slow
def test_too_few_series_and_a_run_on_other_examinations_are_refused(
    tiny: VisionTraining, bundle: Bundle, data: Path, tmp_path: Path
) -> None:
    other = dataclasses.replace(tiny, channels=(16, 16, 16, 16))  # the shape is the bundle's
    with pytest.raises(VisionTrainingError, match="reported series"):
        train_on_site(other, data, tmp_path / "few", bundle, quiet)
    (tmp_path / "few" / "pairs.json").write_text('["another"]', "utf-8")
    with pytest.raises(VisionTrainingError, match="other examinations"):
        train_on_site(tiny, data, tmp_path / "few", bundle, quiet)


@pytest.mark.slow
def test_networks_of_an_older_shape_are_refused(tiny: VisionTraining, bundle: Bundle, tmp_path: Path) -> None:
    bundle.network_config = dataclasses.replace(bundle.network_config, refined=False)
    with pytest.raises(VisionTrainingError, match="shape"):
        train_on_site(tiny, tmp_path, tmp_path / "run", bundle, quiet)


@pytest.mark.slow
def test_a_site_calibrates_on_its_own_reports(
    bundle: Bundle, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_config(Path(calibration.__file__).parent / "configs" / "calibration.toml")
    with pytest.raises(CalibrationConfigError, match="rebuild"):
        site_set(bundle, settings, data)
    shutil.copytree(data, tmp_path / "data")
    rebuild(tmp_path / "data", bundle)
    examined = site_set(bundle, settings, tmp_path / "data")
    assert 0 < examined.count <= CASES
    assert examined.present and all(len(labels) == examined.count for labels in examined.present.values())
    monkeypatch.setattr(calibration_set, "LEAST_EACH", 1)
    examined.save(bundle.folder, bundle.encoder_id)
    calibrated = encoders.load(bundle.folder)
    sequences = [MRSequence.T1W, MRSequence.FLAIR]
    found = calibrated.calibrations(sequences)
    assert found
    assert all("this site" in one.data for one in found.values())
    scores = calibrated.score_series(examined.vectors[:2], sequences)
    assert {one.finding for one in scores if one.threshold is not None} == {
        name for name, one in found.items() if one.told
    }


@pytest.mark.parametrize("option", ["--neurobert", "--lesion-maps", "--start"])
def test_what_does_not_go_with_own_pairs_is_refused(option: str, tmp_path: Path) -> None:
    config = Path(site_pairs.__file__).parent / "configs" / "vision.toml"
    asked = ["train", "vision", str(config), "--out", str(tmp_path / "run"), "--data", str(tmp_path)]
    told = CliRunner().invoke(neurorecall.build_application(), [*asked, option, str(tmp_path)])
    assert told.exit_code == 2
    assert option in told.output
    assert "--data" in told.output


def calibrate(*arguments: object) -> Result:
    config = Path(calibration.__file__).parent / "configs" / "calibration.toml"
    asked = ["train", "calibrate", str(config), *map(str, arguments)]
    return CliRunner().invoke(neurorecall.build_application(), asked)


@pytest.mark.slow
def test_too_few_cases_change_nothing_and_an_earlier_calibration_is_kept(
    bundle: Bundle, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(data, tmp_path / "data")
    assert rebuild(tmp_path / "data", bundle).refused == ()
    earlier = bundle.folder / "calibration.safetensors"
    shutil.copyfile(PRETRAINED / "calibration.safetensors", earlier)
    content = earlier.read_bytes()
    few = calibrate("--bundle", bundle.folder, "--data", tmp_path / "data")
    assert few.exit_code == 1
    assert "Expected at least 8 abnormal and 8 normal examinations" in few.output
    assert earlier.read_bytes() == content
    assert list(bundle.folder.glob("calibration*")) == [earlier]
    monkeypatch.setattr(calibration_set, "LEAST_EACH", 1)
    cohort, reports = data.parent / "cohort", tmp_path / "reports.tsv"
    head, *lines = (cohort / "reports.tsv").read_text("utf-8").splitlines()
    normal = ["Normal study." if name == "impression" else "" for name in head.split("\t")]
    ids = [name.endswith("_id") for name in head.split("\t")]
    for number in range(0, len(lines), 2):
        cells = lines[number].split("\t")
        lines[number] = "\t".join(cell if kept else said for cell, kept, said in zip(cells, ids, normal, strict=True))
    reports.write_text("\n".join([head, *lines]) + "\n", "utf-8")
    ingest(str(cohort), tmp_path / "data", reports=reports)
    done = calibrate("--bundle", bundle.folder, "--data", tmp_path / "data")
    assert done.exit_code == 0, done.output
    assert " T1w" in done.output and "are calibrated" in done.output
    assert (bundle.folder / "calibration.safetensors.1.bak").read_bytes() == content
    assert encoders.load(bundle.folder).calibration_set is not None
    with CaseStore.open(tmp_path / "data") as store, store.connections.writing() as database:
        database.execute("DELETE FROM embedding WHERE kind = 'series' AND item_id IN (SELECT min(id) FROM series)")
    told = calibrate("--bundle", bundle.folder, "--data", tmp_path / "data", "--out", tmp_path / "elsewhere")
    assert "1 series are not encoded yet" in told.output
    assert (tmp_path / "elsewhere" / "calibration.safetensors").is_file()
    assert not (bundle.folder / "calibration.safetensors.2.bak").exists()


def test_the_shipped_bundle_is_not_calibrated_by_a_site(tmp_path: Path) -> None:
    before = (PRETRAINED / "calibration.safetensors").read_bytes()
    for given in ((), ("--bundle", PRETRAINED)):
        refused = calibrate("--data", tmp_path, *given)
        assert refused.exit_code == 2
        assert "cp -r" in refused.output
    assert (PRETRAINED / "calibration.safetensors").read_bytes() == before


def test_a_summary_counts_by_the_sequences_of_an_examination() -> None:
    bundle, rng = encoders.load(PRETRAINED), np.random.default_rng(3)
    flair, t1w = bundle.network_of(MRSequence.FLAIR), bundle.network_of(MRSequence.T1W)
    count = 80
    labels = rng.random(count) < 0.5
    direction = bundle.encode_texts(["there is an intracranial lesion"])[0]
    vectors = rng.normal(0, 1, (count, bundle.dim)) / 40 + np.where(labels, 0.5, -0.5)[:, None] * direction
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    both = np.concatenate([np.full(count - 6, flair), np.full(6, t1w)]).astype(np.uint8)
    examined = CalibrationSet(
        vectors=vectors,
        examinations=np.arange(count, dtype=np.int32),
        networks=both,
        present={"abnormal": labels},
        points={"abnormal": OperatingPoint("sensitivity", 0.9)},
        data="made up",
        date="2026-11-24",
    )
    found = {one.sequences: one for one in calibrated_sets(bundle, examined)}
    assert {names: (one.examinations, one.calibrated) for names, one in found.items()} == {
        ("FLAIR",): (count - 6, 1),
        (str(bundle.entries[t1w].sequences[0]),): (6, 0),
    }
    with pytest.raises(TooFewCases, match="nothing was written"):
        calibrated_sets(bundle, dataclasses.replace(examined, present={"abnormal": np.arange(count) < 3}))
