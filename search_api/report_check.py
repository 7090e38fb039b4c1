"""A provisional report against its scan: statements that the scan does not bear out, and findings left unmentioned.

Without a scan the report is compared with itself alone (`text_check`).

Specificity first: one report in twenty that is right may be flagged. Most of that share is divided among all that is
looked at, so that the thresholds grow stricter with the number of findings (Bonferroni): a finding that the report
denies or leaves out is brought up only above a threshold of high specificity, one that it states only below a threshold
of high sensitivity. The rest is for sides, which the lesion masks tell: where enough series agree, and how many that is
follows from how often they are wrong. Sentences and their assertions come from the indexer's reading of reports, scores
and thresholds from the encoder. Everything here is flagged for review.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from encoders.bundle import Encoder
from encoders.calibration import OperatingPoint
from encoders.findings import ABNORMAL, FindingScore
from encoders.volume import Volume
from indexer.body_parts import is_elsewhere
from indexer.cases import Assertion, Report, Section, Sentence
from indexer.finding_words import named_findings
from indexer.report_text import ReportError, make_report
from search_api.answers import Hit
from search_api.check_thresholds import look_again, own_thresholds, share_found
from search_api.precedents import Precedents
from search_api.query import QueryError
from search_api.report_scope import Scope, scope_of
from search_api.retrieval import SeriesQuery
from search_api.scan_answers import ReportCheck, Statement, Unmentioned
from search_api.scoring import EncodedScans, alone_or_with, encode_scans, only_brain
from search_api.side_check import SideCheck
from search_api.text_check import comparable, contradictions, cross_checked, denial_of_masses, says_normal

FALSE_ALARMS = 0.05  # the share of right reports that may be flagged
# Of that share: for what reports state, and for its side; the rest is for what they deny or leave out.
_OF_STATED, _OF_SIDES = 0.2, 0.2
Stating = tuple[tuple[str, ...], NDArray[np.float32] | None]
_STATING: WeakKeyDictionary[Encoder, dict[tuple[str, ...], Stating]] = WeakKeyDictionary()
_SECTIONS = frozenset({Section.FINDINGS, Section.IMPRESSION, Section.BODY})
# Cosine from which a sentence is taken for one of a finding's own sentences, where no word of it names a finding.
_SAME_SENTENCE = 0.85


def check(
    encoder: Encoder,
    volumes: Sequence[Volume],
    text: str,
    look_up: Callable[[Sequence[SeriesQuery]], Precedents] | None = None,
) -> ReportCheck:
    """Compare a report's statements with the scores of its scan, and with each other; without a scan the latter only.

    `look_up` gives the cases of an index that lie near to the scan.

    Raises
    ------
    QueryError
        `empty_report`, `bad_report`, `too_large`, `too_many_scans`
    EncodingError
        a series whose MR sequence is unknown or has no network; `not_brain_mri`
    """
    report = read_report(text)
    scans = only_brain(encode_scans(encoder, volumes)) if volumes else None
    precedents = look_up(scans.series) if look_up and scans else None
    return check_against(encoder, scans, report, precedents)


def check_against(
    encoder: Encoder, scans: EncodedScans | None, report: Report, precedents: Precedents | None = None
) -> ReportCheck:
    """`check` with scans that were encoded before; with `precedents`, cases for each flag."""
    scope = scope_of(report)
    if scope.outside is not None:
        return _of_nothing(encoder, scans, scope)
    if scans is None:
        return _of_text_alone(encoder, scope)
    report = scope.report
    measured = [score.finding for score in scans.findings if score.threshold is not None]
    likely = _Likeness(encoder, measured)
    named = [(sentence, name) for sentence in report.sentences for name in _findings_of(likely, sentence)]
    stated = {name for sentence, name in named if sentence.assertion is Assertion.PRESENT} & set(measured)
    specific, sensitive = (
        {one.finding: one for one in scans.scores(encoder, point)} for point in _points(len(measured), len(stated))
    )
    sides = SideCheck(encoder, scans, _OF_SIDES * FALSE_ALARMS)
    statements = _flagged(named, specific, sensitive, sides)
    mentioned = {name for _, name in named}
    unmentioned = _unmentioned(_broad(encoder, specific), mentioned)
    if precedents is not None:
        statements = [replace(one, similar=_siding(precedents, one)) for one in statements]
        unmentioned = [replace(one, similar=precedents.having(one.finding)) for one in unmentioned]
    speaking = cross_checked(report)
    compared = {sentence.number for sentence, name in named if name in measured} | sides.compared
    return ReportCheck(
        statements=tuple(statements),
        unmentioned=tuple(unmentioned),
        findings=scans.findings,
        checked=len(compared),
        encoder_id=encoder.encoder_id,
        milliseconds=0.0,
        notices=(
            *scans.notices,
            *scope.notices,
            *_not_compared(encoder, scans, [name for _, name in named], measured, sides.findings),
            *_unread(report, bool(named)),
        ),
        contradictions=contradictions(report, encoder.findings),
        cross_checked=len(speaking),
        thresholds=own_thresholds(specific, sensitive, stated) if measured else (),
        finds=share_found(specific) if measured else None,
        look_again=look_again(
            scans.findings,
            specific,
            named,
            {one.name for one in encoder.findings if one.kind_of},
            denial_of_masses(report),
        ),
    )


def _points(measured: int, stated: int) -> tuple[OperatingPoint, OperatingPoint]:
    """Of what reports deny or leave out, of so many findings, and of what they state of so many."""
    allowed = {
        "specificity": (1 - _OF_STATED - _OF_SIDES) * FALSE_ALARMS / max(measured, 1),
        "sensitivity": _OF_STATED * FALSE_ALARMS / max(stated, 1),
    }
    specific, sensitive = (OperatingPoint(aim, 1 - share) for aim, share in allowed.items())
    return specific, sensitive


def _flagged(
    named: Sequence[tuple[Sentence, str]],
    specific: Mapping[str, FindingScore],
    sensitive: Mapping[str, FindingScore],
    sides: SideCheck,
) -> list[Statement]:
    """A finding that several sentences state is flagged once, and a sentence once for its side.

    Its side is rather that of a finding with a threshold: what comes with it (oedema) lies where it lies.
    """
    flagged: dict[tuple[str, str], Statement] = {}
    sided: dict[int, Statement] = {}
    for sentence, name in named:
        score = specific.get(name)
        found = _judge(sentence, score, sensitive.get(name))
        if found is not None:
            flagged.setdefault((name, found.kind), found)
            continue
        found = sides.judge(sentence, name)
        if found is not None and (sentence.number not in sided or _of_known(score, specific, sided[sentence.number])):
            sided[sentence.number] = found
    for found in sided.values():
        flagged.setdefault((found.finding, found.kind), found)
    return list(flagged.values())


def _of_known(score: FindingScore | None, scores: Mapping[str, FindingScore], before: Statement) -> bool:
    """Whether a finding has a threshold, and that of a flag before has none."""
    other = scores.get(before.finding)
    return score is not None and score.threshold is not None and (other is None or other.threshold is None)


def _siding(precedents: Precedents, flag: Statement) -> tuple[Hit, ...]:
    return precedents.lacking(flag.finding) if flag.kind == "stated" else precedents.having(flag.finding)


def _not_compared(
    encoder: Encoder, scans: EncodedScans, named: Sequence[str], measured: Sequence[str], sided: frozenset[str]
) -> list[str]:
    """What of the report's findings has no threshold for the scan; `sided` were compared by their side."""
    if scans.unscored is not None:
        return [f"Nothing could be compared with the scan: {scans.unscored}."]
    if not measured:
        which = alone_or_with(scans.sequences)
        return [f"No finding has a threshold for {which}: nothing could be compared with the scan."]
    known = {finding.name: finding.title for finding in encoder.findings}
    names = [name for name in dict.fromkeys(named) if name not in measured]
    titles = {name: known.get(name, name.replace("_", " ")) for name in names}
    told = []
    if alone := [titles[name] for name in names if name in sided]:
        told.append(f"Compared by its side alone, since the scan has no threshold for it: {', '.join(alone)}.")
    if rest := [titles[name] for name in names if name not in sided]:
        told.append(f"Not compared, since the scan has no threshold for it: {', '.join(rest)}.")
    return told


def _of_nothing(encoder: Encoder, scans: EncodedScans | None, scope: Scope) -> ReportCheck:
    return ReportCheck(
        statements=(),
        unmentioned=(),
        findings=scans.findings if scans else (),
        checked=0,
        encoder_id=encoder.encoder_id,
        milliseconds=0.0,
        notices=(*(scans.notices if scans else ()), *scope.notices),
        outside=scope.outside,
    )


def _of_text_alone(encoder: Encoder, scope: Scope) -> ReportCheck:
    report = scope.report
    speaking = cross_checked(report)
    named = bool(speaking) or any(named_findings(sentence) for sentence in report.sentences)
    told = ["No scan was given: only whether findings and impression agree with each other was looked at."]
    if named and not comparable(report):
        told.append("Findings and an impression were not told apart by their headings: nothing could be compared.")
    return ReportCheck(
        statements=(),
        unmentioned=(),
        findings=(),
        checked=len(speaking),
        encoder_id=encoder.encoder_id,
        milliseconds=0.0,
        notices=(*told, *scope.notices, *_unread(report, named)),
        contradictions=contradictions(report, encoder.findings),
        cross_checked=len(speaking),
    )


def _unread(report: Report, named: bool) -> tuple[str, ...]:
    """Said of a text that names no finding and calls nothing normal."""
    if named or cross_checked(report) or any(says_normal(sentence) for sentence in report.sentences):
        return ()
    return ("The text names no finding that is known here: is it an English report of a brain MRI?",)


def read_report(text: str) -> Report:
    """Raises QueryError `empty_report`, `bad_report`, `too_large`."""
    try:
        report = make_report({}, text)
    except ReportError as error:
        if error.code == "report_too_long":
            raise QueryError("too_large", str(error), "Give the report of one examination.") from error
        raise QueryError("bad_report", str(error), "Give the report as plain text.") from error
    if report is None:
        raise QueryError("empty_report", "The report is empty", "Give the report's text.")
    return report


def _findings_of(likely: _Likeness, sentence: Sentence) -> tuple[str, ...]:
    """The findings that a sentence is about, by its words, else by likeness to the findings' own sentences."""
    if sentence.section not in _SECTIONS or is_elsewhere(sentence.text):
        return ()
    if says_normal(sentence):
        return (ABNORMAL,)
    return named_findings(sentence) or likely.finding_of(sentence.text)


class _Likeness:
    """Tells which finding a sentence states that names none: that of which a stating sentence is nearly this one."""

    def __init__(self, encoder: Encoder, names: Sequence[str]) -> None:
        self._encoder = encoder
        self._names, self._vectors = _stating(encoder, tuple(names))

    def finding_of(self, text: str) -> tuple[str, ...]:
        if self._vectors is None:
            return ()
        likeness = self._vectors @ self._encoder.encode_texts([text])[0]
        best = int(likeness.argmax())
        return (self._names[best],) if likeness[best] >= _SAME_SENTENCE else ()


def _stating(encoder: Encoder, names: tuple[str, ...]) -> Stating:
    """The findings' stating sentences as vectors (N, D), each with its finding's name; worked out once an encoder."""
    known = _STATING.setdefault(encoder, {})
    if names not in known:
        findings = [finding for finding in encoder.findings if finding.name in names and finding.name != ABNORMAL]
        texts = [(finding.name, text) for finding in findings for text in finding.present]
        vectors = encoder.encode_texts([text for _, text in texts]) if texts else None
        known[names] = tuple(name for name, _ in texts), vectors
    return known[names]


def _judge(sentence: Sentence, specific: FindingScore | None, sensitive: FindingScore | None) -> Statement | None:
    """The statement as one to look at again, or None where the scan does not speak against it."""
    if specific is None or sensitive is None or specific.threshold is None or sensitive.threshold is None:
        return None
    denied = sentence.assertion is Assertion.ABSENT or says_normal(sentence)
    if denied and specific.score >= specific.threshold:
        message = f"The report denies it; the scan's score for {specific.title} is above the check's threshold."
        return _statement(sentence, specific, "denied", message)
    if not denied and sentence.assertion is Assertion.PRESENT and sensitive.score < sensitive.threshold:
        message = f"The report states it; the scan's score for {sensitive.title} is below the check's threshold."
        return _statement(sentence, sensitive, "stated", message)
    return None


def _statement(sentence: Sentence, score: FindingScore, kind: Literal["stated", "denied"], message: str) -> Statement:
    return Statement(
        text=sentence.text,
        section=str(sentence.section),
        assertion=str(sentence.assertion),
        finding=score.finding,
        title=score.title,
        score=round(score.score, 4),
        threshold=round(float(score.threshold or 0.0), 4),
        message=f"Flagged for review. {message}",
        kind=kind,
        false_alarms=_false_alarms(score, kind),
    )


def _false_alarms(score: FindingScore, kind: str) -> tuple[float, float, float] | None:
    """A denial is flagged wrongly where the finding is not there, a statement where it is."""
    if score.measured is None:
        return None
    denied = kind == "denied"
    share = score.measured.specificity if denied else score.measured.sensitivity
    low, high = score.measured.specificity_interval if denied else score.measured.sensitivity_interval
    return round(1 - share, 4), round(1 - high, 4), round(1 - low, 4)


def _broad(encoder: Encoder, scores: Mapping[str, FindingScore]) -> tuple[FindingScore, ...]:
    """The scores of findings that are no kind of another: who mentions an infarct need not say how old it is."""
    return tuple(
        scores[finding.name] for finding in encoder.findings if finding.kind_of is None and finding.name in scores
    )


def _unmentioned(findings: Sequence[FindingScore], mentioned: set[str]) -> list[Unmentioned]:
    return [
        Unmentioned(
            finding=finding.finding,
            title=finding.title,
            score=round(finding.score, 4),
            threshold=round(finding.threshold, 4),
            message=f"Flagged for review. The report says nothing of {finding.title}.",
            false_alarms=_false_alarms(finding, "denied"),
        )
        for finding in findings
        if finding.threshold is not None
        and finding.score >= finding.threshold
        and finding.finding not in mentioned
        and finding.finding != ABNORMAL
    ]
