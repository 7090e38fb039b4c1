"""Training on a hospital's own pairs: what is learned from, what is kept back, and that the new bundle is whole."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from test_vision import training
from typer.testing import CliRunner

import encoders
import neurorecall
from encoders import calibration_set
from encoders.bundle import PRETRAINED, Bundle
from encoders.sequences import MRSequence
from encoders.vision import SequenceNetwork
from indexer.case_store import CaseStore
from indexer.ingest import ingest
from indexer.rebuild import rebuild
from training import calibration, site_pairs
from training.assembly import assemble
from training.calibration import CalibrationConfigError, load_config, site_set
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
