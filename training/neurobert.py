"""`neurorecall train neurobert`: vocabulary, masked language modelling, section matching, the encoder.

One folder per run: checkpoints, tokenizer, metrics.json, curves.png and `text/`, which encoders.text.NeuroBERT loads.
Starting the same run again goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

from encoders.text import NeuroBERT, build_network, special
from training.curves import draw_curves
from training.general_encoder import GeneralEncoderMissing, general_encoder, general_encoder_folder
from training.masked_language import (
    HEAD,
    MaskedLanguageConfig,
    MaskedLanguageModel,
    Windows,
    cut_windows,
    masked_accuracy,
    masked_language_loss,
)
from training.matching_pairs import draws
from training.matching_text import MatchingText, gather, report_sentences
from training.section_matching import section_matching_loss
from training.statements import all_training_texts, read_statements
from training.text_data import (
    TextCollection,
    kept_back_text,
    read_text_collection,
    running_text,
)
from training.text_loop import Schedule, StageResult, run_stage
from training.text_settings import STAGES, NetworkConfig, NeuroBERTConfig, StageConfig, TrainingConfigError, read_config
from training.vocabulary import carry_over, learn_tokenizer, pieces_a_word, spelling_twins

LOG = logging.getLogger(__name__)

Pieces = tuple[Tokenizer, torch.Tensor]  # the tokenizer and its spelling twins
Stage = tuple[torch.nn.Module, Callable[[int], torch.Tensor]]  # what is trained, and the loss of a step


def train(config_path: str | os.PathLike[str], out: str | os.PathLike[str], text_dir: str | os.PathLike[str]) -> Path:
    """Train NeuroBERT as configured and return the folder that NeuroBERT.load reads."""
    config = read_config(Path(config_path))
    return train_encoder(config, Path(out), read_text_collection(Path(text_dir)))


def train_encoder(config: NeuroBERTConfig, home: Path, collection: TextCollection) -> Path:
    """Train on texts that were read already; see `train`."""
    home.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    matter = gather(collection, config.kept_back_percent, config.phantom_reports, read_statements())
    ids = _stage_ids(config, collection, matter)
    tokenizer = _tokenizer(home / f"tokenizer-{ids['vocabulary']}.json", config, collection, matter)
    pieces = (tokenizer, spelling_twins(tokenizer))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = start_network(config.network, tokenizer)
    torch.nn.Module.to(network, device)
    weights = sum(parameter.numel() for parameter in network.parameters())
    LOG.info("run %s on %s: %.1f M weights", ids[STAGES[-1]], device, weights / 1e6)
    builders: dict[str, Callable[[], Stage]] = {
        "masked_language": lambda: _masked_language(network, config, _running_text(config, collection, matter), pieces),
        "section_matching": lambda: _section_matching(network, config, matter, pieces),
    }
    kept_back = kept_back_text(collection, config.kept_back_percent)
    stages: list[StageResult] = []
    accuracy = 0.0
    for name, build in builders.items():
        settings = getattr(config, name)
        if settings.steps:
            model, loss = build()
            checkpoint = home / f"{name}.safetensors"
            stages.append(run_stage(name, model, loss, _schedule(settings, config), checkpoint, ids[name]))
            if isinstance(model, MaskedLanguageModel):
                kept = _windows(list(kept_back), config, pieces)
                accuracy = masked_accuracy(model, kept, config.masked_language, tokenizer)
    torch.nn.Module.to(network, "cpu")
    finish(network, tokenizer, report_sentences(matter)).save(home / "text")
    _write_metrics(home, stages, {
        "run": ids[STAGES[-1]],
        "data": collection.digest,
        "config": dataclasses.asdict(config),
        "torch": torch.__version__,
        "device": str(device),
        "seconds": round(time.monotonic() - began, 1),
        "masked_accuracy_kept_back": round(accuracy, 4),
        "pieces_a_word_kept_back": _pieces_a_word(tokenizer, kept_back),
    })  # fmt: skip
    return home / "text"


def start_network(config: NetworkConfig, tokenizer: Tokenizer) -> BertModel:
    """A network with first weights; the general encoder's word vectors are carried over to the new vocabulary."""
    network = build_network(
        BertConfig(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=config.width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            intermediate_size=config.inner,
            hidden_dropout_prob=config.dropout,
            attention_probs_dropout_prob=config.dropout,
            pad_token_id=special(tokenizer, "[PAD]"),
        )
    )
    if config.start == "scratch":
        return network
    folder = general_encoder_folder()
    weights = load_file(folder / "model.safetensors")
    words = "embeddings.word_embeddings.weight"
    old = {word: number for number, word in enumerate((folder / "vocab.txt").read_text("utf-8").splitlines())}
    weights[words] = carry_over(tokenizer, old, weights[words].float())
    wanted = network.state_dict()
    chosen = {name: weights[name] for name in wanted if name in weights}
    if missing := sorted(set(wanted) - set(chosen)):
        raise TrainingConfigError(f"Expected the general encoder to have {missing[:3]}; use start = 'scratch'")
    network.load_state_dict(chosen)
    return network


def finish(network: BertModel, tokenizer: Tokenizer, texts: tuple[str, ...]) -> NeuroBERT:
    """The encoder as it ships: British words get their twins' vectors, and the centre is the mean over the texts."""
    twins = spelling_twins(tokenizer)
    with torch.no_grad():
        words: torch.Tensor = network.embeddings.word_embeddings.weight
        words.copy_(words[twins].clone())
        for weights in network.parameters():  # as they will be read back
            weights.copy_(weights.half().float())
    plain = NeuroBERT(network, tokenizer, torch.zeros(network.config.hidden_size))
    centre = torch.from_numpy(plain.encode(texts).mean(axis=0))
    return NeuroBERT(network, tokenizer, centre)


def _stage_ids(config: NeuroBERTConfig, collection: TextCollection, matter: MatchingText) -> dict[str, str]:
    """For each stage a hash of all that its result depends on: it goes on only from a checkpoint of its own."""
    whole = dataclasses.asdict(config)
    texts = [case.report.text for case in matter.phantoms] + list(all_training_texts(matter.statements))
    texts += [part for one in matter.cases for part in (one.findings, one.impression)]
    general = {key: whole[key] for key in ("seed", "kept_back_percent", "phantom_reports", "network")}
    digest = hashlib.sha256("\n".join([json.dumps(general, sort_keys=True), collection.digest, *texts]).encode())
    ids = {}
    for stage in ("vocabulary", *STAGES):
        digest.update(json.dumps(whole[stage], sort_keys=True).encode())
        ids[stage] = digest.hexdigest()[:16]
    return ids


def _tokenizer(path: Path, config: NeuroBERTConfig, collection: TextCollection, matter: MatchingText) -> Tokenizer:
    if path.is_file():
        return Tokenizer.from_file(str(path))
    texts = [*running_text(collection, config.kept_back_percent)]
    texts += [part for one in matter.sections for part in (one.findings, one.impression)]
    texts += [name for term in collection.terms if term.is_neuro for name in term.names]
    texts += [case.report.text for case in matter.phantoms]
    texts += all_training_texts(matter.statements)
    names = [name for finding in matter.statements.findings if not finding.unseen for name in finding.names]
    tokenizer = learn_tokenizer(texts, names, config.vocabulary)
    aside = path.with_suffix(".part")
    tokenizer.save(str(aside))
    aside.replace(path)
    return tokenizer


def _running_text(config: NeuroBERTConfig, collection: TextCollection, matter: MatchingText) -> list[str]:
    """All running text that may be learned from without labels."""
    texts = [*running_text(collection, config.kept_back_percent)]
    texts += [f"{one.findings} {one.impression}" for one in matter.sections]
    return texts + [case.report.text for case in matter.phantoms[:300]]


def _masked_language(network: BertModel, config: NeuroBERTConfig, texts: list[str], pieces: Pieces) -> Stage:
    model = MaskedLanguageModel(network).to(next(network.parameters()).device)
    windows = _windows(texts, config, pieces)
    return model, masked_language_loss(model, windows, config.masked_language, pieces[0], config.seed)


def _windows(texts: list[str], config: NeuroBERTConfig, pieces: Pieces) -> Windows:
    return cut_windows(texts, pieces[0], config.masked_language.pieces, pieces[1])


def _section_matching(network: BertModel, config: NeuroBERTConfig, matter: MatchingText, pieces: Pieces) -> Stage:
    settings = config.section_matching
    return network, section_matching_loss(network, draws(matter, settings), settings, pieces, config.seed)


def _pieces_a_word(tokenizer: Tokenizer, texts: Sequence[str]) -> dict[str, float]:
    """Vocabulary entries a word on kept-back text, beside BERT's vocabulary where it is installed."""
    figures = {"own": round(pieces_a_word(tokenizer, texts), 4)}
    with suppress(GeneralEncoderMissing):
        figures["bert"] = round(pieces_a_word(general_encoder().tokenizer, texts), 4)
    LOG.info("vocabulary entries a word on kept-back text: %s", figures)
    return figures


def _schedule(stage: StageConfig, config: NeuroBERTConfig) -> Schedule:
    masked = isinstance(stage, MaskedLanguageConfig)
    return Schedule(
        steps=stage.steps,
        learning_rate=stage.learning_rate,
        warm_up=stage.warm_up,
        weight_decay=stage.weight_decay,
        checkpoint_every=config.checkpoint_every,
        seed=config.seed,
        head=HEAD if masked else (),
        head_factor=stage.head_factor if isinstance(stage, MaskedLanguageConfig) else 1.0,
    )


def _write_metrics(home: Path, stages: list[StageResult], metrics: dict[str, object]) -> None:
    metrics["stages"] = [
        {"name": s.name, "steps": len(s.losses), "seconds": round(s.seconds, 1), "losses": s.losses} for s in stages
    ]
    (home / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", "utf-8")
    draw_curves(stages, home / "curves.png")
