"""`neurorecall train ablations`: what each part of NeuroBERT's training brings, by short runs that leave one out.

All runs share text, vocabulary settings and steps, those of one TOML file; they are shorter than the run that ships, so
that their figures compare with each other and with nothing else. Each run resumes; a finished one is not done again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from encoders.text import NeuroBERT
from training.evaluation_tables import interval_cell
from training.evaluation_text import Questions, by_vectors, measure, questions
from training.evaluation_text_tasks import ALL_TIERS
from training.neurobert import train_encoder
from training.text_data import read_text_collection
from training.text_settings import NeuroBERTConfig

Variant = Callable[[NeuroBERTConfig], NeuroBERTConfig]


def _without_masked(config: NeuroBERTConfig) -> NeuroBERTConfig:
    return replace(config, masked_language=replace(config.masked_language, steps=0))


def _matching(**changes: Any) -> Variant:
    def change(config: NeuroBERTConfig) -> NeuroBERTConfig:
        plain = _without_masked(config)
        return replace(plain, section_matching=replace(plain.section_matching, **changes))

    return change


def _from_scratch(config: NeuroBERTConfig) -> NeuroBERTConfig:
    plain = _without_masked(config)
    return replace(plain, network=replace(plain.network, start="scratch"))


VARIANTS: tuple[tuple[str, Variant], ...] = (
    ("as shipped, but short", _without_masked),
    ("the same, another seed", lambda config: replace(_without_masked(config), seed=config.seed + 1)),
    ("from scratch", _from_scratch),
    ("masked language modelling first", lambda config: config),
    ("masked language modelling alone", lambda config: replace(
        config, section_matching=replace(config.section_matching, steps=0)
    )),
    ("without section matching", _matching(steps=0)),
    ("without single sentences", _matching(single_sentences=False, share_sentences=0.0)),
    ("without opposition", _matching(opposition=False, share_denials=0.0)),
    ("without the written cases", _matching(share_cases=0.0)),
    ("without the teaching matter", _matching(share_written=0.0, share_cases=0.0, share_opposition=0.0)),
)  # fmt: skip
# Column, and where its figure stands in what `measure` gives.
_COLUMNS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("matching, MRR", ("matching", ALL_TIERS, "MRR")),
    ("matching, R@10", ("matching", ALL_TIERS, "R@10")),
    ("concepts in real texts, nDCG@10", ("concepts", "real texts", "nDCG@10")),
    ("concepts in descriptions, seen, nDCG@10", ("concepts", "descriptions, findings seen in training", "nDCG@10")),
    ("descriptions, never seen, nDCG@10", ("concepts", "descriptions, findings never seen", "nDCG@10")),
    ("presence over absence, seen", ("presence over absence", "findings seen in training")),
    ("presence, never seen", ("presence over absence", "findings never seen")),
)


def run_ablations(config: NeuroBERTConfig, out: Path, text_dir: Path, say: Callable[[str], None]) -> str:
    """Train and measure every variant into `out`; the table as Markdown."""
    collection = read_text_collection(text_dir)
    asked = questions(collection, config.kept_back_percent)
    rows = {}
    for name, change in VARIANTS:
        home = out / name.replace(" ", "-").replace(",", "")
        figures = home / "figures.json"
        if not figures.is_file():
            say(name)
            encoder = NeuroBERT.load(train_encoder(change(config), home, collection))
            _write(figures, _measured(encoder, asked))
            for checkpoint in home.glob("*.safetensors"):
                checkpoint.unlink()
        rows[name] = (change(config), json.loads(figures.read_text("utf-8")))
    return _table(rows)


def _measured(encoder: NeuroBERT, asked: Questions) -> dict[str, object]:
    spectrum = np.linalg.svd(encoder.encode(list(asked.concepts["real texts"].texts[:200])), compute_uv=False) ** 2
    shares = np.cumsum(spectrum) / spectrum.sum()
    return {**measure(by_vectors(encoder), asked, seed=1), "dimensions for 90 %": int((shares < 0.9).sum()) + 1}


def _write(path: Path, figures: Mapping[str, object]) -> None:
    aside = path.with_suffix(".part")
    aside.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    aside.replace(path)


def _table(rows: Mapping[str, tuple[NeuroBERTConfig, Mapping[str, Any]]]) -> str:
    lines = [
        f"| run | seed | steps | {' | '.join(name for name, _ in _COLUMNS)} | dimensions for 90 % of the variance |",
        f"|---|---|---|{'---|' * (len(_COLUMNS) + 1)}",
    ]
    for name, (config, figures) in rows.items():
        steps = f"{config.masked_language.steps} + {config.section_matching.steps}"
        cells = [_cell(figures, path) for _, path in _COLUMNS]
        lines.append(f"| {name} | {config.seed} | {steps} | {' | '.join(cells)} | {figures['dimensions for 90 %']} |")
    return "\n".join(lines)


def _cell(figures: Mapping[str, Any], path: tuple[str, ...]) -> str:
    found: Any = figures
    for part in path:
        found = found[part]
    return interval_cell(found["value"], found["low"], found["high"])
