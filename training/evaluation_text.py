"""`neurorecall evaluate text`: NeuroBERT on kept-back text beside a general sentence encoder, BM25 and chance.

Findings against impressions, concepts that are not words of the text, presence against absence, British against
American spelling; each figure with n and a 95 % bootstrap interval over its queries. What is kept back is settled in
training.text_data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from encoders.text import NeuroBERT
from training.intervals import mean_interval
from training.matching_pairs import FindingNames, phantom_cases
from training.opposition import Statements, read_statements
from training.spelling import to_american, to_british
from training.text_data import QUESTION_KINDS, TRAINABLE, TextCollection, read_text_collection, sentences, split

PHANTOM_SEED = 2_000_000  # phantom reports that no training saw
_PHANTOMS = 200
_ABSENCES = ("no {}", "no evidence of {}", "there is no {}", "{} is not seen")
_DENIAL = re.compile(r"\b(no|not|without|absent|negative for|free of|exclud\w+|rule out)\b[^.;:]*$", re.IGNORECASE)
_WORD = re.compile(r"[a-z0-9]+")
_MOST_PIECES_OF_TEXT = 2000  # characters; the longest kept-back reports would dominate the time

Writer = Callable[[str], None]
Scores = NDArray[np.float64]


def print_nothing(_line: str) -> None:
    """A writer for callers that want the figures only."""


class TextEncoder(Protocol):
    """Texts to unit vectors (N, D)."""

    def encode(self, texts: Sequence[str], batch_size: int = 32) -> NDArray[np.float32]: ...


Scorer = Callable[[Sequence[str], Sequence[str]], Scores]  # queries (Q), texts (N) -> (Q, N), higher is nearer


@dataclass(frozen=True, slots=True)
class Task:
    """Queries against a gallery; `right` (Q, N) says which texts answer which query."""

    name: str
    queries: tuple[str, ...]
    texts: tuple[str, ...]
    right: NDArray[np.bool_]


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
    statements = read_statements()
    scorers: dict[str, Scorer] = {"neurobert": _by_vectors(encoder)}
    if with_general and (general := general_encoder()) is not None:
        scorers["general encoder"] = _by_vectors(general)
    scorers |= {"bm25": bm25_scores, "random": _random_scores(seed)}
    tasks = matching_tasks(collection, percent)
    concept = concept_task(collection, statements, percent)
    figures: dict[str, object] = {}
    for name, scorer in scorers.items():
        matching = {task.name: _matching_figures(task, scorer, seed) for task in tasks}
        figures[name] = {
            "matching": matching,
            "concepts": _concept_figures(concept, scorer, seed),
            "presence over absence": _opposition_figures(statements, scorer, seed),
            "spelling": _spelling_figures(collection, statements, scorer, (percent, seed)),
        }
        _tell(name, figures[name], write)
    return {"data": collection.digest, "kept_back_percent": percent, "seed": seed, "figures": figures}


def matching_tasks(collection: TextCollection, percent: int) -> tuple[Task, ...]:
    """Findings as queries against the impressions of all tiers, one task a tier; phantoms against their own."""
    _, kept = split(collection.pairs, percent)
    kept = tuple(r for r in kept if r.findings and r.impression)
    impressions = tuple(dict.fromkeys(record.impression for record in kept))
    tasks = []
    for tier in sorted({record.tier for record in kept}):
        records = [record for record in kept if record.tier == tier]
        right = np.array([[record.impression == text for text in impressions] for record in records])
        queries = tuple(record.findings[:_MOST_PIECES_OF_TEXT] for record in records)
        tasks.append(Task(tier, queries, impressions, right))
    cases = phantom_cases(_PHANTOMS, PHANTOM_SEED)
    made = tuple(dict.fromkeys(case.report.impression for case in cases))
    right = np.array([[case.report.impression == text for text in made] for case in cases])
    tasks.append(Task("phantom", tuple(case.report.findings for case in cases), made, right))
    return tuple(tasks)


def concept_task(collection: TextCollection, statements: Statements, percent: int, fewest: int = 3) -> Task:
    """Names of findings as queries against kept-back texts out of which every name of a finding was taken.

    A text answers the findings that its diagnosis or itself names without denying them.
    """
    names = FindingNames(statements)
    _, kept = split((r for r in collection.corpus if r.kind not in QUESTION_KINDS), percent)
    kept = tuple(r for r in kept if r.restrict in TRAINABLE and 8 <= len(r.text.split()) <= 250)
    stated = [_stated(names, f"{record.text}. {' '.join(record.labels)}. {record.impression}") for record in kept]
    texts = [names.without(record.findings or record.text) for record in kept]
    usable = [row for row, text in enumerate(texts) if len(text.split()) >= 5 and stated[row]]
    queries = [
        finding.name
        for finding in statements.findings
        if sum(f"present:{finding.name}" in stated[row] for row in usable) >= fewest
    ]
    right = np.array([[f"present:{query}" in stated[row] for row in usable] for query in queries], dtype=bool)
    right = right.reshape(len(queries), len(usable))
    return Task("concepts", tuple(queries), tuple(texts[row] for row in usable), right)


def bm25_scores(queries: Sequence[str], texts: Sequence[str], k1: float = 1.2, b: float = 0.75) -> Scores:
    """Okapi BM25 (Robertson and Zaragoza 2009) of queries (Q) against texts (N)."""
    from scipy.sparse import csr_matrix

    documents = [_WORD.findall(text.lower()) for text in texts]
    column = {word: number for number, word in enumerate(sorted({w for words in documents for w in words}))}
    rows = [row for row, words in enumerate(documents) for _ in words]
    columns = [column[word] for words in documents for word in words]
    counts = csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(texts), max(1, len(column))))
    lengths = np.asarray(counts.sum(axis=1)).ravel()
    holding = np.asarray((counts > 0).sum(axis=0)).ravel()
    rarity = np.log(1 + (len(texts) - holding + 0.5) / (holding + 0.5))
    weights = counts.tocoo()
    norm = k1 * (1 - b + b * lengths[weights.row] / max(1e-9, lengths.mean()))
    weights.data = weights.data * (k1 + 1) / (weights.data + norm) * rarity[weights.col]
    asked = np.zeros((max(1, len(column)), len(queries)))
    for number, query in enumerate(queries):
        for word in _WORD.findall(query.lower()):
            if word in column:
                asked[column[word], number] += 1
    return np.asarray(weights.tocsr() @ asked, dtype=np.float64).T


def general_encoder() -> NeuroBERT | None:
    """The general sentence encoder with its own vocabulary, not centred; None where it is not installed."""
    import json

    import torch
    from safetensors.torch import load_file
    from tokenizers import Tokenizer
    from transformers import BertConfig

    from encoders.text import build_network
    from training.neurobert import general_encoder_folder
    from training.text_settings import TrainingConfigError

    try:
        folder = general_encoder_folder()
    except TrainingConfigError:
        return None
    config = BertConfig.from_dict(json.loads((folder / "config.json").read_text("utf-8")))
    network = build_network(config)
    wanted = network.state_dict()
    weights = load_file(folder / "model.safetensors")
    network.load_state_dict({name: weights[name].float() for name in wanted})
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return NeuroBERT(network, tokenizer, torch.zeros(config.hidden_size))


def _by_vectors(encoder: TextEncoder) -> Scorer:
    def scores(queries: Sequence[str], texts: Sequence[str]) -> Scores:
        return np.asarray(encoder.encode(list(queries)) @ encoder.encode(list(texts)).T, dtype=np.float64)

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


def _opposition_figures(statements: Statements, scorer: Scorer, seed: int) -> dict[str, object]:
    """Share of kept-back descriptions that a finding's name is nearer to than to each of four ways of denying it."""
    figures: dict[str, object] = {}
    for group, unseen in (("findings seen in training", False), ("findings never seen", True)):
        won: list[float] = []
        for finding in statements.findings:
            if finding.unseen != unseen:
                continue
            texts = [*finding.kept_back, *(form.format(finding.name) for form in _ABSENCES)]
            scores = scorer([finding.name], texts)[0]
            count = len(finding.kept_back)
            won += [float(score > scores[count:].max()) for score in scores[:count]]
        figures[group] = _figure(np.array(won), seed)
    queries = [finding.name for finding in statements.findings]
    present = [text for finding in statements.findings for text in finding.kept_back]
    denied = [form.format(finding.name) for finding in statements.findings for form in _ABSENCES[:2]]
    scores = scorer(queries, [*present, *denied])
    figures["first of all is a presence"] = _figure((scores.argmax(axis=1) < len(present)).astype(np.float64), seed)
    return figures


def _spelling_figures(
    collection: TextCollection, statements: Statements, scorer: Scorer, setting: tuple[int, int]
) -> dict[str, object]:
    """Overlap of the ten nearest kept-back sentences of a query in British and in American spelling."""
    percent, seed = setting
    _, kept = split(collection.pairs, percent)
    gallery = list(dict.fromkeys(part for r in kept if r.restrict in TRAINABLE for part in sentences(r.findings)))
    names = dict.fromkeys(name for finding in statements.findings for name in (*finding.names, *finding.described))
    twins = [(to_american(name), to_british(to_american(name))) for name in names]
    twins = [(american, british) for american, british in twins if american != british]
    both = scorer([query for pair in twins for query in pair], gallery)
    top = np.argsort(-both, axis=1, kind="stable")[:, :10]
    overlap = [len(set(top[row]) & set(top[row + 1])) / min(10, len(gallery)) for row in range(0, len(top), 2)]
    return {"gallery": len(gallery), "top-10 overlap": _figure(np.array(overlap), seed)}


def _figure(values: NDArray[np.float64], seed: int) -> dict[str, float | int]:
    low, high = mean_interval(values, seed=seed) if len(values) else (float("nan"), float("nan"))
    mean = float(values.mean()) if len(values) else float("nan")
    return {"value": round(mean, 4), "low": round(low, 4), "high": round(high, 4), "n": len(values)}


def _stated(names: FindingNames, text: str) -> frozenset[str]:
    """The findings that a text names outside of a denial."""
    found: set[str] = set()
    for part in re.split(r"(?<=[.;])\s+|\n", text):
        for key, before in names.places(part):
            if not _DENIAL.search(before):
                found.add(key)
    return frozenset(found)


def _tell(name: str, figures: object, write: Writer, path: tuple[str, ...] = ()) -> None:
    if not isinstance(figures, Mapping):
        return
    if "value" in figures:
        interval = f"{figures['low']:.3f}-{figures['high']:.3f}"
        write(f"{name:16} {' / '.join(path):52} {figures['value']:.3f} ({interval}) n={figures['n']}")
        return
    for key, value in figures.items():
        _tell(name, value, write, (*path, str(key)))
