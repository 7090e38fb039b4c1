"""Section matching: a twin network brings together what says the same and pushes apart what says the opposite.

Findings against impression of the same report, random single sentences, names against definitions, presence against
absence; in-batch negatives without duplicates and without false negatives (texts that share a key). Records come from
training.text_data.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from tokenizers import Tokenizer
from torch.nn import functional
from transformers import BertModel

from encoders.text import pad, special
from training.opposition import Statement, Triple, contradicting
from training.precision import autocast
from training.spelling import to_british

Draw = Callable[[random.Random], Triple]


@dataclass(frozen=True, slots=True)
class SectionMatchingConfig:
    """Shares are relative weights of the kinds of triple in a batch; 0 leaves a kind out.

    `single_sentences` takes one sentence of a report at times instead of all. Without `opposition` no triple has a
    negative. Where there is one, its cosine to the anchor and to the positive is pushed below `margin`, `push` times as
    hard as the matching loss.
    """

    steps: int = 600
    batch: int = 48
    pieces: int = 96
    scale: float = 20.0
    learning_rate: float = 1e-4
    warm_up: int = 50
    weight_decay: float = 0.01
    british_share: float = 0.15
    single_sentences: bool = True
    opposition: bool = True
    margin: float = 0.0
    push: float = 4.0
    share_reports: float = 0.2
    share_written: float = 0.14
    share_cases: float = 0.2
    share_denials: float = 0.06
    share_sentences: float = 0.12
    share_terms: float = 0.14
    share_phantoms: float = 0.08
    share_opposition: float = 0.26


class SectionMatchingError(ValueError):
    """Nothing to learn from."""


def section_matching_loss(
    network: BertModel,
    draws: Sequence[tuple[float, Draw]],
    config: SectionMatchingConfig,
    tokenizer: tuple[Tokenizer, torch.Tensor],
    seed: int,
) -> Callable[[int], torch.Tensor]:
    """The loss of a step as a function of its number alone. `tokenizer` comes with its spelling twins."""
    usable = [(share, draw) for share, draw in draws if share > 0]
    if not usable:
        raise SectionMatchingError("Expected at least one kind of triple with a share above 0")

    def loss_of_step(step: int) -> torch.Tensor:
        chance = random.Random(f"{seed}/pairs {step}")
        triples = draw_batch(usable, config.batch, chance)
        if not config.opposition:
            triples = [replace(triple, negative=None) for triple in triples]
        statements = [triple.anchor for triple in triples] + [triple.positive for triple in triples]
        statements += [triple.negative for triple in triples if triple.negative is not None]
        texts = [to_british(s.text) if chance.random() < config.british_share else s.text for s in statements]
        vectors = embed(network, texts, tokenizer, (config.pieces, chance))
        loss = matching_loss(vectors, [statement.keys for statement in statements], len(triples), config.scale)
        opposed = [row for row, triple in enumerate(triples) if triple.negative is not None]
        return loss + config.push * opposition_loss(vectors, opposed, len(triples), config.margin)

    return loss_of_step


def draw_batch(draws: Sequence[tuple[float, Draw]], size: int, chance: random.Random) -> list[Triple]:
    """Triples of which no two share an anchor's or a positive's text."""
    triples: list[Triple] = []
    seen: set[str] = set()
    shares = [share for share, _ in draws]
    for _ in range(size * 20):
        triple = chance.choices(draws, shares)[0][1](chance)
        texts = {triple.anchor.text.lower(), triple.positive.text.lower()}
        if len(texts) == 2 and not texts & seen:
            seen |= texts
            triples.append(triple)
        if len(triples) == size:
            break
    return triples


def matching_loss(vectors: torch.Tensor, keys: Sequence[frozenset[str]], anchors: int, scale: float) -> torch.Tensor:
    """Symmetric multiple-negatives ranking over unit vectors (anchors, positives, then hard negatives).

    A candidate counts as a negative only where its keys contradict the anchor's (Henderson et al. 2017, with a mask).
    """
    device = vectors.device
    apart = contradicting(keys).to(device)
    similar = vectors @ vectors.T * scale
    own = torch.arange(anchors, device=device)
    towards = similar[:anchors, anchors:].masked_fill(~_or_own(apart[:anchors, anchors:]), -1e4)
    others = [*range(anchors), *range(2 * anchors, len(keys))]  # anchors, then hard negatives
    back = similar[anchors : 2 * anchors, others]
    back = back.masked_fill(~_or_own(apart[anchors : 2 * anchors, others]), -1e4)
    return (functional.cross_entropy(towards, own) + functional.cross_entropy(back, own)) / 2


def opposition_loss(vectors: torch.Tensor, opposed: Sequence[int], anchors: int, margin: float) -> torch.Tensor:
    """Mean squared excess over `margin` of the cosines of negatives to their anchors and positives.

    `vectors` are anchors, positives, then one negative for each triple number in `opposed`. A ranking loss alone is
    content once a denial lies behind the right answers of the batch; in an archive there are better-placed wrong ones.
    """
    if not opposed:
        return vectors.new_zeros(())
    own = torch.tensor(opposed, device=vectors.device)
    negatives = vectors[2 * anchors :]
    cosines = torch.stack([(vectors[own + shift] * negatives).sum(dim=1) for shift in (0, anchors)])
    return (cosines - margin).clamp(min=0.0).square().mean()


def embed(
    network: BertModel,
    texts: Sequence[str],
    tokenizer: tuple[Tokenizer, torch.Tensor],
    window: tuple[int, random.Random],
    together: int = 16,
) -> torch.Tensor:
    """Unit vectors (N, D), not centred; a text over the window's length is represented by a random stretch of it."""
    pieces, twins = tokenizer
    length, chance = window
    first, last = special(pieces, "[CLS]"), special(pieces, "[SEP]")
    rows = []
    for encoding in pieces.encode_batch(list(texts), add_special_tokens=False):
        start = chance.randrange(max(1, len(encoding.ids) - length + 3))
        rows.append([first, *encoding.ids[start : start + length - 2], last])
    order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
    device = next(network.parameters()).device
    parts = []
    for begin in range(0, len(order), together):
        ids, mask = pad([rows[row] for row in order[begin : begin + together]], special(pieces, "[PAD]"))
        ids, mask = twins[ids].to(device), mask.to(device)
        with autocast(device):
            hidden = network(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(-1).float()
        parts.append((hidden.float() * weights).sum(dim=1) / weights.sum(dim=1))
    back = torch.empty(len(order), dtype=torch.int64)
    back[torch.tensor(order)] = torch.arange(len(order))
    return functional.normalize(torch.cat(parts)[back.to(device)], dim=-1)


def keyed(text: str, *keys: str) -> Statement:
    """A statement with its keys; without any, its own text is its key."""
    return Statement(text, frozenset(keys) or frozenset({f"text:{' '.join(text.lower().split())}"}))


def _or_own(apart: torch.Tensor) -> torch.Tensor:
    """Every contradicting candidate, and on the diagonal the anchor's own."""
    own = torch.zeros_like(apart)
    own.fill_diagonal_(True)
    return apart | own
