"""What the evaluations of text search report, on archives where the answer is known, and on the shared text."""

from __future__ import annotations

from pathlib import Path

import pytest
from search_cases import write_dataset
from toy_encoder import ToyEncoder

from encoders.bundle import Encoder
from indexer.cases import Section
from search_api.engine import SearchEngine
from training.evaluation_assertions import (
    AssertionLabelsError,
    Mention,
    assertions_table,
    by_rules,
    evaluate_assertions,
    read_mentions,
)
from training.evaluation_evidence import VARIANTS, evaluate_evidence, evidence_table


def open_searcher(data: Path, encoder: Encoder) -> SearchEngine:
    return SearchEngine.open(data, encoder)


def test_a_mention_has_the_assertion_of_its_clause() -> None:
    sentence = "Large mass without haemorrhage, cannot exclude abscess; mother had a stroke."
    asked = [
        Mention("g", sentence, Section.BODY, sentence.index(word), sentence.index(word) + len(word), "")
        for word in ("mass", "haemorrhage", "stroke")
    ]
    assert by_rules(asked) == ["present", "absent", "family"]


@pytest.mark.shared
def test_the_rules_hold_on_labelled_sentences_and_beat_the_baseline(shared_mri: Path) -> None:
    document = evaluate_assertions(shared_mri.parent / "text")
    figures = document["figures"]
    assert isinstance(figures, dict)
    rules, plain = figures["rules"], figures["always present"]
    assert document["mentions"] > 600
    assert rules["F1, absent"]["value"] > 0.95
    assert rules["F1, mean over the classes"]["value"] > 0.82
    assert rules["accuracy"]["low"] > plain["accuracy"]["high"]
    assert "| F1, absent | 154 |" in assertions_table(document)


def test_labels_that_point_nowhere_are_refused(tmp_path: Path) -> None:
    import gzip

    for name in ("neuro_corpus", "neuro_pairs"):
        with gzip.open(tmp_path / f"{name}.jsonl.gz", "wt") as lines:
            lines.write("")
    with pytest.raises(AssertionLabelsError, match="characters"):
        read_mentions(tmp_path, "test")


def test_every_kind_of_evidence_is_measured_alone_and_together(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "dataset")
    figures = evaluate_evidence(dataset, tmp_path, ToyEncoder(), open_searcher, lambda _: None)
    assert figures.examinations == 15
    assert set(figures.precision) == {name for name, _ in VARIANTS}
    for mean, low, high in (*figures.precision.values(), *figures.gain.values()):
        assert 0.0 <= low <= mean <= high <= 1.0
    assert figures.precision["all"][0] > figures.precision["scans alone"][0] + 0.2
    assert figures.precision["all"][0] > figures.precision["all, without expansion"][0]
    assert evidence_table(figures).count("\n") == 2 + 1 + len(VARIANTS)
