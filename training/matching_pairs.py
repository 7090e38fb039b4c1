"""What section matching draws from: reports, single sentences, terms, phantom reports, opposition.

Each kind is a function from a generator to one triple. Licences and the split are settled in training.text_data.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from training.opposition import (
    NORMAL,
    Statement,
    Statements,
    Triple,
    absent,
    all_training_texts,
    opposition_triple,
    present,
)
from training.section_matching import Draw, SectionMatchingConfig, keyed
from training.spelling import to_american
from training.text_data import QUESTION_KINDS, Record, Term, TextCollection, sentences, split

if TYPE_CHECKING:
    from training.phantoms.reports import PhantomReport

PHANTOM_SEED = 1_000_000  # far from the seeds of cohorts and of the evaluation
_LONGEST_NAME = 7  # words; a longer impression is no name to deny
_QUESTION = re.compile(r"^([^.?\n]{3,90})\.\s+[^?\n]*\?\s*\n(.+)", re.DOTALL)

# The phantoms' short names of findings in the words of statements.toml.
PHANTOM_NAMES = {
    "infarct": "acute infarct",
    "haemorrhage": "intracranial haemorrhage",
    "atrophy": "cerebral atrophy",
}


@dataclass(frozen=True, slots=True)
class PhantomCase:
    report: PhantomReport
    keys: frozenset[str]
    said: tuple[tuple[str, str, bool], ...]


@dataclass(frozen=True, slots=True)
class MatchingText:
    """Everything that triples are drawn from; `names` finds the findings that a diagnosis names."""

    pairs: tuple[Record, ...]
    passages: tuple[tuple[str, ...], ...]
    terms: tuple[Term, ...]
    phantoms: tuple[PhantomCase, ...]
    statements: Statements
    names: FindingNames


class FindingNames:
    """Which findings a text names, in either spelling: two texts that share one are no negatives of each other."""

    def __init__(self, statements: Statements) -> None:
        self._found = {to_american(name.lower()): f.name for f in statements.findings for name in f.names}
        longest_first = sorted(self._found, key=len, reverse=True)
        self._pattern = re.compile(rf"\b({'|'.join(map(re.escape, longest_first))})s?\b")

    def keys(self, text: str, *, are_present: bool = True) -> frozenset[str]:
        """Keys such as "present:meningioma", and the text itself as a key."""
        folded = to_american(" ".join(text.lower().split()).rstrip("."))
        says = "present" if are_present else "absent"
        own = f"text:{folded}" if are_present else f"absent:{folded}"
        return frozenset({own, *(f"{says}:{self._found[found]}" for found in self._pattern.findall(folded))})

    def places(self, text: str) -> tuple[tuple[str, str], ...]:
        """(key, what stands before it) of every finding that a sentence names."""
        folded = to_american(text.lower())
        return tuple(
            (f"present:{self._found[match[1]]}", folded[: match.start()]) for match in self._pattern.finditer(folded)
        )

    def without(self, text: str) -> str:
        """A text, folded, with every name of a finding taken out."""
        return " ".join(self._pattern.sub(" ", to_american(text.lower())).split())


def gather(collection: TextCollection, percent: int, phantom_reports: int, statements: Statements) -> MatchingText:
    """Select what may be learned from."""
    pairs, _ = split(collection.pairs, percent)
    corpus, _ = split((r for r in collection.corpus if r.kind not in QUESTION_KINDS), percent)
    captions, _ = split((r for r in collection.general if r.kind == "caption"), percent)
    passages = [parts for record in (*corpus, *captions) if len(parts := sentences(record.text)) >= 2]
    # Diseases and findings with a synonym or a definition; anatomy only where it is the brain's.
    terms = [t for t in collection.terms if len(t.names) > 1 or len(t.definition) > 30]
    terms += _question_terms(collection, percent)
    return MatchingText(
        pairs,
        tuple(passages),
        tuple(terms),
        phantom_cases(phantom_reports, PHANTOM_SEED),
        statements,
        FindingNames(statements),
    )


def phantom_cases(count: int, first_seed: int) -> tuple[PhantomCase, ...]:
    """Phantom reports with the keys of what they state; none where count is 0."""
    if count == 0:
        return ()
    from training.phantoms.reports import statements as phantom_statements
    from training.phantoms.reports import write_report
    from training.phantoms.scenario import draw_facts

    cases = []
    for seed in range(first_seed, first_seed + count):
        facts = draw_facts(seed)
        report = write_report(facts, seed)
        found = frozenset(f"present:{_phantom_name(name)}" for name, true in facts.labels.items() if true)
        said = tuple((s.sentence, _phantom_name(s.finding), s.present) for s in phantom_statements(facts, seed))
        cases.append(PhantomCase(report, (found - {"present:abnormal"}) or frozenset({NORMAL}), said))
    return tuple(cases)


def draws(text: MatchingText, config: SectionMatchingConfig, *, deny: bool = True) -> tuple[tuple[float, Draw], ...]:
    """(share, draw) for each kind that has something to draw from; `deny` adds denied names as hard negatives."""
    neuro = [term for term in text.terms if term.is_neuro]
    kinds: list[tuple[float, Draw]] = []
    if text.pairs:
        kinds.append((config.share_reports, lambda chance: _report(text, chance, deny)))
    if text.passages:
        kinds.append((config.share_sentences, lambda chance: _sentence(text.passages, chance)))
    if neuro:
        kinds.append((config.share_terms, lambda chance: _term(neuro, text, chance, deny)))
    if text.phantoms:
        kinds.append((config.share_phantoms, lambda chance: _phantom(text, chance)))
    kinds.append((config.share_opposition, lambda chance: opposition_triple(text.statements, chance)))
    return tuple(kinds)


def report_sentences(text: MatchingText) -> tuple[str, ...]:
    """Sentences whose mean vector is the centre: of reports and captions, of phantoms, and the statements."""
    real = [part for record in text.pairs for part in sentences(record.findings)][:3000]
    made = [sentence for case in text.phantoms[:300] for sentence in sentences(case.report.text)]
    return tuple(dict.fromkeys([*real, *made, *all_training_texts(text.statements)]))


def _report(text: MatchingText, chance: random.Random, deny: bool) -> Triple:
    """Impression against the findings, or half of the time against one random sentence of them."""
    record = chance.choice(text.pairs)
    parts = sentences(record.findings)
    findings = chance.choice(parts) if len(parts) > 1 and chance.random() < 0.5 else record.findings
    keys = text.names.keys(record.impression)
    name = record.impression.rstrip(". ")
    if not deny or len(name.split()) > _LONGEST_NAME:
        return Triple(Statement(record.impression, keys), Statement(findings, keys))
    anchor = present(name.lower(), chance) if chance.random() < 0.3 else name
    return Triple(Statement(anchor, keys), Statement(findings, keys), _denied(text, name, chance))


def _sentence(passages: Sequence[tuple[str, ...]], chance: random.Random) -> Triple:
    """A random sentence against what is left of its text around it."""
    parts = chance.choice(passages)
    place = chance.randrange(len(parts))
    rest = " ".join((*parts[max(0, place - 3) : place], *parts[place + 1 : place + 4]))
    key = f"passage:{hash_free(parts)}"
    return Triple(keyed(parts[place], key), keyed(rest, key))


def _term(neuro: Sequence[Term], text: MatchingText, chance: random.Random, deny: bool) -> Triple:
    """A name against a synonym or the definition; three times in four a term of the nervous system."""
    term = chance.choice(neuro) if chance.random() < 0.75 else chance.choice(text.terms)
    name = chance.choice(term.names)
    others = [other for other in term.names if other.lower() != name.lower()]
    if term.definition and (not others or chance.random() < 0.5):
        parts = sentences(term.definition) or (term.definition,)
        other = chance.choice(parts) if term.source == "medquad" else term.definition
    else:
        other = chance.choice(others) if others else present(name, chance)
    keys = text.names.keys(term.names[0]) | text.names.keys(name)
    negative = _denied(text, name, chance) if deny and chance.random() < 0.6 else None
    return Triple(Statement(name, keys), Statement(other, keys), negative)


def _denied(text: MatchingText, name: str, chance: random.Random) -> Statement:
    return Statement(absent(name.lower(), chance), text.names.keys(name, are_present=False))


def _phantom(text: MatchingText, chance: random.Random) -> Triple:
    """Findings against impression of a phantom report, or a name against a sentence that states or denies it."""
    case = chance.choice(text.phantoms)
    if chance.random() < 0.4:
        findings = case.report.findings
        if chance.random() < 0.4:
            findings = case.report.text
        return Triple(Statement(case.report.impression, case.keys), Statement(findings, case.keys))
    stated = [item for item in case.said if item[2]] or list(case.said)
    sentence, name, is_present = chance.choice(stated if chance.random() < 0.6 else case.said)
    if name == "abnormal":
        keys = case.keys if is_present else frozenset({NORMAL})
        positive = case.report.impression if is_present else chance.choice(text.statements.normal)
        return Triple(Statement(positive, keys), Statement(sentence, keys))
    here, opposite = ("present", "absent") if is_present else ("absent", "present")
    names = next((f.names for f in text.statements.trainable if f.name == name), (name,))
    called = chance.choice(names)
    anchor = called if is_present else f"no {called}"
    against = f"no {called}" if is_present else called
    keys = frozenset({f"{here}:{name}"})
    return Triple(
        Statement(anchor, keys),
        Statement(sentence, keys | (case.keys if is_present else frozenset())),
        Statement(against, frozenset({f"{opposite}:{name}"})),
    )


def _question_terms(collection: TextCollection, percent: int) -> list[Term]:
    """Disease names with texts about them (MedQuAD, MedPix's discussions), whose sentences serve as definitions."""
    kinds = ("disease_qa", "disease_discussion")
    records, _ = split((r for r in (*collection.corpus, *collection.general) if r.kind in kinds), percent)
    own = {record.key for record in collection.corpus}
    found = []
    for record in records:
        match = _QUESTION.match(record.text)
        name, body = (match[1], match[2]) if match else (record.labels[0] if record.labels else "", record.text)
        definition = " ".join(sentences(body)[:6])[:900]
        if name and len(definition) > 40:
            found.append(Term((name.strip(),), definition, record.key in own, "medquad"))
    return found


def _phantom_name(name: str) -> str:
    return PHANTOM_NAMES.get(name, name.replace("_", " "))


def hash_free(parts: Sequence[str]) -> str:
    """A key for a passage: its first words (Python's own hash changes from run to run)."""
    return " ".join(parts)[:80].lower()
