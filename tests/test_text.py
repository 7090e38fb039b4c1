"""NeuroBERT's public behaviour: with a small network made here, and with the shipped weights where they are present."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from transformers import BertConfig

from encoders.text import NeuroBERT, TextError, TextModelError, build_network
from training.spelling import british_word, to_american, to_british
from training.vocabulary import VocabularyConfig, carry_over, learn_tokenizer, pieces_a_word, spelling_twins

SHIPPED = Path(__file__).parent.parent / "encoders" / "pretrained" / "text"
TEXTS = (
    "There is acute hemorrhage in the left thalamus with edema. No hydrocephalus.",
    "Dural-based mass with a dural tail in keeping with meningioma.",
    "The ventricles are of normal size. No midline shift.",
    "Multiple lesions of the white matter with restricted diffusion, one in the pons.",
    "A tumor of the cerebellum compresses the fourth ventricle.",
)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return learn_tokenizer(TEXTS * 3, ("hemorrhage", "edema", "tumor", "hydrocephalus"), VocabularyConfig(size=190))


@pytest.fixture(scope="module")
def encoder(tokenizer: Tokenizer) -> NeuroBERT:
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        pad_token_id=0,
    )
    return NeuroBERT(build_network(config), tokenizer, torch.full((32,), 0.01))


@pytest.fixture(scope="module")
def shipped() -> Iterator[NeuroBERT]:
    if not (SHIPPED / "model.safetensors").is_file():
        pytest.skip("the shipped text encoder is not in this checkout")
    yield NeuroBERT.load(SHIPPED)


def test_required_words_are_one_entry_in_both_spellings(encoder: NeuroBERT) -> None:
    for word in ("hemorrhage", "haemorrhage", "edema", "oedema", "tumor", "tumour", "hydrocephalus"):
        assert encoder.tokenize(word) == (word,)


def test_case_accents_composition_and_headings_do_not_matter(encoder: NeuroBERT) -> None:
    plain = encoder.encode(["oedema of the pons"])
    for other in (
        "OEDEMA of the Pons",
        "Findings: oedema of the pons",
        "oédema of the pons",
        "oe\u0301dema of the pons",
    ):
        assert np.allclose(encoder.encode([other]), plain, atol=1e-6), other


def test_an_indication_is_not_taken_for_a_finding(encoder: NeuroBERT) -> None:
    assert encoder.tokenize("Indication: oedema") != encoder.tokenize("Impression: oedema")


def test_the_vocabulary_has_the_size_asked_for_and_is_the_same_every_time(tokenizer: Tokenizer) -> None:
    again = learn_tokenizer(TEXTS * 3, ("hemorrhage", "edema", "tumor", "hydrocephalus"), VocabularyConfig(size=190))
    assert tokenizer.get_vocab_size() == 190
    assert again.to_str() == tokenizer.to_str()


def test_british_entries_point_to_their_american_twins(tokenizer: Tokenizer) -> None:
    twins = spelling_twins(tokenizer)
    assert int(twins[tokenizer.token_to_id("haemorrhage")]) == tokenizer.token_to_id("hemorrhage")
    assert int(twins[tokenizer.token_to_id("hydrocephalus")]) == tokenizer.token_to_id("hydrocephalus")


def test_word_vectors_are_carried_over_as_means_of_old_pieces(tokenizer: Tokenizer) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    old = {"[UNK]": 0, "ede": 1, "##ma": 2} | {f"##{letter}": 3 + n for n, letter in enumerate(letters)}
    vectors = torch.arange(len(old), dtype=torch.float32).unsqueeze(1).repeat(1, 4)
    carried = carry_over(tokenizer, old, vectors)
    assert carried.shape == (190, 4)
    assert carried[tokenizer.token_to_id("edema")].tolist() == [1.5] * 4


@pytest.mark.parametrize(
    ("american", "british"),
    [
        ("hemorrhagic", "haemorrhagic"),
        ("leukoencephalopathy", "leucoencephalopathy"),
        ("papilledema", "papilloedema"),
        ("gray", "grey"),
        ("visualized", "visualised"),
    ],
)
def test_spelling(american: str, british: str) -> None:
    assert british_word(american) == british
    assert british_word(british) == british


def test_spelling_leaves_other_words_alone() -> None:
    text = "The size of the hemisphere, the diameter and the tissue are normal; hemiparesis"
    assert to_british(text) == text
    assert to_american(text) == text


def test_embeddings_have_unit_length_and_type(encoder: NeuroBERT) -> None:
    vectors = encoder.encode(TEXTS)
    assert vectors.shape == (5, 32)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


def test_no_texts_give_no_rows(encoder: NeuroBERT) -> None:
    assert encoder.encode([]).shape == (0, 32)


def test_a_text_is_encoded_the_same_in_any_batch(encoder: NeuroBERT) -> None:
    long = " ".join(TEXTS * 4)
    texts = [*TEXTS, long, TEXTS[0]]
    together = encoder.encode(texts)
    alone = np.concatenate([encoder.encode([text]) for text in texts])
    small = encoder.encode(list(reversed(texts)), batch_size=2)[::-1]
    assert np.abs(together - alone).max() < 1e-5
    assert np.abs(together - small).max() < 1e-5


def test_a_long_text_is_not_cut(encoder: NeuroBERT) -> None:
    start = "The ventricles are of normal size. " * 150
    ends = [start + "A tumor of the cerebellum.", start + "Hemorrhage in the thalamus."]
    assert len(encoder.tokenize(ends[0])) > 1000
    vectors = encoder.encode([start, *ends])
    assert np.abs(vectors[1] - vectors[0]).max() > 1e-5
    assert np.abs(vectors[1] - vectors[2]).max() > 1e-5


def test_a_long_sentence_without_an_end_is_not_cut(encoder: NeuroBERT) -> None:
    words = "normal ventricles and " * 400
    vectors = encoder.encode([words, words + "tumor"])
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-6


@pytest.mark.parametrize("text", ["", "   \n\t", "\x00", "Findings:"])
def test_a_text_without_a_word_is_refused(encoder: NeuroBERT, text: str) -> None:
    with pytest.raises(TextError, match="at least one word"):
        encoder.encode(["fine", text])


@pytest.mark.parametrize("text", ["\U0001f9e0", "T2/FLAIR", "don't", 'a "quoted" [word]', "脳", "\ud800x"])
def test_words_of_any_shape_are_encoded(encoder: NeuroBERT, text: str) -> None:
    if "\ud800" in text:
        with pytest.raises(TextError, match="not valid"):
            encoder.encode([text])
        return
    assert np.isfinite(encoder.encode([text])).all()


def test_one_text_in_place_of_a_sequence_is_refused(encoder: NeuroBERT) -> None:
    with pytest.raises(TextError, match="sequence of texts"):
        encoder.encode("hydrocephalus")


def test_a_folder_is_read_back_to_the_same_vectors(encoder: NeuroBERT, tmp_path: Path) -> None:
    encoder.save(tmp_path / "text")
    first = NeuroBERT.load(tmp_path / "text")
    first.save(tmp_path / "text")  # over the older one
    second = NeuroBERT.load(tmp_path / "text")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text"]
    assert np.array_equal(first.encode(TEXTS), second.encode(TEXTS))
    assert np.abs(first.encode(TEXTS) - encoder.encode(TEXTS)).max() < 5e-3  # fp16 weights


def test_a_folder_with_something_missing_is_refused(encoder: NeuroBERT, tmp_path: Path) -> None:
    encoder.save(tmp_path / "text")
    (tmp_path / "text" / "tokenizer.json").unlink()
    with pytest.raises(TextModelError, match=r"tokenizer\.json is missing"):
        NeuroBERT.load(tmp_path / "text")


def test_torn_weights_are_refused(encoder: NeuroBERT, tmp_path: Path) -> None:
    encoder.save(tmp_path / "text")
    weights = tmp_path / "text" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(TextModelError, match="written by"):
        NeuroBERT.load(tmp_path / "text")


def test_encoding_uses_one_thread_and_gives_the_threads_back(encoder: NeuroBERT) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        encoder.encode(TEXTS[:1])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_shipped_terms_are_one_entry_each(shipped: NeuroBERT) -> None:
    words = "hydrocephalus leukoencephalopathy leucoencephalopathy meningioma haemorrhage hemorrhage oedema edema"
    for word in f"{words} tumour tumor ischaemia ischemia haematoma hematoma grey gray glioblastoma".split():
        assert shipped.tokenize(word) == (word,)
    assert shipped.tokenizer.get_vocab_size() == 10_000
    assert pieces_a_word(shipped.tokenizer, TEXTS) < 1.1


def test_shipped_weights_are_small(shipped: NeuroBERT) -> None:
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 30_000_000
    assert shipped.dim == 384


def test_shipped_presence_is_nearer_than_absence(shipped: NeuroBERT) -> None:
    query, present, absent, normal = shipped.encode(
        [
            "hydrocephalus",
            "marked dilatation of the lateral ventricles",
            "no hydrocephalus",
            "the ventricles are of normal size",
        ]
    )
    assert query @ present > query @ absent
    assert query @ present > query @ normal


def test_shipped_absence_is_near_normality(shipped: NeuroBERT) -> None:
    query, normal, present = shipped.encode(["no hydrocephalus", "normal ventricles", "there is hydrocephalus"])
    assert query @ normal > query @ present


def test_shipped_spellings_are_the_same_vector(shipped: NeuroBERT) -> None:
    american, british = shipped.encode(["hemorrhage with edema", "haemorrhage with oedema"])
    assert american @ british > 0.9999


def test_shipped_cosines_spread(shipped: NeuroBERT) -> None:
    vectors = shipped.encode(TEXTS)
    cosines = (vectors @ vectors.T)[np.triu_indices(len(TEXTS), 1)]
    assert cosines.mean() < 0.5


def test_shipped_query_is_fast(shipped: NeuroBERT) -> None:
    times = []
    for _ in range(15):
        began = time.thread_time()
        shipped.encode(["large meningioma of the left sphenoid wing with hydrocephalus"])
        times.append(time.thread_time() - began)
    assert min(times) < 0.03


def test_shipped_folder_is_read_from_anywhere(shipped: NeuroBERT, tmp_path: Path) -> None:
    shutil.copytree(SHIPPED, tmp_path / "elsewhere")
    again = NeuroBERT.load(str(tmp_path / "elsewhere"))
    assert np.array_equal(again.encode(["meningioma"]), shipped.encode(["meningioma"]))
