"""The text that NeuroBERT learns from: which records may be used, which are kept back, and their sentences and pairs.

Weights are trained on records of `restrict` open or NC only, never on a kept-back group. What is asked of the pairs is
left to training.section_matching; statements of presence and absence to training.opposition.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

FILES = ("neuro_corpus.jsonl.gz", "neuro_pairs.jsonl.gz", "terms.jsonl.gz", "general_medical.jsonl.gz")
TRAINABLE = frozenset({"open", "NC"})
# general_medical has no `restrict`: only licences that say plainly that they are open, or for non-commercial use.
OPEN_LICENCES = frozenset(
    {"CC BY 4.0", "CC BY (per-figure, PMC OA subset)", "CC0 (per-figure, PMC OA subset)", "CC0 1.0", "MIT"}
)
TERM_LICENCES = ("CC0", "CC BY", "MIT", "RadLex licence v2")
_NON_COMMERCIAL = re.compile(r"^(?!.*\bND\b).*(?:\[NC\]|treat as NC)|^CC BY-NC(?:-SA)? \(")
QUESTION_KINDS = frozenset({"qa", "qa_derived_labels"})  # stilted: kept out of masked language modelling

_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9])|\n+")
_HEADING = re.compile(r"^\s*(?:history|findings|impression|differential|discussion)\s*:\s*", re.IGNORECASE)
_PICTURE = re.compile(r"(synpic\d+)")
_PUBMED = re.compile(r"^pmcpatients:(\d+)-\d+$")
_BRAIN = re.compile(
    r"brain|cerebr|cort(ex|ical)|ventric|mening|dural|crani|glio|glia|neur|myelin|(white|gr[ae]y) matter|hippocamp"
    r"|thalam|pituit|sella|hydroceph|encephal|infarct|isch|h[ae]morrh|aneurysm|stroke|spin(e|al)|cord\b|skull|calvari|orbit|optic"
    r"|sinus|cerebell|astrocyt|medull|epilep|dementia|sclerosis|tumou?r|schwann|cyst|abscess|vascul|callos|nerve",
    re.IGNORECASE,
)


class TextDataError(ValueError):
    """Training text that is missing or not as described."""


@dataclass(frozen=True, slots=True)
class Record:
    """One text of the shared files; `group` ties together what comes from the same patient."""

    key: str
    group: str
    source: str
    restrict: str
    kind: str
    tier: str
    text: str
    findings: str
    impression: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Term:
    names: tuple[str, ...]
    definition: str
    is_neuro: bool
    source: str


@dataclass(frozen=True, slots=True)
class TextCollection:
    """Everything read from the text folder, and a hash of the files."""

    corpus: tuple[Record, ...] = ()
    pairs: tuple[Record, ...] = ()
    general: tuple[Record, ...] = ()
    terms: tuple[Term, ...] = ()
    digest: str = field(default="")


def read_text_collection(folder: Path) -> TextCollection:
    """Read the four files. Raises TextDataError where one is missing or a line is not JSON."""
    digest = hashlib.sha256()
    rows: dict[str, list[dict[str, object]]] = {}
    for name in FILES:
        path = folder / name
        if not path.is_file():
            raise TextDataError(f"Expected {name} in the text folder, it is missing")
        digest.update(path.read_bytes())
        rows[name] = list(_lines(path))
    corpus, pairs, terms, general = (rows[name] for name in FILES)
    families = _picture_families(corpus)
    return TextCollection(
        corpus=tuple(_record(row, families) for row in corpus),
        pairs=tuple(_record(row, families) for row in pairs),
        general=tuple(
            replace(_record(row, families), restrict=marked)
            for row in general
            if (marked := _restrict(str(row.get("licence", ""))))
        ),
        terms=tuple(_term(row) for row in terms if str(row.get("licence", "")).startswith(TERM_LICENCES)),
        digest=digest.hexdigest()[:16],
    )


def is_kept_back(group: str, percent: int) -> bool:
    """Whether a group belongs to the evaluation; the same on every machine and for every run.

    >>> sum(is_kept_back(f"case {number}", 15) for number in range(1000))
    151
    """
    return int.from_bytes(hashlib.sha256(f"neurorecall:{group}".encode()).digest()[:4], "big") % 100 < percent


def split(records: Iterable[Record], percent: int) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """(trainable and not kept back, for evaluation). A training text that also stands in the evaluation is dropped."""
    kept: list[Record] = []
    rest: list[Record] = []
    for record in records:
        (kept if record.restrict not in TRAINABLE or is_kept_back(record.group, percent) else rest).append(record)
    seen = {_fold(text) for record in kept for text in (record.text, record.findings) if text}
    rest = [record for record in rest if _fold(record.text or record.findings) not in seen]
    return tuple(rest), tuple(kept)


def sentences(text: str) -> tuple[str, ...]:
    """Sentences of at least three words, headings taken off.

    >>> sentences("FINDINGS: There is a mass. It enhances avidly.")
    ('There is a mass.', 'It enhances avidly.')
    """
    parts = (_HEADING.sub("", part).strip(" \t*-") for part in _SENTENCE.split(text))
    return tuple(part for part in parts if len(part.split()) >= 3)


def running_text(collection: TextCollection, percent: int) -> tuple[str, ...]:
    """Documents for masked language modelling: trainable, not kept back, no question-answer sets."""
    records, _ = split((r for r in collection.corpus if r.kind not in QUESTION_KINDS), percent)
    texts = [record.text for record in records]
    general, _ = split((r for r in collection.general if r.kind == "caption"), percent)
    texts += [record.text for record in general]
    texts += [
        f"{term.names[0]}: {term.definition}"
        for term in collection.terms
        if term.is_neuro and len(term.definition) > 40
    ]
    return tuple(dict.fromkeys(text for text in texts if len(text.split()) >= 6))


def kept_back_text(collection: TextCollection, percent: int) -> tuple[str, ...]:
    """Running text of kept-back groups, for what is measured of a training."""
    _, kept = split((r for r in collection.corpus if r.kind not in QUESTION_KINDS), percent)
    return tuple(record.text for record in kept if record.restrict in TRAINABLE and record.text)


def _lines(path: Path) -> Iterator[dict[str, object]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield json.loads(line)
            except ValueError as error:
                raise TextDataError(f"Expected JSON in line {number} of {path.name}: {error}") from error


def _picture_families(rows: Iterable[dict[str, object]]) -> dict[str, str]:
    """MedPix pictures turn up again in question-answer sets under the picture's name: the case they belong to."""
    families = {}
    for row in rows:
        found = _PICTURE.search(str(row["id"]))
        if found and str(row["id"]).startswith("medpix-img:"):
            families[found[1]] = str(row["group"])
    return families


def _record(row: dict[str, object], families: dict[str, str]) -> Record:
    def text(name: str) -> str:
        value = row.get(name)
        return value.strip() if isinstance(value, str) else ""

    group = text("group") or text("id")
    picture, pubmed = _PICTURE.search(group), _PUBMED.match(group)
    if picture:
        group = families.get(picture[1], group)
    elif pubmed:
        group = f"pmc:PMC{pubmed[1]}"
    labels = row.get("labels")
    return Record(
        key=text("id"),
        group=group,
        source=text("source_repo"),
        restrict=text("restrict"),
        kind=text("subkind") or text("kind"),
        tier=text("tier"),
        text=text("text"),
        findings=text("findings"),
        impression=text("impression"),
        labels=tuple(str(label) for label in labels) if isinstance(labels, list) else (),
    )


def _restrict(licence: str) -> str:
    """What a licence of general_medical allows, in the words of `restrict`; nothing where that is not plain.

    >>> _restrict("CC BY 4.0"), _restrict("CC BY-NC-SA 4.0 [NC]"), _restrict("CC BY-NC-ND 4.0 (Open-i) [NC]")
    ('open', 'NC', '')
    """
    if licence in OPEN_LICENCES:
        return "open"
    return "NC" if _NON_COMMERCIAL.search(licence) else ""


def _term(row: dict[str, object]) -> Term:
    text = str(row.get("text", ""))
    labels = row.get("labels")
    names = [str(label) for label in labels] if isinstance(labels, list) else []
    head, _, definition = text.partition(": ")
    source = str(row.get("id", "")).partition(":")[0]
    if source == "mcr":  # its labels are body regions, not synonyms
        names = [head]
    unique = tuple(dict.fromkeys(name.strip() for name in [head, *names] if 2 < len(name.strip()) < 90))
    return Term(unique or (head,), definition.strip(), bool(_BRAIN.search(text)), source)


def _fold(text: str) -> str:
    return " ".join(text.lower().split())
