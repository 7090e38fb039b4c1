"""Presence against absence: statements of a finding against statements that rule it out, as triples.

A triple's negative says the opposite of its anchor, mostly with the same words; its positive says the same with other
words, so that the network cannot go by shared words. The teaching matter is training.statements'; random draws come
from the caller's generator.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from training.statements import FindingStatements, Statements

NORMAL = "absent:*"  # the key of a normal study: rules out every finding
BROADER = "broader:"  # marks the key of a kind that a finding belongs to

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
    "unchanged {}",
    "{} is unchanged",
    "case of {}",
    "{} on mri",
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
    "{} is not demonstrated",
    "{} has resolved",
    "{} is no longer seen",
    "neither {} nor other abnormality",
)


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


def contradicts(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether two sets of keys may be negatives of each other: they share nothing, nor is one a kind of the other.

    >>> contradicts(frozenset({"absent:mass"}), frozenset({NORMAL})), contradicts(frozenset({"a"}), frozenset({"b"}))
    (False, True)
    >>> contradicts(frozenset({"present:glioblastoma", "broader:present:glioma"}), frozenset({"present:glioma"}))
    False
    """
    if any(key in other for key in one if not key.startswith(BROADER)):
        return False
    if any(BROADER + key in other for key in one) or any(BROADER + key in one for key in other):
        return False
    return not (_only_denies(one) and _only_denies(other) and (NORMAL in one or NORMAL in other))


def contradicting(keys: Sequence[frozenset[str]]) -> torch.Tensor:
    """`contradicts` of every set of keys with every other (N, N) bool, by matrix products: batches are large."""
    column = {
        key: place for place, key in enumerate(sorted({key.removeprefix(BROADER) for own in keys for key in own}))
    }
    own, broader = torch.zeros(2, len(keys), len(column))
    for row, found in enumerate(keys):
        for key in found:
            (broader if key.startswith(BROADER) else own)[row, column[key.removeprefix(BROADER)]] = 1.0
    related = (own @ own.T + own @ broader.T + broader @ own.T) > 0
    denies = torch.tensor([_only_denies(found) for found in keys])
    normal = torch.tensor([NORMAL in found for found in keys])
    both_deny = denies[:, None] & denies[None, :] & (normal[:, None] | normal[None, :])
    apart: torch.Tensor = ~(related | both_deny)
    return apart


def _only_denies(keys: frozenset[str]) -> bool:
    return any(key.startswith("absent:") for key in keys) and not any(key.startswith("present:") for key in keys)


def present(name: str, chance: random.Random) -> str:
    return chance.choice(_PRESENT).format(name)


def absent(name: str, chance: random.Random) -> str:
    return chance.choice(_ABSENT).format(name)


def has(finding: FindingStatements) -> frozenset[str]:
    """Keys of a statement that the finding is there."""
    return _keys("present", finding)


def lacks(finding: FindingStatements) -> frozenset[str]:
    """Keys of a statement that the finding is not there."""
    return _keys("absent", finding)


def opposition_triple(statements: Statements, chance: random.Random) -> Triple:
    """One triple over the trainable findings; about half of the anchors are names as a user would type them."""
    finding = chance.choice(statements.trainable)
    draw = chance.random()
    if draw < 0.5:
        anchor = Statement(_plain_name(finding, chance), has(finding))
        return Triple(anchor, _presence(finding, statements, chance), _absence(finding, statements, chance))
    if draw < 0.66:
        anchor = Statement(chance.choice(finding.described), has(finding))
        return Triple(anchor, _presence(finding, statements, chance), _absence(finding, statements, chance))
    if draw < 0.95:
        anchor = Statement(absent(chance.choice(finding.names), chance), lacks(finding))
        return Triple(anchor, _absence(finding, statements, chance), _presence(finding, statements, chance))
    normal = frozenset({NORMAL})
    one, other = chance.sample(statements.normal, 2)
    return Triple(Statement(one, normal), Statement(other, normal), _presence(finding, statements, chance))


def _keys(says: str, finding: FindingStatements) -> frozenset[str]:
    return frozenset({f"{says}:{finding.name}", *(f"{BROADER}{says}:{kind}" for kind in finding.broader)})


def _plain_name(finding: FindingStatements, chance: random.Random) -> str:
    name = chance.choice((finding.name, *finding.names))
    return name if chance.random() < 0.6 else present(name, chance)


def _presence(finding: FindingStatements, statements: Statements, chance: random.Random) -> Statement:
    """Described without the name most of the time; at times with another finding ruled out in the same sentence."""
    draw = chance.random()
    if draw < 0.65:
        text = chance.choice(finding.described)
    elif draw < 0.8 and finding.stated:
        text = chance.choice(finding.stated)
    else:
        text = present(chance.choice(finding.names), chance)
    keys = has(finding)
    if chance.random() < 0.15:
        other = _other(finding, statements, chance)
        text = f"{text.rstrip('.')}, {chance.choice(('without', 'but no', 'with no'))} {chance.choice(other.names)}"
        keys = keys | lacks(other)
    return Statement(text, keys)


def _absence(finding: FindingStatements, statements: Statements, chance: random.Random) -> Statement:
    """By its name, in a list of things ruled out, or by what is normal instead."""
    draw = chance.random()
    if draw < 0.4:
        return Statement(absent(chance.choice(finding.names), chance), lacks(finding))
    if draw < 0.55 and finding.denied:
        return Statement(chance.choice(finding.denied), lacks(finding))
    if draw < 0.68:
        others = [_other(finding, statements, chance) for _ in range(chance.choice((1, 2)))]
        names = [chance.choice(item.names) for item in (finding, *others)]
        chance.shuffle(names)
        text = f"{chance.choice(('no', 'no evidence of', 'there is no'))} {', '.join(names[:-1])} or {names[-1]}"
        return Statement(text, _union(lacks(item) for item in (finding, *others)))
    if draw < 0.94:
        return Statement(chance.choice(finding.normal), lacks(finding))
    return Statement(chance.choice(statements.normal), frozenset({NORMAL}))


def _other(finding: FindingStatements, statements: Statements, chance: random.Random) -> FindingStatements:
    """Another finding that is no kind of this one, nor this one of it."""
    while True:
        other = chance.choice(statements.trainable)
        if finding.name not in (other.name, *other.broader) and other.name not in finding.broader:
            return other


def _union(keys: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset().union(*keys)
