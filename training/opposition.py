"""Presence against absence: statements of a finding, statements that rule it out, and triples made from both.

The statements stand in configs/statements.toml. A triple's negative says the opposite of its anchor with the same
words, its positive the same with other words, so that the network cannot go by shared words. Random draws come from
the caller's generator.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

NORMAL = "absent:*"  # the key of a normal study: rules out every finding

_PRESENT = (
    "{}",
    "{}",
    "there is {}",
    "{} is seen",
    "{} is present",
    "evidence of {}",
    "mri shows {}",
    "findings consistent with {}",
    "appearances are those of {}",
    "marked {}",
    "mild {}",
    "known {}",
    "new {}",
    "features of {}",
    "in keeping with {}",
    "{} again demonstrated",
    "there is an acute {}",
    "persistent {}",
)
_ABSENT = (
    "no {}",
    "no {}",
    "no evidence of {}",
    "there is no {}",
    "there is no evidence of {}",
    "without {}",
    "{} is not seen",
    "{} is absent",
    "negative for {}",
    "no signs of {}",
    "no {} is identified",
    "no {} seen",
    "no sign of {}",
    "free of {}",
    "no demonstrable {}",
    "{} has been excluded",
    "no features of {}",
    "absence of {}",
    "no convincing evidence of {}",
    "no mri evidence of {}",
)


class StatementsError(ValueError):
    """A statements file that is not as described."""


@dataclass(frozen=True, slots=True)
class FindingStatements:
    name: str
    synonyms: tuple[str, ...]
    described: tuple[str, ...]
    normal: tuple[str, ...]
    kept_back: tuple[str, ...]
    unseen: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.synonyms)


@dataclass(frozen=True, slots=True)
class Statements:
    findings: tuple[FindingStatements, ...]
    normal: tuple[str, ...]

    @property
    def trainable(self) -> tuple[FindingStatements, ...]:
        return tuple(finding for finding in self.findings if not finding.unseen)


@dataclass(frozen=True, slots=True)
class Statement:
    """A text and what it says: keys such as "present:hydrocephalus", "absent:midline shift"."""

    text: str
    keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class Triple:
    """Anchor and positive say the same; the negative, where there is one, says the opposite of the anchor."""

    anchor: Statement
    positive: Statement
    negative: Statement | None = None


def read_statements() -> Statements:
    """The statements that ship with the package."""
    table = tomllib.loads((files("training") / "configs" / "statements.toml").read_text("utf-8"))
    findings = []
    for row in table["finding"]:
        unknown = set(row) - {"name", "synonyms", "described", "normal", "kept_back", "unseen"}
        if unknown:
            raise StatementsError(f"Expected a finding of statements.toml without {sorted(unknown)}: {row.get('name')}")
        lists = {name: tuple(row[name]) for name in ("synonyms", "described", "normal", "kept_back")}
        findings.append(FindingStatements(name=row["name"], unseen=bool(row.get("unseen", False)), **lists))
    return Statements(tuple(findings), tuple(table["normal"]))


def contradicts(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether two sets of keys may stand as negatives of each other: they share nothing.

    >>> contradicts(frozenset({"absent:mass"}), frozenset({NORMAL})), contradicts(frozenset({"a"}), frozenset({"b"}))
    (False, True)
    """
    if one & other:
        return False
    absent_one = any(key.startswith("absent:") for key in one)
    absent_other = any(key.startswith("absent:") for key in other)
    return not (absent_one and absent_other and (NORMAL in one or NORMAL in other))


def present(name: str, chance: random.Random) -> str:
    return chance.choice(_PRESENT).format(name)


def absent(name: str, chance: random.Random) -> str:
    return chance.choice(_ABSENT).format(name)


def opposition_triple(statements: Statements, chance: random.Random) -> Triple:
    """One triple over the trainable findings; about half of the anchors are names as a user would type them."""
    finding = chance.choice(statements.trainable)
    draw = chance.random()
    if draw < 0.5:
        anchor = Statement(_plain_name(finding, chance), _has(finding))
        return Triple(anchor, _presence(finding, statements, chance), _absence(finding, statements, chance))
    if draw < 0.62:
        anchor = Statement(chance.choice(finding.described), _has(finding))
        return Triple(anchor, _presence(finding, statements, chance), _absence(finding, statements, chance))
    if draw < 0.95:
        anchor = Statement(absent(chance.choice(finding.names), chance), _lacks(finding))
        return Triple(anchor, _absence(finding, statements, chance), _presence(finding, statements, chance))
    normal = frozenset({NORMAL})
    one, other = chance.sample(statements.normal, 2)
    return Triple(Statement(one, normal), Statement(other, normal), _presence(finding, statements, chance))


def _has(finding: FindingStatements) -> frozenset[str]:
    return frozenset({f"present:{finding.name}"})


def _lacks(finding: FindingStatements) -> frozenset[str]:
    return frozenset({f"absent:{finding.name}"})


def _plain_name(finding: FindingStatements, chance: random.Random) -> str:
    name = chance.choice((finding.name, *finding.names))
    return name if chance.random() < 0.6 else present(name, chance)


def _presence(finding: FindingStatements, statements: Statements, chance: random.Random) -> Statement:
    """Described without the name most of the time; at times with another finding ruled out in the same sentence."""
    described = chance.random() < 0.7
    text = chance.choice(finding.described) if described else present(chance.choice(finding.names), chance)
    keys = _has(finding)
    if chance.random() < 0.15:
        other = _other(finding, statements, chance)
        text = f"{text}, {chance.choice(('without', 'but no', 'with no'))} {chance.choice(other.names)}"
        keys = keys | _lacks(other)
    return Statement(text, keys)


def _absence(finding: FindingStatements, statements: Statements, chance: random.Random) -> Statement:
    """By its name, in a list of things ruled out, or by what is normal instead."""
    draw = chance.random()
    if draw < 0.45:
        return Statement(absent(chance.choice(finding.names), chance), _lacks(finding))
    if draw < 0.6:
        others = [_other(finding, statements, chance) for _ in range(chance.choice((1, 2)))]
        names = [chance.choice(item.names) for item in (finding, *others)]
        chance.shuffle(names)
        text = f"{chance.choice(('no', 'no evidence of', 'there is no'))} {', '.join(names[:-1])} or {names[-1]}"
        return Statement(text, frozenset().union(_lacks(finding), *(_lacks(other) for other in others)))
    if draw < 0.92:
        return Statement(chance.choice(finding.normal), _lacks(finding))
    return Statement(chance.choice(statements.normal), frozenset({NORMAL}))


def _other(finding: FindingStatements, statements: Statements, chance: random.Random) -> FindingStatements:
    return chance.choice(tuple(item for item in statements.trainable if item.name != finding.name))


def all_training_texts(statements: Statements) -> Sequence[str]:
    """Every statement that may be learned from, each once."""
    texts = list(statements.normal)
    for finding in statements.trainable:
        texts += [*finding.names, *finding.described, *finding.normal, *(f"no {name}" for name in finding.names)]
    return tuple(dict.fromkeys(texts))
