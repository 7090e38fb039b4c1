"""Masked language modelling: whole words hidden, 15 % of them, no next-sentence task.

Texts come from training.text_data, the loop from training.text_loop. The head is thrown away after training.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch.nn import functional
from transformers import BertModel

from encoders.text import pad, special
from training.precision import autocast

HEAD = ("transform", "norm", "bias")  # parameters that start from chance
_IGNORED = -100  # cross_entropy's own mark for "not asked"


@dataclass(frozen=True, slots=True)
class MaskedLanguageConfig:
    steps: int = 300
    batch: int = 32
    pieces: int = 128
    mask_share: float = 0.15
    learning_rate: float = 3e-5
    head_factor: float = 30.0
    warm_up: int = 20
    weight_decay: float = 0.01


class MaskedLanguageModel(torch.nn.Module):
    """The network with a head that says which entry was hidden; the output matrix is the word vectors themselves."""

    def __init__(self, network: BertModel) -> None:
        super().__init__()
        config = network.config
        self.network = network
        self.transform = torch.nn.Linear(config.hidden_size, config.hidden_size)
        self.norm = torch.nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.bias = torch.nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, pieces: torch.Tensor, mask: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
        """Logits (asked positions, V); `asked` (B, L) bool."""
        hidden = self.network(input_ids=pieces, attention_mask=mask).last_hidden_state[asked]
        words: torch.Tensor = self.network.embeddings.word_embeddings.weight
        return functional.linear(self.norm(functional.gelu(self.transform(hidden))), words, self.bias)


@dataclass(frozen=True, slots=True)
class Windows:
    """Running text as windows of vocabulary entries, with the number of the word that each entry belongs to."""

    pieces: tuple[tuple[int, ...], ...]
    words: tuple[tuple[int, ...], ...]


def cut_windows(texts: Sequence[str], tokenizer: Tokenizer, length: int, twins: torch.Tensor) -> Windows:
    """Cut texts into windows of at most `length` entries, [CLS] and [SEP] included."""
    first, last = special(tokenizer, "[CLS]"), special(tokenizer, "[SEP]")
    shared = twins.tolist()
    pieces, words = [], []
    for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=False):
        for start in range(0, len(encoding.ids), length - 2):
            ids = [shared[piece] for piece in encoding.ids[start : start + length - 2]]
            if len(ids) < 6 and start:
                continue
            pieces.append((first, *ids, last))
            words.append((-1, *(int(word or 0) for word in encoding.word_ids[start : start + length - 2]), -1))
    return Windows(tuple(pieces), tuple(words))


def hide_words(
    pieces: Sequence[int], words: Sequence[int], share: float, vocabulary: tuple[int, int], chance: random.Random
) -> tuple[list[int], list[int]]:
    """(what the network sees, what it must say): whole words, 80 % [MASK], 10 % another entry, 10 % left as they are.

    `vocabulary` is ([MASK]'s number, number of entries).
    """
    mask, size = vocabulary
    numbers = sorted({word for word in words if word >= 0})
    chosen = set(chance.sample(numbers, max(1, round(share * len(numbers))))) if numbers else set()
    how = {word: chance.random() for word in sorted(chosen)}
    seen, said = list(pieces), [_IGNORED] * len(pieces)
    for place, word in enumerate(words):
        if word in chosen:
            said[place] = pieces[place]
            if how[word] < 0.8:
                seen[place] = mask
            elif how[word] < 0.9:
                seen[place] = chance.randrange(5, size)
    return seen, said


def masked_language_loss(
    model: MaskedLanguageModel, windows: Windows, config: MaskedLanguageConfig, tokenizer: Tokenizer, seed: int
) -> Callable[[int], torch.Tensor]:
    """The loss of a step as a function of its number alone: epochs are shuffled by the seed and the epoch's number."""
    count = len(windows.pieces)
    a_pass = max(1, count // config.batch)

    def loss_of_step(step: int) -> torch.Tensor:
        order = list(range(count))
        random.Random(f"{seed}/epoch {step // a_pass}").shuffle(order)
        start = (step % a_pass) * config.batch
        chance = random.Random(f"{seed}/mask {step}")
        return _loss(model, windows, order[start : start + config.batch], (config.mask_share, tokenizer, chance))

    return loss_of_step


def masked_accuracy(
    model: MaskedLanguageModel, windows: Windows, config: MaskedLanguageConfig, tokenizer: Tokenizer, limit: int = 192
) -> float:
    """Share of hidden entries of kept-back text that the network names at its first guess."""
    model.eval()
    chance = random.Random("kept back")
    right = total = 0
    with torch.inference_mode():
        for start in range(0, min(limit, len(windows.pieces)), config.batch):
            rows = range(start, min(start + config.batch, limit, len(windows.pieces)))
            logits, said = _guess(model, windows, list(rows), (config.mask_share, tokenizer, chance))
            right += int((logits.argmax(dim=-1) == said).sum())
            total += len(said)
    return right / max(1, total)


def _loss(
    model: MaskedLanguageModel,
    windows: Windows,
    rows: Sequence[int],
    hiding: tuple[float, Tokenizer, random.Random],
) -> torch.Tensor:
    logits, said = _guess(model, windows, rows, hiding)
    return functional.cross_entropy(logits.float(), said)


def _guess(
    model: MaskedLanguageModel,
    windows: Windows,
    rows: Sequence[int],
    hiding: tuple[float, Tokenizer, random.Random],
) -> tuple[torch.Tensor, torch.Tensor]:
    share, tokenizer, chance = hiding
    vocabulary = (special(tokenizer, "[MASK]"), tokenizer.get_vocab_size())
    pairs = [hide_words(windows.pieces[row], windows.words[row], share, vocabulary, chance) for row in rows]
    device = next(model.parameters()).device
    seen, mask = pad([pair[0] for pair in pairs], special(tokenizer, "[PAD]"))
    said, _ = pad([pair[1] for pair in pairs], _IGNORED)
    asked = said != _IGNORED
    with autocast(device):
        logits = model(seen.to(device), mask.to(device), asked.to(device))
    return logits, said[asked].to(device)
