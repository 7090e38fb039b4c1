"""Which findings of the teaching matter a text names, in either spelling, as keys of training.opposition."""

from __future__ import annotations

import re

from training.opposition import has, lacks
from training.spelling import to_american
from training.statements import Statements

# Shorter names are words of their own ("we", "ca") more often than abbreviations.
_SHORTEST_NAME, _SHORT_NAMES = 3, frozenset({"ms"})


class FindingNames:
    """Two texts that share a finding are no negatives of each other."""

    def __init__(self, statements: Statements) -> None:
        self._finding = {
            to_american(name.lower()): finding
            for finding in statements.findings
            for name in finding.names
            if len(name) >= _SHORTEST_NAME or name.lower() in _SHORT_NAMES
        }
        self._finding |= {to_american(finding.name): finding for finding in statements.findings}
        longest_first = sorted(self._finding, key=len, reverse=True)
        self._pattern = re.compile(rf"\b({'|'.join(map(re.escape, longest_first))})s?\b")

    def keys(self, text: str, *, are_present: bool = True) -> frozenset[str]:
        """Keys such as "present:meningioma", and the text itself as a key."""
        folded = to_american(" ".join(text.lower().split()).rstrip("."))
        own = f"text:{folded}" if are_present else f"absent:{folded}"
        keys_of = has if are_present else lacks
        found = (keys_of(self._finding[name]) for name in self._pattern.findall(folded))
        return frozenset({own}).union(*found)

    def places(self, text: str) -> tuple[tuple[str, str], ...]:
        """(key, what stands before it) of every finding that a sentence names."""
        folded = to_american(text.lower())
        return tuple(
            (f"present:{self._finding[match[1]].name}", folded[: match.start()])
            for match in self._pattern.finditer(folded)
        )

    def named(self, text: str) -> tuple[str, ...]:
        """The words with which a text names findings, folded to American spelling."""
        return tuple(dict.fromkeys(self._pattern.findall(to_american(text.lower()))))

    def without(self, text: str) -> str:
        """A text, folded, with every name of a finding taken out."""
        return " ".join(self._pattern.sub(" ", to_american(text.lower())).split())
