"""NeuroBERT's training: what may be learned from, what is masked and drawn, how a killed run goes on."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from encoders.text import NeuroBERT
from training import neurobert
from training.bm25 import bm25_scores
from training.evaluation_text import evaluate_text
from training.finding_names import FindingNames
from training.masked_language import hide_words
from training.neurobert import train
from training.opposition import NORMAL, contradicts, opposition_triple
from training.section_matching import matching_loss
from training.statements import all_training_texts, read_statements
from training.text_data import (
    FILES,
    TextDataError,
    is_kept_back,
    read_text_collection,
    running_text,
    split,
)
from training.text_loop import CheckpointError
from training.text_settings import NeuroBERTConfig, TrainingConfigError, read_config

CONFIGS = Path(neurobert.__file__).parent / "configs"
CONDITIONS = ("meningioma", "abscess", "infarct", "schwannoma", "cavernoma", "glioma", "hydrocephalus", "aneurysm")
TINY = """
seed = 5
phantom_reports = 20
checkpoint_every = 2

[network]
start = "scratch"
layers = 2
width = 32
heads = 4
inner = 64

[vocabulary]
size = 1600
required = ["hemorrhage"]
min_frequency = 1

[masked_language]
steps = 4
batch = 4
pieces = 32

[section_matching]
steps = 6
batch = 6
pieces = 32
"""


def _write(folder: Path) -> Path:
    """A small text folder of the shared files' shape, with one record that states no licence."""
    folder.mkdir()
    pairs, corpus = [], []
    for number in range(60):
        name = CONDITIONS[number % len(CONDITIONS)]
        common = {"id": f"case:{number}", "group": f"case:{number}", "source_repo": "made/up", "restrict": "open"}
        findings = f"Case {number} shows a lesion of the brain on the left. It enhances after contrast like {name}."
        pairs.append(common | {"tier": "case", "findings": findings, "impression": f"{name} number {number}"})
        corpus.append(common | {"kind": "case", "text": f"{findings} The ventricles are normal in case {number}."})
    hidden = {
        "id": "x",
        "group": "x",
        "source_repo": "made/up",
        "restrict": "none-stated",
        "kind": "case",
        "tier": "case",
    }
    secret = "Unlicensed words such as zyxwvut must not be learned from by anybody."
    corpus.append(hidden | {"text": secret})
    pairs.append(hidden | {"findings": secret, "impression": "zyxwvut"})
    terms = [
        {
            "id": f"do:{name}",
            "text": f"{name}: A disease of the brain.",
            "labels": [name, f"{name} disease"],
            "licence": "MIT",
        }
        for name in CONDITIONS
    ]
    general = [
        {"id": "g1", "kind": "caption", "licence": "CC BY 4.0", "text": "A chest film that shows a fracture of a rib."},
        {
            "id": "g2",
            "kind": "caption",
            "licence": "no licence file",
            "text": "A film with zyxwvut in the left lung again.",
        },
    ]
    files: tuple[Sequence[Mapping[str, object]], ...] = (corpus, pairs, terms, general)
    for name, rows in zip(FILES, files, strict=True):
        with gzip.open(folder / name, "wt", encoding="utf-8") as lines:
            lines.writelines(json.dumps(row) + "\n" for row in rows)
    return folder


@pytest.fixture(scope="module")
def text_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write(tmp_path_factory.mktemp("data") / "text")


@pytest.fixture(autouse=True)
def little_teaching(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the teaching matter: a training of a few steps needs no more, and the whole takes minutes."""
    whole = read_statements()
    little = replace(whole, findings=whole.findings[::10], reports=whole.reports[::20])
    monkeypatch.setattr(neurobert, "read_statements", lambda: little)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


def test_shipped_config_is_read() -> None:
    config = read_config(CONFIGS / "neurobert.toml")
    assert config.vocabulary.size == 10_000
    assert config.kept_back_percent == 15


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("sed = 5", "sed"),
        ("[masked_language]\nstepz = 3", "stepz"),
        ("[network]\nstart = 'elsewhere'", "start"),
        ("seed = 'five'", "seed"),
        ("seed = true", "seed"),
        ("network = 3", "network"),
        ("seed = ", "TOML"),
    ],
)
def test_config_refuses_unknown_keys_and_wrong_values(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(TrainingConfigError, match=complaint):
        read_config(path)


def test_an_empty_config_is_the_default(tmp_path: Path) -> None:
    path = tmp_path / "empty.toml"
    path.write_text("")
    assert read_config(path) == NeuroBERTConfig()


def test_nothing_without_a_licence_is_learned_from(text_dir: Path) -> None:
    collection = read_text_collection(text_dir)
    pairs, kept = split(collection.pairs, 15)
    learned = [*running_text(collection, 15), *(record.findings for record in pairs)]
    assert learned
    assert not any("zyxwvut" in text for text in learned)
    assert any(record.impression == "zyxwvut" for record in kept)


def test_the_split_is_by_group_and_leaves_no_text_on_both_sides(text_dir: Path) -> None:
    collection = read_text_collection(text_dir)
    learned, kept = split(collection.pairs, 15)
    assert {record.group for record in learned}.isdisjoint(record.group for record in kept)
    assert {record.findings for record in learned}.isdisjoint(record.findings for record in kept)
    assert all(is_kept_back(record.group, 15) for record in kept if record.restrict == "open")


def test_a_missing_file_is_named(tmp_path: Path, text_dir: Path) -> None:
    for name in FILES[:-1]:
        (tmp_path / name).write_bytes((text_dir / name).read_bytes())
    with pytest.raises(TextDataError, match="general_medical"):
        read_text_collection(tmp_path)


def test_whole_words_are_hidden() -> None:
    words = (-1, 0, 0, 0, 1, 2, 2, 3, 4, 5, -1)
    pieces = tuple(range(10, 21))
    for seed in range(20):
        seen, said = hide_words(pieces, words, 0.3, (4, 100), random.Random(seed))
        asked = {word for word, answer in zip(words, said, strict=True) if answer != -100}
        assert len(asked) == 2
        assert -1 not in asked
        for place, word in enumerate(words):
            assert (said[place] == pieces[place]) == (word in asked)
            if word not in asked:
                assert seen[place] == pieces[place]


def test_statements_do_not_teach_what_they_keep_back() -> None:
    statements = read_statements()
    unseen = [finding for finding in statements.findings if finding.unseen]
    assert len(unseen) >= 10
    learned = {text.lower() for text in all_training_texts(statements)}
    kept = {
        text.lower()
        for f in statements.findings
        for text in (*f.kept_back.described, *f.kept_back.denied, *f.kept_back.normal)
    }
    assert len(kept) > 400
    assert learned.isdisjoint(kept)
    chance = random.Random(1)
    for _ in range(300):
        triple = opposition_triple(statements, chance)
        said = [triple.anchor, triple.positive, *([triple.negative] if triple.negative else [])]
        assert not any(text in statement.text.lower() for text in kept for statement in said)


def test_triples_say_the_same_and_the_opposite() -> None:
    chance = random.Random(2)
    statements = read_statements()
    for _ in range(300):
        triple = opposition_triple(statements, chance)
        assert not contradicts(triple.anchor.keys, triple.positive.keys)
        assert triple.negative is not None
        assert contradicts(triple.anchor.keys, triple.negative.keys)


def test_a_normal_study_contradicts_presence_only() -> None:
    normal = frozenset({NORMAL})
    assert contradicts(normal, frozenset({"present:glioma"}))
    assert not contradicts(normal, frozenset({"absent:glioma"}))
    assert contradicts(frozenset({"absent:glioma"}), frozenset({"absent:infarct"}))


def test_names_of_findings_are_found_in_either_spelling() -> None:
    names = FindingNames(read_statements())
    assert "present:intracranial haemorrhage" in names.keys("Intracranial hemorrhage")
    assert "present:intracranial haemorrhage" in names.keys("intracranial haemorrhage.")
    assert "absent:meningioma" in names.keys("meningiomas", are_present=False)
    assert "meningioma" not in names.without("A meningioma of the falx")


def test_matching_loss_leaves_out_texts_that_share_a_key() -> None:
    vectors = torch.nn.functional.normalize(torch.randn(6, 8, generator=torch.Generator().manual_seed(1)), dim=-1)
    apart = [frozenset({f"text:{number % 3}"}) for number in range(6)]
    shared = [frozenset({"text:same"})] * 6
    assert float(matching_loss(vectors, apart, 3, 20.0)) > 0.1
    assert float(matching_loss(vectors, shared, 3, 20.0)) == pytest.approx(0.0, abs=1e-6)


def test_matching_loss_punishes_a_near_opposite() -> None:
    anchors = torch.eye(4)[:2]
    keys = [frozenset({name}) for name in ("a", "b", "a", "b", "absent:a", "absent:b")]
    near = matching_loss(torch.cat([anchors, anchors, anchors]), keys, 2, 20.0)
    far = matching_loss(torch.cat([anchors, anchors, torch.eye(4)[2:]]), keys, 2, 20.0)
    assert float(near) > float(far) + 0.5


class _Killed(Exception):
    """Stands for the power cut."""


def _kill_at(step: int, whole: Callable[..., Callable[[int], torch.Tensor]]) -> Callable[..., object]:
    def build(*arguments: object) -> Callable[[int], torch.Tensor]:
        loss = whole(*arguments)

        def loss_of_step(number: int) -> torch.Tensor:
            if number == step:
                raise _Killed
            return loss(number)

        return loss_of_step

    return build


@pytest.mark.parametrize("stage", ["masked_language_loss", "section_matching_loss"])
def test_a_killed_run_goes_on_to_the_same_result(
    tmp_path: Path, text_dir: Path, config: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    whole = train(config, tmp_path / "whole", text_dir)
    with monkeypatch.context() as patch:
        patch.setattr(neurobert, stage, _kill_at(3, getattr(neurobert, stage)))
        with pytest.raises(_Killed):
            train(config, tmp_path / "killed", text_dir)
    assert not (tmp_path / "killed" / "text").exists()
    resumed = train(config, tmp_path / "killed", text_dir)
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (resumed / name).read_bytes() == (whole / name).read_bytes(), name
    first, second = (json.loads((tmp_path / run / "metrics.json").read_text()) for run in ("whole", "killed"))
    assert first["stages"][1]["losses"] == second["stages"][1]["losses"]
    assert len(first["stages"][1]["losses"]) == 6


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path, text_dir: Path, config: Path) -> None:
    train(config, tmp_path / "run", text_dir)
    config.write_text(TINY.replace("steps = 6", "steps = 7"))
    with pytest.raises(CheckpointError, match="another folder"):
        train(config, tmp_path / "run", text_dir)


@pytest.mark.slow
def test_a_trained_encoder_is_evaluated(tmp_path: Path, text_dir: Path, config: Path) -> None:
    encoder = NeuroBERT.load(train(config, tmp_path / "run", text_dir))
    vectors = encoder.encode(["haemorrhage in the pons", "hemorrhage in the pons"])
    assert np.allclose(vectors[0], vectors[1], atol=1e-6)
    lines: list[str] = []
    result = evaluate_text(encoder, text_dir, write=lines.append, with_general=False)
    figures = result["figures"]
    assert isinstance(figures, dict)
    assert set(figures) == {"neurobert", "bm25", "random"}
    case = figures["bm25"]["matching"]["case"]
    assert case["MRR"]["low"] <= case["MRR"]["value"] <= case["MRR"]["high"]
    assert case["R@1"]["n"] == case["queries"]
    assert any(re.search(r"neurobert .*MRR", line) for line in lines)


def test_bm25_prefers_the_rare_shared_word() -> None:
    scores = bm25_scores(["mass pons"], ["mass here", "mass in the pons", "mass there", "nothing"])
    assert int(scores[0].argmax()) == 1
    assert scores[0][3] == 0
