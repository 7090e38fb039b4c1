"""NeuroBERT: radiology texts to unit vectors.

A folder holds `model.safetensors` (fp16 weights and the mean vector), `tokenizer.json` (lower-casing, accents and
section headings are settled there, so that nobody has to know) and `config.json`. Whether a statement says that a
finding is absent is left to indexer.assertions; how the weights were learned, to training.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

MAX_PIECES = 512  # positions that the network has, [CLS] and [SEP] included
_CENTRE = "centre"
_FILES = ("model.safetensors", "tokenizer.json", "config.json")
_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+|\n+")


class TextError(ValueError):
    """A text that cannot be encoded."""


class TextModelError(ValueError):
    """A folder that holds no readable NeuroBERT."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    """At most MAX_PIECES vocabulary entries of one text, [CLS] and [SEP] included."""

    text: int
    pieces: tuple[int, ...]


class NeuroBERT:
    """A frozen text encoder: tokenizer, BERT layers, mean pooling, centring, unit length."""

    def __init__(self, network: BertModel, tokenizer: Tokenizer, centre: torch.Tensor) -> None:
        self.network = cast(BertModel, network.train(mode=False).requires_grad_(False))
        self.tokenizer = tokenizer
        self.centre = centre.detach().to("cpu", torch.float32)

    @property
    def dim(self) -> int:
        return int(self.centre.shape[0])

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> NeuroBERT:
        """Read a folder written by `save`. Raises TextModelError where something is missing or does not fit."""
        home = Path(folder)
        for name in _FILES:
            if not (home / name).is_file():
                raise TextModelError(f"Expected {', '.join(_FILES)} in the text encoder's folder, {name} is missing")
        try:
            config = BertConfig.from_dict(json.loads((home / "config.json").read_text("utf-8")))
            tokenizer = Tokenizer.from_file(str(home / "tokenizer.json"))
            tensors = {name: tensor.float() for name, tensor in load_file(home / "model.safetensors").items()}
            centre = tensors.pop(_CENTRE)
            network = build_network(config)
            network.load_state_dict(tensors)
        except Exception as error:  # tokenizers raises bare Exception
            raise TextModelError(f"Expected a text encoder written by NeuroBERT.save, got: {error}") from error
        if tokenizer.get_vocab_size() != config.vocab_size:
            found, expected = tokenizer.get_vocab_size(), config.vocab_size
            raise TextModelError(f"Expected a tokenizer of {expected} entries as in config.json, got {found}")
        return cls(network, tokenizer, centre)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the folder whole or not at all; an older one is replaced."""
        home = Path(folder)
        home.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{home.name}-", dir=home.parent))
        try:
            tensors = {name: tensor.half().contiguous() for name, tensor in self.network.state_dict().items()}
            save_file({**tensors, _CENTRE: self.centre.contiguous()}, aside / "model.safetensors", {"format": "pt"})
            self.tokenizer.save(str(aside / "tokenizer.json"))
            config = json.dumps(self.network.config.to_diff_dict(), indent=2, sort_keys=True)
            (aside / "config.json").write_text(config + "\n", "utf-8")
            aside.chmod(0o755)
            (aside / "model.safetensors").chmod(0o644)
            if home.exists():
                older = Path(tempfile.mkdtemp(prefix=f".{home.name}-older-", dir=home.parent))
                home.replace(older / home.name)
                aside.replace(home)
                shutil.rmtree(older)
            else:
                aside.replace(home)
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def tokenize(self, text: str) -> tuple[str, ...]:
        """The vocabulary entries of a text, without [CLS] and [SEP]."""
        return tuple(self.tokenizer.encode(text, add_special_tokens=False).tokens)

    def encode(self, texts: Sequence[str], batch_size: int = 32) -> NDArray[np.float32]:
        """Embeddings (N, D) of texts, centred and of unit length, each the same whatever it is encoded together with.

        A text of more than MAX_PIECES entries is split by sentence and the mean is taken over all of its entries.
        Raises TextError for a text without a word.
        """
        if isinstance(texts, str):
            raise TextError(f"Expected a sequence of texts, got one text: {texts[:40]!r}")
        if batch_size < 1:
            raise TextError(f"Expected a batch size of at least 1, got {batch_size}")
        chunks = sorted(self._chunks(texts), key=lambda chunk: len(chunk.pieces))
        sums = torch.zeros(len(texts), self.dim)
        counts = torch.zeros(len(texts), 1)
        with _one_thread(), torch.inference_mode():
            for start in range(0, len(chunks), batch_size):
                batch = chunks[start : start + batch_size]
                pieces, mask = pad([chunk.pieces for chunk in batch], self._padding)
                hidden = self.network(input_ids=pieces, attention_mask=mask).last_hidden_state
                rows = torch.tensor([chunk.text for chunk in batch])
                weights = mask.unsqueeze(-1).to(hidden.dtype)
                sums.index_add_(0, rows, (hidden * weights).sum(dim=1))
                counts.index_add_(0, rows, weights.sum(dim=1))
            pooled = torch.nn.functional.normalize(sums / counts.clamp(min=1.0), dim=-1) - self.centre
            unit = torch.nn.functional.normalize(pooled, dim=-1)
        return cast(NDArray[np.float32], unit.numpy().astype(np.float32, copy=False))

    @property
    def _padding(self) -> int:
        return special(self.tokenizer, "[PAD]")

    def _chunks(self, texts: Sequence[str]) -> Iterator[_Chunk]:
        first, last = special(self.tokenizer, "[CLS]"), special(self.tokenizer, "[SEP]")
        for number, text in enumerate(texts):
            try:
                pieces = self._pieces(text)
            except (TypeError, UnicodeEncodeError) as error:  # half a surrogate pair, or no text at all
                raise TextError(f"Expected a text, got one that is not valid as text {number + 1}") from error
            if not pieces:
                raise TextError(f"Expected a text with at least one word, got {text[:40]!r} as text {number + 1}")
            if len(pieces) <= MAX_PIECES - 2:
                yield _Chunk(number, (first, *pieces, last))
                continue
            for part in self._split(text):
                yield _Chunk(number, (first, *part, last))

    def _pieces(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def _split(self, text: str) -> Iterator[list[int]]:
        """Whole sentences together up to the limit; a sentence longer than that is cut into windows."""
        limit = MAX_PIECES - 2
        together: list[int] = []
        for sentence in _SENTENCE_END.split(text):
            pieces = self._pieces(sentence)
            if together and len(together) + len(pieces) > limit:
                yield together
                together = []
            together = together + pieces
            while len(together) > limit:
                yield together[:limit]
                together = together[limit:]
        if together:
            yield together


def build_network(config: BertConfig) -> BertModel:
    """BERT layers without the pooler, on the CPU, in float32; initial weights come from torch's generator."""
    config._attn_implementation = "sdpa"
    return BertModel(config, add_pooling_layer=False)


def special(tokenizer: Tokenizer, name: str) -> int:
    """The number of [CLS], [SEP], [PAD] or [MASK]. Raises TextModelError where the vocabulary lacks it."""
    number = tokenizer.token_to_id(name)
    if number is None:
        raise TextModelError(f"Expected a vocabulary with {name}, it has none")
    return int(number)


def pad(rows: Sequence[Sequence[int]], padding: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Vocabulary entries and attention mask, both (N, longest) int64.

    >>> pad([(1, 2), (3,)], 0)[0].tolist()
    [[1, 2], [3, 0]]
    """
    longest = max(len(row) for row in rows)
    pieces = torch.full((len(rows), longest), padding, dtype=torch.int64)
    mask = torch.zeros((len(rows), longest), dtype=torch.int64)
    for number, row in enumerate(rows):
        pieces[number, : len(row)] = torch.tensor(row, dtype=torch.int64)
        mask[number, : len(row)] = 1
    return pieces, mask


@contextmanager
def _one_thread() -> Iterator[None]:
    """Two threads make one query ten times slower as soon as a core is busy."""
    before = torch.get_num_threads()
    if before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
