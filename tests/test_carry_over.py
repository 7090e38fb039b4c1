"""Networks carried over to another NeuroBERT: the map is put behind the last layer and nothing else changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig

from encoders.text import NeuroBERT, build_network
from training.carry_over import carry_over
from training.phantoms.reports import write_report
from training.phantoms.scenario import draw_facts
from training.vocabulary import VocabularyConfig, learn_tokenizer

WIDTH, FEATURES, REPORTS = 16, 7, 80


def write_text(folder: Path, turn: torch.Tensor | None = None) -> Path:
    """A small text encoder; `turn` (D, D) orthogonal turns its space."""
    torch.manual_seed(1)
    texts = [write_report(draw_facts(seed), seed).text for seed in range(20)]
    tokenizer = learn_tokenizer(texts, ("brain",), VocabularyConfig(size=400))
    config = BertConfig(
        vocab_size=400, hidden_size=WIDTH, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    network = build_network(config)
    torch.nn.init.normal_(network.embeddings.word_embeddings.weight)
    if turn is not None:  # the last normalisation's weight is 1, its bias 0: what it is given can be turned before
        network.encoder.layer[0].output.dense.weight.data = turn.T @ network.encoder.layer[0].output.dense.weight
    NeuroBERT(network, tokenizer, torch.zeros(WIDTH)).save(folder)
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    home = tmp_path / "bundle"
    (home / "vision").mkdir(parents=True)
    (home / "findings.toml").write_text("")
    (home / "calibration.safetensors").write_text("{}")
    (home / "bundle.json").write_text(json.dumps({"networks": [{"file": "vision/flair.safetensors"}]}))
    head = torch.randn(WIDTH, FEATURES + 1, generator=torch.Generator().manual_seed(2))
    head -= head.mean(dim=0)  # a normalised layer's outputs sum to zero: the map knows nothing outside of that
    weight, bias = head[:, 1:].contiguous(), head[:, 0].contiguous()
    state = {"embedding_head.weight": weight, "embedding_head.bias": bias, "stem.weight": torch.ones(3)}
    save_file(state, home / "vision" / "flair.safetensors")
    write_text(home / "text")
    return home


def test_to_the_same_encoder_nothing_changes(bundle: Path, tmp_path: Path) -> None:
    carried = carry_over(bundle, bundle / "text", tmp_path / "out", REPORTS)
    assert carried.explained == pytest.approx(1.0, abs=0.02)
    before, after = (load_file(home / "vision" / "flair.safetensors") for home in (bundle, tmp_path / "out"))
    assert torch.allclose(after["embedding_head.weight"].float(), before["embedding_head.weight"], atol=0.05)
    assert torch.allclose(after["embedding_head.bias"].float(), before["embedding_head.bias"], atol=0.05)
    assert torch.equal(after["stem.weight"].float(), before["stem.weight"])


def test_another_encoder_comes_with_its_text_and_without_the_old_calibration(bundle: Path, tmp_path: Path) -> None:
    turn = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=torch.Generator().manual_seed(3)))[0]
    other = write_text(tmp_path / "other", turn)
    carried = carry_over(bundle, other, tmp_path / "out", REPORTS)
    assert 0.5 < carried.explained < 1.0
    written = (tmp_path / "out" / "text" / "model.safetensors").read_bytes()
    assert written == (other / "model.safetensors").read_bytes()
    assert not (tmp_path / "out" / "calibration.safetensors").exists()
    assert (tmp_path / "out" / "findings.toml").exists()
