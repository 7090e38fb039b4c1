"""How often the masks show a finding on the wrong side, in the examinations that a bundle is calibrated on.

A report is held against the side on which some series show a finding (`explain.side_of`) and none shows the other. How
many it must be is chosen by how often that is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SIDES = ("left", "right")


@dataclass(frozen=True, slots=True)
class SideVotes:
    """How many series must agree on a side, and in how many of `n` findings that lie on one side that was `wrong`."""

    votes: int
    wrong: int
    n: int


@dataclass(frozen=True, slots=True)
class SeenSides:
    """Of K findings, the place in SIDES of what each of S series shows, and of what N examinations have; -1 for none.

    `seen` is (S, K), `true` is (N, K): one side and no other.
    """

    findings: tuple[str, ...]
    seen: NDArray[np.int8]
    true: NDArray[np.int8]

    @classmethod
    def of(cls, seen: Sequence[Mapping[str, str]], true: Sequence[Mapping[str, str]]) -> SeenSides:
        """From the sides by finding, of every series and of every examination."""
        findings = tuple(sorted({name for sides in (*seen, *true) for name in sides}))
        return cls(findings, _table(seen, findings), _table(true, findings))

    def check(self, series: int, examinations: int) -> None:
        """Raises ValueError where the tables are not those of so many series and examinations."""
        expected = (series, len(self.findings)), (examinations, len(self.findings))
        if (self.seen.shape, self.true.shape) != expected:
            raise ValueError(f"sides of shapes {self.seen.shape} and {self.true.shape}, expected {expected}")

    def wrong(
        self, examinations: NDArray[np.int32], chosen: NDArray[np.bool_], rows: NDArray[np.int64], votes: int = 1
    ) -> tuple[int, int]:
        """How often so many of the chosen (S,) series show a finding on the other side and none its own; of how many.

        Counted are the findings that examinations `rows` (M,) have on one side; `examinations` (S,) are the series'.
        """
        shown = np.zeros((2, *self.true.shape), np.int64)
        for place in range(len(SIDES)):
            series, findings = np.nonzero((self.seen == place) & chosen[:, None])
            np.add.at(shown[place], (examinations[series], findings), 1)
        left, right = shown
        own, other = np.where(self.true == 0, (left, right), (right, left))
        wrong = (self.true >= 0) & (other >= votes) & (own == 0)
        return int(wrong[rows].sum()), int((self.true[rows] >= 0).sum())


def _table(sides: Sequence[Mapping[str, str]], findings: Sequence[str]) -> NDArray[np.int8]:
    places = [[SIDES.index(one[name]) if name in one else -1 for name in findings] for one in sides]
    return np.array(places, np.int8).reshape(len(sides), len(findings))
