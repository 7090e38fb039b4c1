"""Errors put into reports, one kind each, to measure what a check of reports finds.

In the report of a phantom an error changes the facts that it is written from, so that the text stays one that a
radiologist could have written; the scan stays as it was. Where two sections shall disagree, the report is made of two
such texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

import numpy as np

from indexer.cases import Report, Section
from indexer.finding_words import stated_findings
from training.phantoms.facts import Abnormality, Facts
from training.phantoms.phrases import word_abnormality
from training.phantoms.reports import PhantomReport, write_report
from training.phantoms.scenario import draw_facts

_OTHER = 7_919  # seeds away: another phantom, whose abnormality or report is borrowed
_TRIES = 60
_SIDES = {"left": "right", "right": "left"}
_SEVERITIES = {"mild": "severe", "moderate": "severe", "severe": "mild"}
_GRADES = {**_SEVERITIES, "slight": "marked", "marked": "slight", "small": "large", "large": "small"}
_GRADE = re.compile(rf"\b(?:(?P<ml>\d+(?:\.\d+)?) ml|{'|'.join(_GRADES)})\b", re.IGNORECASE)
SMALL_ML = 20.0

Error = Callable[[Facts, int], str | None]


def false_finding(facts: Facts, seed: int) -> str | None:
    """A finding is stated besides that the scan does not have."""
    added = _borrowed(facts.findings, seed)
    if added is None:
        return None
    return write_report(replace(facts, abnormalities=(*facts.abnormalities, added)), seed).text


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


def errors_in(report: Report, seed: int) -> dict[str, str]:
    """A written report, of which no facts are known, with each kind of error that can be put into its text.

    A false finding is worded as a phantom's and stands behind what was written; a report that states nothing is that of
    a phantom with this alone. An omission leaves the report of a normal phantom. Of the severity, words and volumes are
    changed: one of less than SMALL_ML is ten times, another a tenth of what was written.
    """
    stated = frozenset(stated_findings(report))
    normal = replace(draw_facts(seed, share_normal=1.0), abnormalities=())
    changed = {"wrong severity": _GRADE.sub(_regraded, report.text)}
    if stated:
        changed["omission"] = write_report(normal, seed).text
    added = _borrowed(stated, seed)
    if added is not None:
        facts = replace(normal, abnormalities=(added,))
        changed["false finding"] = _added_to(report, facts, seed) if stated else write_report(facts, seed).text
    return {kind: changed[kind] for kind in ERRORS if changed.get(kind, report.text) != report.text}


def _added_to(report: Report, facts: Facts, seed: int) -> str:
    wording = word_abnormality(facts.abnormalities[0], facts, np.random.default_rng(seed))
    parts = dict(report.sections)
    findings = " ".join(filter(None, (parts.get(Section.FINDINGS), parts.get(Section.BODY), *wording.essential)))
    impression = " ".join(filter(None, (parts.get(Section.IMPRESSION), wording.impression)))
    return f"FINDINGS:\n{findings}\n\nIMPRESSION:\n{impression}"


def _regraded(found: re.Match[str]) -> str:
    if (volume := found["ml"]) is not None:
        return f"{float(volume) * (10 if float(volume) < SMALL_ML else 0.1):.1f} ml"
    word = found.group()
    other = _GRADES[word.lower()]
    return other.capitalize() if word[0].isupper() else other


def _borrowed(had: Collection[str], seed: int) -> Abnormality | None:
    """Another phantom's chief abnormality, of a finding that is not among those had."""
    for other in _others(seed):
        added = _chief(draw_facts(other), lambda item: not item.incidental)
        if added is not None and added.finding is not None and added.finding not in had:
            return added
    return None


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
