"""The teaching matter: what radiologists write for a finding and for its absence, and whole reports.

Read from teaching/*.toml, which were written for this project; entries of one finding in several files are one. What
`kept_back.toml` says is for evaluation only. Triples are made of it in training.opposition.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

_LISTS = ("synonyms", "described", "stated", "denied", "normal")
_KEPT_LISTS = ("described", "denied", "normal", "query")
_KEPT_FILE = "kept_back.toml"
_NOT_TAUGHT = ("planted_identifiers.toml",)  # lines to take identifiers out of


class StatementsError(ValueError):
    """A file of teaching matter that is not as described."""


@dataclass(frozen=True, slots=True)
class KeptBack:
    """What is asked of the encoder and was never learned from; `queries` are how a user would type the name."""

    described: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    normal: tuple[str, ...] = ()
    queries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FindingStatements:
    """`described` and `normal` leave the name out, `stated` and `denied` use it; `broader` are kinds it belongs to."""

    name: str
    synonyms: tuple[str, ...]
    described: tuple[str, ...]
    stated: tuple[str, ...]
    denied: tuple[str, ...]
    normal: tuple[str, ...]
    kept_back: KeptBack = field(default_factory=KeptBack)
    broader: tuple[str, ...] = ()
    unseen: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.synonyms)


@dataclass(frozen=True, slots=True)
class WrittenReport:
    findings: str
    impression: str
    states: tuple[str, ...]
    denies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Statements:
    findings: tuple[FindingStatements, ...]
    normal: tuple[str, ...]
    reports: tuple[WrittenReport, ...] = ()

    @property
    def trainable(self) -> tuple[FindingStatements, ...]:
        """Findings that may be learned from and have both a description and a normal statement."""
        return tuple(one for one in self.findings if not one.unseen and one.described and one.normal)


def read_statements() -> Statements:
    """The teaching matter that ships with the package. Raises StatementsError where a file is not as described."""
    folder = files("training") / "teaching"
    tables = {
        path.name: tomllib.loads(path.read_text("utf-8"))
        for path in sorted(folder.iterdir(), key=lambda path: path.name)
        if path.name.endswith(".toml") and path.name not in _NOT_TAUGHT
    }
    kept = {row["name"]: row for row in tables.pop(_KEPT_FILE, {}).get("finding", ())}
    broader = _broader(table.get("kinds", {}) for table in tables.values())
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for name, table in tables.items():
        for row in table["finding"]:
            if unknown := set(row) - {"name", "unseen", *_LISTS}:
                raise StatementsError(f"Expected a finding of {name} without {sorted(unknown)}: {row.get('name')}")
            rows.setdefault(row["name"], []).append(row)
    for name in kept:
        rows.setdefault(name, [])
    secret = {_fold(text) for row in kept.values() for part in _KEPT_LISTS for text in row.get(part, ())}
    findings = (
        _finding(name, found, kept.get(name, {}), broader.get(name, ()), secret) for name, found in rows.items()
    )
    return Statements(
        tuple(findings),
        _each_once(text for table in tables.values() for text in table.get("normal", ())),
        tuple(_report(row) for table in tables.values() for row in table.get("report", ())),
    )


def all_training_texts(statements: Statements) -> Sequence[str]:
    """Every statement that may be learned from, each once; of the reports, what they say."""
    texts = list(statements.normal)
    for finding in statements.findings:
        if not finding.unseen:
            texts += [*finding.names, *finding.described, *finding.stated, *finding.denied, *finding.normal]
            texts += [f"no {name}" for name in finding.names]
    texts += [part for report in statements.reports for part in (report.findings, report.impression)]
    return tuple(dict.fromkeys(texts))


def _finding(
    name: str, rows: Sequence[Mapping[str, Any]], kept: Mapping[str, Any], broader: tuple[str, ...], secret: set[str]
) -> FindingStatements:
    lists = {part: _each_once(text for row in rows for text in row.get(part, ())) for part in _LISTS}
    lists = {part: tuple(text for text in texts if _fold(text) not in secret) for part, texts in lists.items()}
    lists["synonyms"] = tuple(synonym for synonym in lists["synonyms"] if synonym != name)
    return FindingStatements(
        name=name,
        **lists,
        kept_back=KeptBack(
            tuple(kept.get("described", ())),
            tuple(kept.get("denied", ())),
            tuple(kept.get("normal", ())),
            tuple(kept.get("query", ())),
        ),
        broader=broader,
        unseen=bool(kept.get("unseen", False)) or any(row.get("unseen", False) for row in rows),
    )


def _broader(tables: Iterable[Mapping[str, Sequence[str]]]) -> dict[str, tuple[str, ...]]:
    """The kinds that a finding belongs to, from tables of a kind and what belongs to it."""
    found: dict[str, tuple[str, ...]] = {}
    for table in tables:
        for broad, kinds in table.items():
            for narrow in kinds:
                found[narrow] = (*found.get(narrow, ()), broad)
    return found


def _report(row: Mapping[str, Any]) -> WrittenReport:
    if set(row) != {"findings", "impression", "states", "denies"}:
        raise StatementsError(f"Expected findings, impression, states and denies of a report, got {sorted(row)}")
    return WrittenReport(
        " ".join(row["findings"].split()),
        " ".join(row["impression"].split()),
        tuple(row["states"]),
        tuple(row["denies"]),
    )


def _each_once(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple({_fold(text): " ".join(text.split()) for text in texts}.values())


def _fold(text: str) -> str:
    return " ".join(text.lower().split()).rstrip(".")
