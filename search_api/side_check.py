"""A report sentence's side against the side on which the lesion masks of enough series show its finding.

How many series it takes follows from how often they were wrong where that was measured. Which words place something on
a side is left to `sides`.
"""

from __future__ import annotations

from encoders.bundle import Bundle, Encoder
from encoders.calibration import wilson_interval
from encoders.explain import side_of
from encoders.seen_sides import SideVotes
from indexer.cases import Assertion, Sentence
from search_api.scan_answers import Statement
from search_api.scoring import EncodedScans
from search_api.sides import sides_of


class SideCheck:
    """Tells a sentence that places a finding on the other side than enough series show it on.

    A side has no score and no threshold: what a flag has is how often masks showed the wrong side. `allowed` is the
    share of right sides that may be flagged.
    """

    def __init__(self, encoder: Encoder, scans: EncodedScans, allowed: float) -> None:
        self._findings = {finding.name: finding for finding in encoder.findings}
        self._lesions = [one.lesions for one in scans.encodings if one.in_range]
        self._votes = _side_votes(encoder, scans, allowed)
        self._compared: set[tuple[int, str]] = set()

    @property
    def compared(self) -> frozenset[int]:
        """Numbers of the sentences whose side was compared."""
        return frozenset(number for number, _ in self._compared)

    @property
    def findings(self) -> frozenset[str]:
        """Names of the findings whose side was compared."""
        return frozenset(name for _, name in self._compared)

    def judge(self, sentence: Sentence, name: str) -> Statement | None:
        finding = self._findings.get(name)
        if finding is None or sentence.assertion is not Assertion.PRESENT:
            return None
        stated = sides_of([sentence.text])
        sides = [side_of(finding, lesions) for lesions in self._lesions]
        seen = [side for side in sides if side is not None]
        if self._votes is None or len(stated) != 1 or len({*seen}) != 1 or len(seen) < self._votes.votes:
            return None
        self._compared.add((sentence.number, name))
        if stated == {*seen}:
            return None
        return Statement(
            text=sentence.text,
            section=str(sentence.section),
            assertion=str(sentence.assertion),
            finding=name,
            title=finding.title,
            score=None,
            threshold=None,
            message=f"Flagged for review. The report says {next(iter(stated))}; "
            f"the scan shows {finding.title} on the {seen[0]}.",
            kind="side",
            false_alarms=_alarms(self._votes),
        )


def _side_votes(encoder: Encoder, scans: EncodedScans, allowed: float) -> SideVotes | None:
    """How many series must agree on a side; any one where the encoder was not measured."""
    if not isinstance(encoder, Bundle) or encoder.calibration_set is None or encoder.calibration_set.sides is None:
        return SideVotes(1, 0, 0)
    return encoder.calibration_set.side_votes(encoder.networks_of(scans.sequences), allowed)


def _alarms(votes: SideVotes) -> tuple[float, float, float] | None:
    """A right side is flagged where so many series show the other."""
    if not votes.n:
        return None
    low, high = wilson_interval(votes.wrong, votes.n)
    return round(votes.wrong / votes.n, 4), round(low, 4), round(high, 4)
