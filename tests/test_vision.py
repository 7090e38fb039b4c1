"""The sequence network and its training: shapes, sides, resuming, learning, and the fit to texts."""

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from encoders.bundle import PRETRAINED
from encoders.catalogue import load_findings
from encoders.preprocess import Preprocessing
from encoders.vision import SequenceNetwork, VisionConfig, VisionConfigError
from training import vision as training_vision
from training import vision_loop
from training.lent_findings import DAMPING, LENT, lend_findings
from training.phantoms.facts import FINDINGS
from training.phantoms.pathology import make_phantom
from training.phantoms.scenario import draw_facts
from training.vision import train, train_trunk, trunk_schedule
from training.vision_evaluation import finish
from training.vision_examples import NETWORKS, Example, ExampleFolder, ExampleTexts, make_example
from training.vision_fit import ridge_regression
from training.vision_loop import load_state, save_state
from training.vision_settings import VisionTraining, load_config

CONFIG = VisionConfig(findings=("abnormal", "infarct"), mask_classes=("infarct", "mass", "blood"), embedding_dim=32)
SMALL = VisionConfig(
    findings=("abnormal",), mask_classes=("mass",), channels=(8, 8, 16, 16), blocks=(1, 1, 1, 1), embedding_dim=8
)


def network(config: VisionConfig = SMALL) -> SequenceNetwork:
    torch.manual_seed(3)
    return SequenceNetwork(config).eval()


@pytest.mark.parametrize("shape", [(80, 96, 80), (32, 48, 32)])
def test_shapes(shape: tuple[int, int, int]) -> None:
    with torch.inference_mode():
        output = network(CONFIG)(torch.rand(2, 1, *shape))
    assert output.embedding.shape == (2, 32)
    assert output.findings.shape == (2, 2)
    assert output.masks.shape == (2, 3, *(side // 2 for side in shape))
    assert output.features.shape == (2, network(CONFIG).feature_count)


def test_size_is_a_small_network() -> None:
    count = sum(parameter.numel() for parameter in network(CONFIG).parameters())
    assert 1_000_000 < count < 2_500_000


def test_the_same_input_gives_the_same_bits_alone_and_again() -> None:
    voxels = torch.rand(1, 1, 32, 32, 32)
    with torch.inference_mode():
        first, second = network()(voxels), network()(voxels)
    assert torch.equal(first.embedding, second.embedding)


def test_left_and_right_are_told_apart() -> None:
    voxels = torch.rand(1, 1, 32, 32, 32)
    voxels[:, :, :12] += 1
    with torch.inference_mode():
        one, other = network()(voxels), network()(voxels.flip(2))
    assert (one.features - other.features).abs().max() > 1e-3


def test_gradients_reach_every_parameter() -> None:
    trained = network().train()
    output = trained(torch.rand(2, 1, 32, 32, 32))
    (output.embedding.square().sum() + output.findings.sum() + output.masks.square().mean()).backward()
    missing = [
        name for name, parameter in trained.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ]
    assert missing == []


def test_configuration_survives_json() -> None:
    assert VisionConfig.from_dict(json.loads(json.dumps(CONFIG.to_dict()))) == CONFIG


@pytest.mark.parametrize("data", [{"findings": ["a"]}, {"findings": ["a"], "mask_classes": ["b"], "depth": 3}])
def test_bad_configuration_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(VisionConfigError, match=r"mask_classes|depth"):
        VisionConfig.from_dict(data)


def test_channels_that_cannot_be_grouped_are_refused() -> None:
    with pytest.raises(VisionConfigError, match="divisible"):
        SequenceNetwork(VisionConfig(findings=("a",), mask_classes=("b",), channels=(10, 20), blocks=(1, 1)))


# Training


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> VisionTraining:
    """The shipped configuration, cut to a network of a few thousand parameters and five phantoms.

    In float32, since gradients of so small volumes are beyond what oneDNN computes in bf16.
    """
    monkeypatch.setattr(vision_loop, "autocast", lambda device: torch.autocast(device.type, enabled=False))
    shipped = load_config(Path(training_vision.__file__).parent / "configs" / "vision.toml")
    return dataclasses.replace(
        shipped,
        phantoms=4,
        repeats=2,
        window=4,
        batch=6,
        tune_volumes=6,
        tune_batch=2,
        mask_volumes=4,
        fit_phantoms=8,
        test_phantoms=6,
        workers=0,
        checkpoint_seconds=0.0,
        channels=(8, 8, 16, 16),
        blocks=(1, 1, 1, 1),
    )


def write_examples(config: VisionTraining, out: Path) -> None:
    """Small examples whose lesion is bright, so that there is something to learn."""
    for seed in (*config.fit_seeds, *config.test_seeds):
        rng = np.random.default_rng(seed)
        voxels = rng.integers(60, 90, (len(NETWORKS), 32, 32, 32)).astype(np.uint8)
        labels = np.ones((len(NETWORKS), 16, 16, 16), np.uint8)
        ill = seed % 2 == 0
        if ill:
            x, y, z = rng.integers(4, 10, 3)
            labels[:, x : x + 4, y : y + 4, z : z + 4] = 1 + config.mask_classes.index("infarct")
            voxels += (np.kron(labels > 1, np.ones((1, 2, 2, 2))) * 150).astype(np.uint8)
        findings = ("abnormal", "infarct") if ill else ()
        sentence = "There is an infarct." if ill else "Normal study."
        texts = ExampleTexts(findings, {"seed": seed}, f"Report. {sentence}", (sentence,))
        config.examples(out).write(seed, Example(voxels, labels, texts))


def toy_texts(texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit vectors that tell infarct from normal."""
    vectors = np.full((len(texts), 384), 0.01, np.float32)
    for row, text in enumerate(texts):
        vectors[row, 0 if "infarct" in text else 1] = 1.0
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class KilledError(Exception):
    pass


def test_a_killed_training_goes_on_to_the_same_weights(
    training: VisionTraining, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("whole", "killed"):
        write_examples(training, tmp_path / folder)
    train_trunk(training, tmp_path / "whole")
    get = ExampleFolder.get
    calls = iter(range(100))

    def get_until_killed(self: ExampleFolder, seed: int, *, patience: float = 0.0) -> Example:
        if next(calls) == 5:
            raise KilledError
        return get(self, seed, patience=patience)

    monkeypatch.setattr(ExampleFolder, "get", get_until_killed)
    with pytest.raises(KilledError):
        train_trunk(training, tmp_path / "killed")
    assert not (tmp_path / "killed" / "trunk.safetensors").exists()
    train_trunk(training, tmp_path / "killed")
    whole, resumed = (load_state(tmp_path / folder / "trunk.safetensors") for folder in ("whole", "killed"))
    assert whole.keys() == resumed.keys()
    for name, tensor in whole.items():
        torch.testing.assert_close(resumed[name], tensor, msg=name)


def test_networks_go_on_from_what_fits_of_a_bundle(training: VisionTraining, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "unmasked"):
        write_examples(training, folder)
    earlier = dataclasses.replace(training.network, mask_classes=("infarct", "blood"))
    (tmp_path / "vision").mkdir()
    states = {}
    for name, _ in NETWORKS:
        states[name] = SequenceNetwork(earlier).state_dict()
        save_state(tmp_path / "vision" / f"{name}.safetensors", states[name])
    still = dataclasses.replace(training, tune_learning_rate=0.0)
    train(still, tmp_path, start=tmp_path / "vision")
    assert not (tmp_path / "trunk.safetensors").exists()
    learned = load_state(tmp_path / "flair.safetensors")
    torch.testing.assert_close(learned["stem.weight"], states["flair"]["stem.weight"], atol=1e-3, rtol=1e-3)
    assert len(learned["mask_head.weight"]) == len(training.mask_classes)
    unmasked = dataclasses.replace(still, mask_weight=0.0)
    train(unmasked, tmp_path / "unmasked", start=tmp_path / "vision")
    assert (tmp_path / "unmasked" / "flair.safetensors").is_file()


@pytest.mark.slow
def test_training_learns_and_the_fit_reaches_the_texts(training: VisionTraining, tmp_path: Path) -> None:
    config = dataclasses.replace(
        training, phantoms=16, repeats=3, window=16, learning_rate=3e-3, tune_volumes=32, tune_batch=4
    )
    write_examples(config, tmp_path)
    train(config, tmp_path, lambda: toy_texts)
    findings = [item for item in load_findings(PRETRAINED / "findings.toml") if item.name in ("abnormal", "infarct")]
    metrics = finish(config, tmp_path, findings, toy_texts)
    assert min(metrics["explained"].values()) > 0.5
    # Six phantoms make nine pairs: one may stand the wrong way round, since processors round differently.
    assert metrics["phantoms"]["all"]["infarct"]["head"]["auc"] > 0.85
    with np.load(tmp_path / "kept_back.npz", allow_pickle=False) as cohort:
        assert cohort["embeddings"].shape == (6, len(NETWORKS), 384)
        assert cohort["labels"].shape == (6, len(cohort["finding_names"]))
    network = SequenceNetwork(config.network)
    network.load_state_dict(load_state(tmp_path / "flair.safetensors"))
    assert json.loads((tmp_path / "metrics.json").read_text("utf-8"))["phantoms"]["n"] == 6


def test_the_schedule_shows_every_phantom_in_every_kind_as_often_as_asked(training: VisionTraining) -> None:
    config = dataclasses.replace(training, phantoms=10, window=4, batch=4, repeats=3)
    seen = Counter(pair for step in trunk_schedule(config) for pair in step)
    assert seen == {(seed, kind): 3 for seed in config.train_seeds for kind in range(len(NETWORKS))}
    assert trunk_schedule(config) == trunk_schedule(config)
    assert set(config.train_seeds).isdisjoint(config.test_seeds)
    assert set(config.fit_seeds).isdisjoint(config.test_seeds)


def test_normal_phantoms_are_rarer_in_training_than_in_the_tests(training: VisionTraining, tmp_path: Path) -> None:
    config = dataclasses.replace(training, seed=1000, phantoms=400, share_normal=0.1)
    examples = config.examples(tmp_path)
    assert examples.oversampled == config.train_seeds
    facts = [draw_facts(seed, share_normal=examples.share_normal) for seed in examples.oversampled]
    usual = [draw_facts(seed) for seed in examples.oversampled]
    assert sum(not one.labels["abnormal"] for one in facts) < 70 < sum(not one.labels["abnormal"] for one in usual)


def test_ridge_regression_finds_a_linear_map() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 12)).astype(np.float32) * np.linspace(0.1, 10, 12, dtype=np.float32)
    truth = rng.normal(size=(5, 12)).astype(np.float32)
    targets = features @ truth.T + 3 + rng.normal(0, 0.01, (300, 5)).astype(np.float32)
    weight, bias, explained = ridge_regression(features, targets, (1e-4, 1.0))
    np.testing.assert_allclose(weight, truth, atol=0.05)
    np.testing.assert_allclose(bias, 3, atol=0.05)
    assert explained > 0.99


def test_a_head_lends_the_answer_a_share_of_what_it_says_along_the_finding_alone() -> None:
    rng = np.random.default_rng(2)
    features = rng.normal(size=(400, 8)).astype(np.float32)
    layer = (rng.normal(size=(5, 8)).astype(np.float32), rng.normal(size=5).astype(np.float32))
    head = torch.zeros(len(FINDINGS), 8)
    head[FINDINGS.index("infarct"), 3] = 7.0
    state = {"findings_head.weight": head, "findings_head.bias": torch.ones(len(FINDINGS))}
    directions = {"infarct": np.eye(5, dtype=np.float32)[1]}
    weight, bias = lend_findings(layer, features, state, directions)
    before, after = (features @ one.T + other for one, other in (layer, (weight, bias)))
    added = after - before
    assert np.abs(np.delete(added, 1, axis=1)).max() < 1e-4
    said = features[:, 3] - features[:, 3].mean()
    expected = LENT / (1 + DAMPING) * before[:, 1].std() * said / said.std()
    np.testing.assert_allclose(added[:, 1], expected, atol=1e-3)


def test_an_example_that_comes_twice_is_held_out_whole() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(60, 40)).astype(np.float32)
    targets = rng.normal(size=(60, 5)).astype(np.float32)  # of which the features tell nothing
    twice = (np.concatenate([features, features]), np.concatenate([targets, targets]), (1e-4,))
    assert ridge_regression(*twice, examples=60)[2] < 0 < ridge_regression(*twice, examples=61)[2]


@pytest.mark.slow
def test_an_example_shows_the_lesion_where_its_label_is() -> None:
    seed = next(seed for seed in range(100) if draw_facts(seed).diagnosis == "multiple sclerosis")
    phantom = make_phantom(seed)
    classes = ("ventricles", "white_matter_lesion")
    example = make_example(phantom, seed, classes, Preprocessing())
    flair = [name for name, _ in NETWORKS].index("flair")
    lesion = np.kron(example.labels[flair] == 2, np.ones((2, 2, 2), bool))
    brain = (example.voxels[flair] > 40) & ~lesion
    assert lesion.sum() > 50
    assert np.median(example.voxels[flair][lesion]) > np.median(example.voxels[flair][brain])
    assert "white_matter_lesions" in example.texts.findings
    assert example.texts.sentences
