"""NeuroBERT's own WordPiece vocabulary, its tokenizer, and word vectors for it.

Both spellings of a word are entries of their own and share one word vector. Texts come from training.text_data; the
network's other weights are left to training.neurobert.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from training.spelling import british_word, to_british

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_WORD = re.compile(r"[a-z]+")
# Headings say which section a statement stands in, not what it states. "Indication" stays: it changes the meaning.
_HEADINGS = r"(^|\n)\s*(findings?|impressions?|conclusions?|opinion|report|summary|interpretation)\s*:"


@dataclass(frozen=True, slots=True)
class VocabularyConfig:
    size: int = 10_000
    min_frequency: int = 2
    required: tuple[str, ...] = ()


class VocabularyError(ValueError):
    """A vocabulary that cannot be made as asked."""


def learn_tokenizer(texts: Iterable[str], required: Iterable[str], config: VocabularyConfig) -> Tokenizer:
    """Learn exactly `config.size` entries; every required word, in both spellings, is one of them."""
    tokenizer = _tokenizer(models.WordPiece({}, unk_token="[UNK]", max_input_chars_per_word=60))  # noqa: S106
    spellings = list(_both_spellings(texts))
    alphabet = sorted({letter for text in spellings for letter in _normalised(tokenizer, text)})
    trainer = trainers.WordPieceTrainer(
        vocab_size=config.size,
        min_frequency=config.min_frequency,
        # Numbered beforehand: else the library numbers them by a random hash, and ties fall differently each time.
        special_tokens=[*SPECIAL, *alphabet, *(f"##{letter}" for letter in alphabet)],
        show_progress=False,
        continuing_subword_prefix="##",
    )
    tokenizer.train_from_iterator(spellings, trainer)
    learned = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    words = [word for text in (*required, *config.required) for word in _WORD.findall(text.lower()) if len(word) > 2]
    single = [token for token, _ in learned if len(token.removeprefix("##")) == 1]
    wanted = dict.fromkeys([*SPECIAL, *single, *(form for word in words for form in (word, british_word(word)))])
    for token, _ in learned:
        if len(wanted) >= config.size:
            break
        wanted[token] = None
        if len(wanted) < config.size and (other := british_word(token)) != token:
            wanted[other] = None
    if len(wanted) != config.size:
        raise VocabularyError(f"Expected {config.size} entries, the texts and required words give {len(wanted)}")
    vocabulary = {token: number for number, token in enumerate(wanted)}
    return _tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=60))  # noqa: S106


def spelling_twins(tokenizer: Tokenizer) -> torch.Tensor:
    """For every entry the entry whose word vector it shares (V,): a British word's American twin, else itself."""
    vocabulary = tokenizer.get_vocab()
    twins = torch.arange(len(vocabulary))
    for token, number in vocabulary.items():
        british = british_word(token)
        if british != token and british in vocabulary:
            twins[vocabulary[british]] = number
    return twins


def carry_over(tokenizer: Tokenizer, old: dict[str, int], vectors: torch.Tensor) -> torch.Tensor:
    """Word vectors (V, D) for the new vocabulary: the mean of the old vocabulary's pieces of each entry."""
    entries = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    return torch.stack([vectors[list(old_pieces(token, old))].mean(dim=0) for token, _ in entries])


def old_pieces(token: str, old: dict[str, int]) -> Sequence[int]:
    """Greedy longest-first pieces of one entry in another WordPiece vocabulary.

    >>> old_pieces("hydrocephalus", {"[UNK]": 0, "hydro": 1, "##ce": 2, "##phalus": 3})
    [1, 2, 3]
    """
    if token in old:
        return [old[token]]
    inside = token.startswith("##")
    rest, pieces = token.removeprefix("##"), []
    while rest:
        prefix = "##" if inside else ""
        end = next((end for end in range(len(rest), 0, -1) if prefix + rest[:end] in old), 0)
        if end == 0:
            return [old["[UNK]"]]
        pieces.append(old[prefix + rest[:end]])
        rest, inside = rest[end:], True
    return pieces


def pieces_a_word(tokenizer: Tokenizer, texts: Iterable[str]) -> float:
    """Mean number of vocabulary entries for a word of letters; 1.0 would be a whole-word vocabulary."""
    words = [word for text in texts for word in _WORD.findall(text.lower())]
    encodings = tokenizer.encode_batch(words, add_special_tokens=False)
    return sum(len(encoding.ids) for encoding in encodings) / max(1, len(words))


def _both_spellings(texts: Iterable[str]) -> Iterable[str]:
    for text in texts:
        yield text
        if (british := to_british(text)) != text:
            yield british


def _normalised(tokenizer: Tokenizer, text: str) -> set[str]:
    return {letter for letter in tokenizer.normalizer.normalize_str(text) if not letter.isspace()}


def _tokenizer(model: models.WordPiece) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFD(),
            normalizers.StripAccents(),
            normalizers.Lowercase(),
            normalizers.NFC(),
            normalizers.Replace(Regex(_HEADINGS), " "),
            normalizers.BertNormalizer(
                clean_text=True, handle_chinese_chars=True, strip_accents=False, lowercase=False
            ),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    vocabulary = tokenizer.get_vocab()
    if "[CLS]" in vocabulary:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B [SEP]",
            special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")],
        )
    return tokenizer
