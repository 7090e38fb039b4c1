"""What section matching learns from, gathered once: pairs, passages, terms, phantom reports, the teaching matter.

Of every findings section it is known which sentences state something and which deny a finding by name, by the
assertions that the indexer reads. How triples are drawn from it is left to training.matching_pairs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from indexer.assertions import judge
from indexer.cases import Assertion
from training.finding_names import FindingNames
from training.opposition import NORMAL
from training.statements import Statements, all_training_texts
from training.text_data import QUESTION_KINDS, Record, Term, TextCollection, sentences, split
from training.written_cases import Macro, WrittenCase, read_cases

if TYPE_CHECKING:
    from training.phantoms.reports import PhantomReport

PHANTOM_SEED = 1_000_000  # far from the seeds of cohorts and of the evaluation
_MOST_CENTRAL = 3000  # sentences whose mean is the centre
_LONGEST_NAME = 7  # words; a longer impression is no name to deny
_QUESTION = re.compile(r"^([^.?\n]{3,90})\.\s+[^?\n]*\?\s*\n(.+)", re.DOTALL)

# The phantoms' short names of findings in the words of the teaching matter.
PHANTOM_NAMES = {
    "infarct": "acute infarct",
    "haemorrhage": "intracranial haemorrhage",
    "atrophy": "cerebral atrophy",
    "metastases": "brain metastases",
    "abscess": "brain abscess",
    "schwannoma": "vestibular schwannoma",
    "pituitary_mass": "pituitary adenoma",
    "cyst": "arachnoid cyst",
}


@dataclass(frozen=True, slots=True)
class Sections:
    """Findings and impression of one report, with the keys of what it says.

    `stating` are the sentences of the findings that state something; `names` what the report states, where that is
    known or short enough to be a name.
    """

    findings: str
    impression: str
    keys: frozenset[str]
    names: tuple[str, ...]
    stating: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Denial:
    """A clause that denies findings, by the words that it uses for them."""

    clause: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PhantomCase:
    report: PhantomReport
    keys: frozenset[str]
    said: tuple[tuple[str, str, bool], ...]


@dataclass(frozen=True, slots=True)
class MatchingText:
    """Everything that triples are drawn from; `names` finds the findings that a diagnosis names."""

    pairs: tuple[Sections, ...]
    written: tuple[Sections, ...]
    cases: tuple[Sections, ...]
    denials: tuple[Denial, ...]
    passages: tuple[tuple[str, ...], ...]
    terms: tuple[Term, ...]
    phantoms: tuple[PhantomCase, ...]
    statements: Statements
    names: FindingNames

    @property
    def sections(self) -> tuple[Sections, ...]:
        """All that has findings and an impression."""
        return (*self.pairs, *self.written, *self.cases)


def gather(collection: TextCollection, percent: int, phantom_reports: int, statements: Statements) -> MatchingText:
    """Select what may be learned from."""
    names = FindingNames(statements)
    cases, macros = read_cases(statements, names)
    records, _ = split((*collection.pairs, *collection.general), percent)
    pairs = tuple(_sections(record, names) for record in records if record.findings and record.impression)
    written = tuple(
        Sections(
            report.findings,
            report.impression,
            names.keys(report.impression).union(*(names.keys(name) for name in report.states)) if report.states
            else frozenset({NORMAL}),
            report.states,
            _clauses(report.findings, Assertion.PRESENT),
        )
        for report in statements.reports
    )  # fmt: skip
    written += tuple(Sections(m.findings, m.impression, _macro_keys(m, names), (), ()) for m in macros)
    corpus, _ = split((r for r in collection.corpus if r.kind not in QUESTION_KINDS), percent)
    captions, _ = split((r for r in collection.general if r.kind == "caption"), percent)
    passages = [parts for record in (*corpus, *captions) if len(parts := sentences(record.text)) >= 2]
    texts = [*(one.findings for one in (*pairs, *written)), *(record.text for record in corpus)]
    # Diseases and findings with a synonym or a definition; anatomy only where it is the brain's.
    terms = [t for t in collection.terms if len(t.names) > 1 or len(t.definition) > 30]
    terms += [Term(case.names, "", True, "written") for case in cases if len(case.names) > 1]
    return MatchingText(
        pairs,
        written,
        tuple(section for case in cases for section in _case_sections(case, names)),
        tuple(_denials(texts, names)),
        tuple(passages),
        (*terms, *_question_terms(collection, percent)),
        phantom_cases(phantom_reports, PHANTOM_SEED),
        statements,
        names,
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


def report_sentences(text: MatchingText) -> tuple[str, ...]:
    """Sentences whose mean vector is the centre: of reports and captions, of phantoms, and the statements."""
    real = [part for one in text.pairs for part in sentences(one.findings)][:3000]
    made = [sentence for case in text.phantoms[:300] for sentence in sentences(case.report.text)]
    made += [part for one in text.written for part in sentences(one.findings)]
    statements = [t for t in all_training_texts(text.statements) if len(t) < 200]
    texts = tuple(dict.fromkeys([*real, *made, *statements]))
    return texts[:: 1 + len(texts) // _MOST_CENTRAL]


def _sections(record: Record, names: FindingNames) -> Sections:
    name = record.impression.rstrip(". ")
    return Sections(
        record.findings,
        record.impression,
        names.keys(record.impression),
        (name,) if len(name.split()) <= _LONGEST_NAME else (),
        _clauses(record.findings, Assertion.PRESENT),
    )


def _case_sections(case: WrittenCase, names: FindingNames) -> Iterable[Sections]:
    """One for each text, with the impressions in turn; all texts of a case share a key."""
    keys = frozenset({f"case:{case.names[0].lower()}"}).union(*(names.keys(text) for text in (*case.names, *case.says)))
    for number, text in enumerate(case.texts):
        says = case.says[number % len(case.says)]
        yield Sections(text, says, keys, case.names, _clauses(text, Assertion.PRESENT))


def _macro_keys(macro: Macro, names: FindingNames) -> frozenset[str]:
    """A normal study's impression denies, and so is no negative of normality; two of different studies stay apart."""
    denies = {said for _, said in judge(macro.impression)} == {Assertion.ABSENT} or "normal" in macro.impression.lower()
    return names.keys(macro.impression, are_present=not denies)


def _clauses(text: str, wanted: Assertion) -> tuple[str, ...]:
    return tuple(
        clause
        for sentence in sentences(text)
        for clause, said in judge(sentence)
        if said is wanted and len(clause.split()) >= 3
    )


def _denials(texts: Iterable[str], names: FindingNames) -> Iterable[Denial]:
    for clause in dict.fromkeys(clause for text in texts for clause in _clauses(text, Assertion.ABSENT)):
        if len(clause.split()) <= 24 and (found := names.named(clause)):
            yield Denial(clause, found)


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
