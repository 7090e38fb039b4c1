"""`neurorecall evaluate text`: NeuroBERT on kept-back text beside a general sentence encoder, BM25 and chance.

Findings against impressions, concepts that are not words of the text, presence against absence, British against
American spelling; each figure with n and a 95 % bootstrap interval over its queries. What is kept back is settled in
training.text_data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from encoders.text import NeuroBERT
from training.bm25 import bm25_scores
from training.evaluation_text_tasks import Task, concept_task, description_task, matching_tasks
from training.general_encoder import GeneralEncoderMissing, general_encoder
from training.intervals import mean_interval
from training.spelling import to_american, to_british
from training.statements import FindingStatements, Statements, read_statements
from training.text_data import TRAINABLE, TextCollection, kept_back_text, read_text_collection, sentences, split
from training.vision_loop import TextVectors
from training.vocabulary import pieces_a_word

_MOST_SPELLINGS = 150
_ABSENCES = ("no {}", "no evidence of {}", "there is no {}", "{} is not seen")

Writer = Callable[[str], None]
Scores = NDArray[np.float64]


def print_nothing(_line: str) -> None:
    """A writer for callers that want the figures only."""


class TextEncoder(Protocol):
    """Texts to unit vectors (N, D)."""

    def encode(self, texts: Sequence[str], batch_size: int = 32) -> NDArray[np.float32]: ...


Scorer = Callable[[Sequence[str], Sequence[str]], Scores]  # queries (Q), texts (N) -> (Q, N), higher is nearer


@dataclass(frozen=True, slots=True)
class Questions:
    """Everything that is asked of an encoder, the same for all that are compared."""

    matching: tuple[Task, ...]
    concepts: dict[str, Task]
    statements: Statements
    spellings: tuple[tuple[str, str], ...]
    sentences: tuple[str, ...]


def evaluate_text(
    encoder: TextEncoder,
    text_dir: Path,
    *,
    percent: int = 15,
    seed: int = 1,
    write: Writer = print_nothing,
    with_general: bool = True,
) -> dict[str, object]:
    """Every figure for the encoder and its baselines. `percent` must be the training's own kept_back_percent."""
    collection = read_text_collection(text_dir)
    asked = questions(collection, percent)
    encoders: dict[str, TextEncoder] = {"neurobert": encoder}
    if with_general:
        with suppress(GeneralEncoderMissing):
            encoders["general encoder"] = general_encoder()
    scorers = {name: by_vectors(one) for name, one in encoders.items()}
    scorers |= {"bm25": bm25_scores, "random": _random_scores(seed)}
    figures: dict[str, dict[str, object]] = {}
    for name, scorer in scorers.items():
        figures[name] = measure(scorer, asked, seed)
        if isinstance(one := encoders.get(name), NeuroBERT):
            figures[name] = {"vocabulary": _vocabulary_figures(one, collection, (percent, seed)), **figures[name]}
        _tell(name, figures[name], write)
    return {"data": collection.digest, "kept_back_percent": percent, "seed": seed, "figures": figures}


def questions(collection: TextCollection, percent: int) -> Questions:
    """What the kept-back text and the kept-back statements ask."""
    statements = read_statements()
    _, kept = split(collection.pairs, percent)
    gallery = dict.fromkeys(part for r in kept if r.restrict in TRAINABLE for part in sentences(r.findings))
    names = dict.fromkeys(name for finding in statements.findings for name in finding.names)
    twins = [(to_american(name), to_british(to_american(name))) for name in names]
    concepts = {
        "real texts": concept_task(collection, statements, percent),
        "descriptions, findings seen in training": description_task(statements, unseen=False),
        "descriptions, findings never seen": description_task(statements, unseen=True),
    }
    differing = tuple(dict.fromkeys(pair for pair in twins if pair[0] != pair[1]))[:_MOST_SPELLINGS]
    return Questions(matching_tasks(collection, percent), concepts, statements, differing, tuple(gallery))


def measure(scorer: Scorer, asked: Questions, seed: int) -> dict[str, object]:
    """Every figure of one scorer."""
    return {
        "matching": {task.name: _matching_figures(task, scorer, seed) for task in asked.matching},
        "concepts": {name: _concept_figures(task, scorer, seed) for name, task in asked.concepts.items()},
        "presence over absence": _presence_figures(asked.statements, scorer, seed),
        "absence over presence": _absence_figures(asked.statements, scorer, seed),
        "spelling": _spelling_figures(asked, scorer, seed),
    }


def by_vectors(encoder: TextEncoder) -> Scorer:
    """Cosines of an encoder's vectors; a text that is asked of several times is encoded once."""
    vectors = TextVectors(encoder.encode)

    def scores(queries: Sequence[str], texts: Sequence[str]) -> Scores:
        return np.asarray(vectors(queries) @ vectors(texts).T, dtype=np.float64)

    return scores


def _random_scores(seed: int) -> Scorer:
    def scores(queries: Sequence[str], texts: Sequence[str]) -> Scores:
        return np.random.default_rng(seed).random((len(queries), len(texts)))

    return scores


def _ranks(scores: Scores, right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Rank (Q,) of the best right answer from 1; texts of the same score share the worst rank of them."""
    best = np.where(right, scores, -np.inf).max(axis=1, keepdims=True)
    return np.asarray(((scores >= best) & ~right).sum(axis=1) + 1, dtype=np.float64)


def _matching_figures(task: Task, scorer: Scorer, seed: int) -> dict[str, object]:
    ranks = _ranks(scorer(task.queries, task.texts), task.right)
    return {
        "queries": len(task.queries),
        "gallery": len(task.texts),
        "R@1": _figure((ranks <= 1).astype(np.float64), seed),
        "R@10": _figure((ranks <= 10).astype(np.float64), seed),
        "MRR": _figure(1 / ranks, seed),
    }


def _concept_figures(task: Task, scorer: Scorer, seed: int) -> dict[str, object]:
    if not task.queries:
        return {"queries": 0, "gallery": len(task.texts)}
    scores = scorer(task.queries, task.texts)
    ties = np.random.default_rng(seed).random(scores.shape)
    order = np.lexsort((ties, -scores), axis=1)
    ranked = np.take_along_axis(task.right, order, axis=1)
    discount = 1 / np.log2(np.arange(2, 12))
    width = min(10, ranked.shape[1])
    gained = (ranked[:, :width] * discount[:width]).sum(axis=1)
    ideal = np.array([discount[: min(width, int(count))].sum() for count in task.right.sum(axis=1)])
    return {
        "queries": len(task.queries),
        "gallery": len(task.texts),
        "nDCG@10": _figure(gained / ideal, seed),
        "P@5": _figure(ranked[:, :5].mean(axis=1), seed),
    }


def _presence_figures(statements: Statements, scorer: Scorer, seed: int) -> dict[str, object]:
    """Share of kept-back descriptions that a finding's name is nearer to than to every denial of it.

    Denials are four forms ("no X", "X is not seen"), or, harder, the kept-back sentences that deny it or say what is
    normal instead.
    """
    figures: dict[str, object] = {}
    for group, unseen in (("findings seen in training", False), ("findings never seen", True)):
        kept = [f for f in statements.findings if f.unseen == unseen and f.kept_back.described]
        won = [_nearer(scorer, f.name, f.kept_back.described, _denials(f)) for f in kept]
        figures[group] = _figure(np.array([one for ones in won for one in ones]), seed)
        hard = [f for f in kept if f.kept_back.denied]
        won = [_nearer(scorer, f.name, f.kept_back.described, (*f.kept_back.denied, *f.kept_back.normal)) for f in hard]
        figures[f"{group}, written denials"] = _figure(np.array([one for ones in won for one in ones]), seed)
    queries = [finding.name for finding in statements.findings]
    present = [text for finding in statements.findings for text in finding.kept_back.described]
    denied = [form.format(finding.name) for finding in statements.findings for form in _ABSENCES[:2]]
    scores = scorer(queries, [*present, *denied])
    figures["first of all is a presence"] = _figure((scores.argmax(axis=1) < len(present)).astype(np.float64), seed)
    return figures


def _absence_figures(statements: Statements, scorer: Scorer, seed: int) -> dict[str, object]:
    """Share of kept-back denials that "no X" is nearer to than to every kept-back description of X."""
    figures: dict[str, object] = {}
    for group, unseen in (("findings seen in training", False), ("findings never seen", True)):
        kept = [f for f in statements.findings if f.unseen == unseen and f.kept_back.denied]
        won = [
            _nearer(scorer, f"no {f.name}", (*f.kept_back.denied, *f.kept_back.normal), f.kept_back.described)
            for f in kept
        ]
        figures[group] = _figure(np.array([one for ones in won for one in ones]), seed)
    return figures


def _nearer(scorer: Scorer, query: str, right: Sequence[str], wrong: Sequence[str]) -> list[float]:
    scores = scorer([query], [*right, *wrong])[0]
    return [float(score > scores[len(right) :].max()) for score in scores[: len(right)]]


def _denials(finding: FindingStatements) -> tuple[str, ...]:
    return tuple(form.format(finding.name) for form in _ABSENCES)


def _spelling_figures(asked: Questions, scorer: Scorer, seed: int) -> dict[str, object]:
    """Overlap of the ten nearest kept-back sentences of a query in British and in American spelling."""
    gallery = asked.sentences
    both = scorer([query for pair in asked.spellings for query in pair], gallery)
    top = np.argsort(-both, axis=1, kind="stable")[:, :10]
    overlap = [len(set(top[row]) & set(top[row + 1])) / min(10, len(gallery)) for row in range(0, len(top), 2)]
    return {"gallery": len(gallery), "top-10 overlap": _figure(np.array(overlap), seed)}


def _vocabulary_figures(encoder: NeuroBERT, collection: TextCollection, setting: tuple[int, int]) -> dict[str, object]:
    """Vocabulary entries for a word of letters, by kept-back text; the general encoder's vocabulary is BERT's."""
    percent, seed = setting
    values = [pieces_a_word(encoder.tokenizer, [text]) for text in kept_back_text(collection, percent)]
    return {"pieces a word": _figure(np.array(values), seed)}


def _figure(values: NDArray[np.float64], seed: int) -> dict[str, float | int]:
    low, high = mean_interval(values, seed=seed) if len(values) else (float("nan"), float("nan"))
    mean = float(values.mean()) if len(values) else float("nan")
    return {"value": round(mean, 4), "low": round(low, 4), "high": round(high, 4), "n": len(values)}


def _tell(name: str, figures: object, write: Writer, path: tuple[str, ...] = ()) -> None:
    if not isinstance(figures, Mapping):
        return
    if "value" in figures:
        interval = f"{figures['low']:.3f}-{figures['high']:.3f}"
        write(f"{name:16} {' / '.join(path):52} {figures['value']:.3f} ({interval}) n={figures['n']}")
        return
    for key, value in figures.items():
        _tell(name, value, write, (*path, str(key)))
