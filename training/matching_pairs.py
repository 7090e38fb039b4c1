"""What section matching draws: reports, single sentences, terms, phantom reports, written reports, opposition.

Each kind is a function from a generator to one triple over what training.matching_text gathered.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from training.matching_text import MatchingText, Sections
from training.opposition import NORMAL, Statement, Triple, absent, opposition_triple, present
from training.section_matching import Draw, SectionMatchingConfig, keyed
from training.text_data import Term, sentences


def draws(text: MatchingText, config: SectionMatchingConfig) -> tuple[tuple[float, Draw], ...]:
    """(share, draw) for each kind that has something to draw from."""
    neuro = [term for term in text.terms if term.is_neuro]
    single = config.single_sentences
    kinds: list[tuple[float, Draw]] = []
    if text.pairs:
        kinds.append((config.share_reports, lambda chance: _report(text, text.pairs, chance, single)))
    if text.written:
        kinds.append((config.share_written, lambda chance: _report(text, text.written, chance, single)))
    if text.cases:
        kinds.append((config.share_cases, lambda chance: _report(text, text.cases, chance, single)))
    if text.denials:
        kinds.append((config.share_denials, lambda chance: _denial(text, chance)))
    if text.passages:
        kinds.append((config.share_sentences, lambda chance: _sentence(text.passages, chance)))
    if neuro:
        kinds.append((config.share_terms, lambda chance: _term(neuro, text, chance)))
    if text.phantoms:
        kinds.append((config.share_phantoms, lambda chance: _phantom(text, chance)))
    kinds.append((config.share_opposition, lambda chance: opposition_triple(text.statements, chance)))
    return tuple(kinds)


def _report(text: MatchingText, reports: Sequence[Sections], chance: random.Random, single: bool) -> Triple:
    """The impression, or what it names, against the findings, or against one sentence of them that states something."""
    report = chance.choice(reports)
    findings = chance.choice(report.stating) if single and report.stating and chance.random() < 0.5 else report.findings
    positive = Statement(findings, report.keys)
    if not report.names or chance.random() < 0.4:
        return Triple(Statement(report.impression, report.keys), positive)
    name = chance.choice(report.names).lower()
    anchor = present(name, chance) if chance.random() < 0.4 else name
    return Triple(Statement(anchor, report.keys), positive, _denied(text, name, chance))


def _denial(text: MatchingText, chance: random.Random) -> Triple:
    """A denial as a user would ask for it against a real one, and away from the finding itself."""
    denial = chance.choice(text.denials)
    name = chance.choice(denial.names)
    keys = frozenset().union(*(text.names.keys(one, are_present=False) for one in denial.names))
    anchor = Statement(absent(name, chance), text.names.keys(name, are_present=False))
    return Triple(anchor, Statement(denial.clause, keys), Statement(present(name, chance), text.names.keys(name)))


def _sentence(passages: Sequence[tuple[str, ...]], chance: random.Random) -> Triple:
    """A random sentence against what is left of its text around it."""
    parts = chance.choice(passages)
    place = chance.randrange(len(parts))
    rest = " ".join((*parts[max(0, place - 2) : place], *parts[place + 1 : place + 3]))
    key = f"passage:{hash_free(parts)}"
    return Triple(keyed(parts[place], key), keyed(rest, key))


def _term(neuro: Sequence[Term], text: MatchingText, chance: random.Random) -> Triple:
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
    negative = _denied(text, name, chance) if chance.random() < 0.6 else None
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


def hash_free(parts: Sequence[str]) -> str:
    """A key for a passage: its first words (Python's own hash changes from run to run)."""
    return " ".join(parts)[:80].lower()
