"""Errors put into the reports of phantoms, one kind each, to measure what a check of reports finds.

An error changes the facts that the report is written from, so that the text stays one that a radiologist could have
written; the scan stays as it was. Where two sections shall disagree, the report is made of two such texts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from training.phantoms.facts import Abnormality, Facts
from training.phantoms.reports import PhantomReport, write_report
from training.phantoms.scenario import draw_facts

_OTHER = 7_919  # seeds away: another phantom, whose abnormality or report is borrowed
_TRIES = 60
_SIDES = {"left": "right", "right": "left"}
_SEVERITIES = {"mild": "severe", "moderate": "severe", "severe": "mild"}

Error = Callable[[Facts, int], str | None]


def false_finding(facts: Facts, seed: int) -> str | None:
    """A finding is stated besides that the scan does not have."""
    for other in _others(seed):
        added = next((item for item in draw_facts(other).abnormalities if not item.incidental), None)
        if added is not None and added.finding is not None and added.finding not in facts.findings:
            return write_report(replace(facts, abnormalities=(*facts.abnormalities, added)), seed).text
    return None


def omission(facts: Facts, seed: int) -> str | None:
    """The chief abnormality is left out."""
    chief = _chief(facts, lambda item: not item.incidental)
    if chief is None:
        return None
    return write_report(replace(facts, abnormalities=_without(facts, chief)), seed).text


def wrong_side(facts: Facts, seed: int) -> str | None:
    """The chief abnormality is on the other side, throughout the report."""
    changed = _mirrored(facts)
    return None if changed is None else write_report(changed, seed).text


def wrong_severity(facts: Facts, seed: int) -> str | None:
    """What is mild is called severe, and the other way round."""
    graded = _chief(facts, lambda item: not item.incidental and item.severity in _SEVERITIES)
    if graded is None:
        return None
    changed = replace(graded, severity=_SEVERITIES[str(graded.severity)])
    text = write_report(replace(facts, abnormalities=_without(facts, graded, changed)), seed).text
    return None if text == write_report(facts, seed).text else text  # some sentences do not grade


def another_report(facts: Facts, seed: int) -> str | None:
    """The report of another phantom, with another diagnosis."""
    for other in _others(seed):
        borrowed = draw_facts(other)
        if borrowed.diagnosis != facts.diagnosis:
            return write_report(borrowed, other).text
    return None


def side_changes(facts: Facts, seed: int) -> str | None:
    """The impression names the other side than the findings do."""
    changed = _mirrored(facts)
    return None if changed is None else _two_texts(write_report(facts, seed), write_report(changed, seed))


def impression_denies(facts: Facts, seed: int) -> str | None:
    """The findings state the chief abnormality, the impression is that of a scan without it."""
    chief = _chief(facts, lambda item: not item.incidental)
    if chief is None:
        return None
    without = write_report(replace(facts, abnormalities=_without(facts, chief)), seed)
    return _two_texts(write_report(facts, seed), without)


ERRORS: Mapping[str, Error] = {
    "false finding": false_finding,
    "omission": omission,
    "wrong side": wrong_side,
    "wrong severity": wrong_severity,
    "another examination's report": another_report,
    "side changes between sections": side_changes,
    "impression of another scan": impression_denies,
}


def _two_texts(findings: PhantomReport, impression: PhantomReport) -> str:
    return f"FINDINGS:\n{findings.findings}\n\nIMPRESSION:\n{impression.impression}"


def _mirrored(facts: Facts) -> Facts | None:
    sided = _chief(facts, lambda item: not item.incidental and item.side in _SIDES)
    if sided is None:
        return None
    return replace(facts, abnormalities=_without(facts, sided, replace(sided, side=_SIDES[sided.side])))


def _chief(facts: Facts, fits: Callable[[Abnormality], bool]) -> Abnormality | None:
    return next((item for item in facts.abnormalities if fits(item)), None)


def _without(facts: Facts, item: Abnormality, instead: Abnormality | None = None) -> tuple[Abnormality, ...]:
    changed = (instead if one is item else one for one in facts.abnormalities)
    return tuple(one for one in changed if one is not None)


def _others(seed: int) -> range:
    return range(seed + _OTHER, seed + _OTHER + _TRIES)
