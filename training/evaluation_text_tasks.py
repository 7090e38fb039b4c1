"""What is asked of a text encoder: queries against a gallery of kept-back texts, and which texts answer which query.

What is kept back is settled in training.text_data and teaching/kept_back.toml; figures are training.evaluation_text's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.finding_names import FindingNames
from training.matching_text import phantom_cases
from training.statements import Statements
from training.text_data import QUESTION_KINDS, TRAINABLE, TextCollection, split

PHANTOM_SEED = 2_000_000  # phantom reports that no training saw
_PHANTOMS = 200
ALL_TIERS = "all of these"
_DENIAL = re.compile(r"\b(no|not|without|absent|negative for|free of|exclud\w+|rule out)\b[^.;:]*$", re.IGNORECASE)
_MOST_PIECES_OF_TEXT = 2000  # characters; the longest kept-back reports would dominate the time


@dataclass(frozen=True, slots=True)
class Task:
    """Queries against a gallery; `right` (Q, N) says which texts answer which query."""

    name: str
    queries: tuple[str, ...]
    texts: tuple[str, ...]
    right: NDArray[np.bool_]


def matching_tasks(collection: TextCollection, percent: int) -> tuple[Task, ...]:
    """Findings as queries against the impressions of all tiers, one task a tier; phantoms against their own."""
    _, kept = split(collection.pairs, percent)
    kept = tuple(r for r in kept if r.findings and r.impression)
    impressions = tuple(dict.fromkeys(record.impression for record in kept))
    tasks = []
    for tier in sorted({record.tier for record in kept}):
        records = [record for record in kept if record.tier == tier]
        right = np.array([[record.impression == text for text in impressions] for record in records])
        queries = tuple(record.findings[:_MOST_PIECES_OF_TEXT] for record in records)
        tasks.append(Task(tier, queries, impressions, right))
    tasks.append(
        Task(
            ALL_TIERS,
            tuple(query for task in tasks for query in task.queries),
            impressions,
            np.concatenate([task.right for task in tasks]) if tasks else np.zeros((0, len(impressions)), dtype=bool),
        )
    )
    cases = phantom_cases(_PHANTOMS, PHANTOM_SEED)
    made = tuple(dict.fromkeys(case.report.impression for case in cases))
    right = np.array([[case.report.impression == text for text in made] for case in cases])
    tasks.append(Task("phantom", tuple(case.report.findings for case in cases), made, right))
    return tuple(tasks)


def concept_task(collection: TextCollection, statements: Statements, percent: int, fewest: int = 3) -> Task:
    """Names of findings as queries against kept-back texts out of which every name of a finding was taken.

    A text answers the findings that its diagnosis or itself names without denying them.
    """
    names = FindingNames(statements)
    _, kept = split((r for r in collection.corpus if r.kind not in QUESTION_KINDS), percent)
    kept = tuple(r for r in kept if r.restrict in TRAINABLE and 8 <= len(r.text.split()) <= 250)
    stated = [_stated(names, f"{record.text}. {' '.join(record.labels)}. {record.impression}") for record in kept]
    texts = [names.without(record.findings or record.text) for record in kept]
    usable = [row for row, text in enumerate(texts) if len(text.split()) >= 5 and stated[row]]
    queries = [
        finding.name
        for finding in statements.findings
        if sum(f"present:{finding.name}" in stated[row] for row in usable) >= fewest
    ]
    right = np.array([[f"present:{query}" in stated[row] for row in usable] for query in queries], dtype=bool)
    right = right.reshape(len(queries), len(usable))
    return Task("concepts", tuple(queries), tuple(texts[row] for row in usable), right)


def description_task(statements: Statements, *, unseen: bool) -> Task:
    """Names of findings, and how users would type them, against all kept-back descriptions; none has the name in it."""
    kept = [finding for finding in statements.findings if finding.kept_back.described]
    texts = tuple(text for finding in kept for text in finding.kept_back.described)
    owners = np.array([finding.name for finding in kept for _ in finding.kept_back.described])
    asked = [
        (finding, query)
        for finding in kept
        if finding.unseen == unseen
        for query in (finding.name, *finding.kept_back.queries)
    ]
    right = np.array([owners == finding.name for finding, _ in asked], dtype=bool).reshape(len(asked), len(texts))
    return Task("descriptions", tuple(query for _, query in asked), texts, right)


def _stated(names: FindingNames, text: str) -> frozenset[str]:
    """The findings that a text names outside of a denial."""
    found: set[str] = set()
    for part in re.split(r"(?<=[.;])\s+|\n", text):
        for key, before in names.places(part):
            if not _DENIAL.search(before):
                found.add(key)
    return frozenset(found)
