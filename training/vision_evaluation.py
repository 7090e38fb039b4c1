"""Ends a training of the sequence networks: the last layers fitted, and figures on its own kept-back phantoms.

Areas under the curve with bootstrap intervals, by findings head and by text (nearness to sentences that state a finding
against sentences that deny it). What a finished bundle reaches, on real scans too, is left to evaluation_vision.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from encoders.findings import Finding, raw_scores
from training.evaluation_vision import area, unit_rows
from training.phantoms.facts import FINDINGS
from training.vision_examples import NETWORKS
from training.vision_fit import Cohort, encode_cohort, fit_embeddings, prepare_features
from training.vision_loop import EncodeTexts
from training.vision_settings import VisionTraining

Figure = dict[str, Any]


def finish(
    config: VisionTraining,
    out: Path,
    findings: Sequence[Finding],
    encode_texts: EncodeTexts,
) -> Figure:
    """Fit the last layers to NeuroBERT, encode the kept-back phantoms (`kept_back.npz`) and write `metrics.json`.

    Quick, and to be repeated whenever NeuroBERT changes.
    """
    prepare_features(config, out)
    metrics: Figure = {"config": asdict(config), "explained": fit_embeddings(config, out, encode_texts, findings)}
    cohort = encode_cohort(config, out, config.test_seeds)
    cohort.save(out / "kept_back.npz")
    metrics["phantoms"] = phantom_figures(cohort, findings, encode_texts)
    (out / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", "utf-8")
    return metrics


def phantom_figures(cohort: Cohort, findings: Sequence[Finding], encode_texts: EncodeTexts) -> Figure:
    """Areas under the curve on kept-back phantoms: each network by its head and by text, and all networks together."""
    fused = unit_rows(cohort.embeddings.mean(axis=1))
    figures: Figure = {"n": len(cohort.seeds)}
    views = [(name, cohort.embeddings[:, kind], cohort.findings[:, kind]) for kind, (name, _) in enumerate(NETWORKS)]
    views.append(("all", fused, cohort.findings.mean(axis=1)))
    for name, embeddings, logits in views:
        table: Figure = {}
        for finding in findings:
            if finding.name not in FINDINGS:
                continue
            column = FINDINGS.index(finding.name)
            labels = cohort.labels[:, column]
            scores = raw_scores(embeddings, encode_texts(finding.present), encode_texts(finding.absent))
            table[finding.name] = {"head": area(logits[:, column], labels), "text": area(scores, labels)}
        figures[name] = table
    return figures
