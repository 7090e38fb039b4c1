"""The written cases: diagnoses with descriptions that leave the name out, and report macros.

Read from teaching/cases/*.toml, which were written for this project like the rest of the teaching matter. What names a
finding that the evaluation keeps unseen is dropped here, so that whoever writes cases need not know which those are.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from training.finding_names import FindingNames
from training.statements import Statements, StatementsError


@dataclass(frozen=True, slots=True)
class WrittenCase:
    """`names` of one diagnosis, `texts` of different patients without a name, `says` are impressions that state it."""

    names: tuple[str, ...]
    texts: tuple[str, ...]
    says: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Macro:
    """A department's template: findings with fields to fill in, and the impression that goes with them."""

    findings: str
    impression: str


def read_cases(statements: Statements, names: FindingNames) -> tuple[tuple[WrittenCase, ...], tuple[Macro, ...]]:
    """Cases and macros that name no unseen finding. Raises StatementsError for a part that is empty or not there."""
    unseen = frozenset(f"present:{finding.name}" for finding in statements.findings if finding.unseen)
    cases: list[WrittenCase] = []
    macros: list[Macro] = []
    folder = files("training") / "teaching" / "cases"
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        table = tomllib.loads(path.read_text("utf-8"))
        for row in table.get("case", ()):
            case = WrittenCase(*(_texts(row, part) for part in ("names", "texts", "says")))
            if not unseen & names.keys(" ; ".join((*case.names, *case.texts, *case.says))):
                cases.append(case)
        for row in table.get("macro", ()):
            macro = Macro(*(_texts(row, part)[0] for part in ("findings", "impression")))
            if not unseen & names.keys(f"{macro.findings} ; {macro.impression}"):
                macros.append(macro)
    return tuple(cases), tuple(macros)


def _texts(row: Mapping[str, Any], part: str) -> tuple[str, ...]:
    value = row.get(part)
    texts = tuple(" ".join(text.split()) for text in ([value] if isinstance(value, str) else value or ()))
    if not texts or not all(texts):
        raise StatementsError(f"Expected {part} in a written case, got {value!r} beside {row.get('names')}")
    return texts
