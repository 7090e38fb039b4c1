"""The sequence network: shapes, determinism, left against right, and a configuration that survives JSON."""

import json

import pytest
import torch

from encoders.vision import SequenceNetwork, VisionConfig, VisionConfigError

CONFIG = VisionConfig(findings=("abnormal", "infarct"), mask_classes=("infarct", "mass", "blood"), embedding_dim=32)
SMALL = VisionConfig(
    findings=("abnormal",), mask_classes=("mass",), channels=(8, 8, 16, 16), blocks=(1, 1, 1, 1), embedding_dim=8
)


def network(config: VisionConfig = SMALL) -> SequenceNetwork:
    torch.manual_seed(3)
    return SequenceNetwork(config).eval()


@pytest.mark.parametrize("shape", [(96, 112, 96), (32, 48, 32)])
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
