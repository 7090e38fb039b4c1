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

from encoders.bundle import Bundle, Encoder
from encoders.calibration import OperatingPoint, wilson_interval
from encoders.explain import side_of
from encoders.findings import ABNORMAL, FindingScore
from encoders.seen_sides import SideVotes
from encoders.volume import Volume
from indexer.cases import Assertion, Report, Section, Sentence
from indexer.finding_words import named_findings
from indexer.report_text import ReportError, make_report
from search_api.precedents import Precedents
from search_api.query import QueryError
from search_api.retrieval import SeriesQuery
from search_api.scan_answers import ReportCheck, Statement, Unmentioned
from search_api.scoring import EncodedScans, alone_or_with, encode_scans, only_brain
from search_api.sides import sides_of
from search_api.text_check import comparable, contradictions, says_normal

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
        `empty_report`, `bad_report`, `too_many_scans`
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
    if scans is None:
        return _of_text_alone(encoder, report)
    measured = [score.finding for score in scans.findings if score.threshold is not None]
    likely = _Likeness(encoder, measured)
    named = [(sentence, name) for sentence in report.sentences for name in _findings_of(likely, sentence)]
    stated = {name for sentence, name in named if sentence.assertion is Assertion.PRESENT} & set(measured)
    allowed = {
        "specificity": (1 - _OF_STATED - _OF_SIDES) * FALSE_ALARMS / max(len(measured), 1),
        "sensitivity": _OF_STATED * FALSE_ALARMS / max(len(stated), 1),
    }
    points = [OperatingPoint(aim, 1 - share) for aim, share in allowed.items()]
    specific, sensitive = ({one.finding: one for one in scans.scores(encoder, point)} for point in points)
    sides = _Sides(encoder, scans)
    flagged: dict[tuple[str, str], Statement] = {}
    for sentence, name in named:
        found = _judge(sentence, specific.get(name), sensitive.get(name)) or sides.judge(sentence, specific.get(name))
        if found is not None:
            flagged.setdefault((name, found.kind), found)  # a finding that several sentences state is flagged once
    statements = list(flagged.values())
    mentioned = {name for _, name in named}
    unmentioned = _unmentioned(_broad(encoder, specific), mentioned)
    if precedents is not None:
        statements = [
            replace(
                one,
                similar=precedents.having(one.finding) if one.kind != "stated" else precedents.lacking(one.finding),
            )
            for one in statements
        ]
        unmentioned = [replace(one, similar=precedents.having(one.finding)) for one in unmentioned]
    return ReportCheck(
        statements=tuple(statements),
        unmentioned=tuple(unmentioned),
        findings=scans.findings,
        checked=len({sentence.number for sentence, name in named if name in measured}),
        encoder_id=encoder.encoder_id,
        milliseconds=0.0,
        notices=(*scans.notices, *_not_compared(encoder, scans, named, measured), *_unread(report, bool(named))),
        contradictions=contradictions(report, encoder.findings),
    )


def _not_compared(
    encoder: Encoder, scans: EncodedScans, named: Sequence[tuple[Sentence, str]], measured: Sequence[str]
) -> list[str]:
    """What of the report's findings has no threshold for the scan."""
    if scans.unscored is not None:
        return [f"Nothing could be compared with the scan: {scans.unscored}."]
    if not measured:
        which = alone_or_with(scans.sequences)
        return [f"No finding has a threshold for {which}: nothing could be compared with the scan."]
    known = {finding.name: finding.title for finding in encoder.findings}
    names = dict.fromkeys(name for _, name in named)
    titles = [known.get(name, name.replace("_", " ")) for name in names if name not in measured]
    return [f"Not compared, since the scan has no threshold for it: {', '.join(titles)}."] if titles else []


def _of_text_alone(encoder: Encoder, report: Report) -> ReportCheck:
    named = {sentence.number for sentence in report.sentences if named_findings(sentence)}
    told = ["No scan was given: only whether findings and impression agree with each other was looked at."]
    if named and not comparable(report):
        told.append("Findings and an impression were not told apart by their headings: nothing could be compared.")
    return ReportCheck(
        statements=(),
        unmentioned=(),
        findings=(),
        checked=len(named) if comparable(report) else 0,
        encoder_id=encoder.encoder_id,
        milliseconds=0.0,
        notices=(*told, *_unread(report, bool(named))),
        contradictions=contradictions(report, encoder.findings),
    )


def _unread(report: Report, named: bool) -> tuple[str, ...]:
    """Said of a text that names no finding: it may be in another language, or of another part of the body."""
    if named or any(says_normal(sentence) for sentence in report.sentences):
        return ()
    return ("The text names no finding that is known here: is it an English report of a brain MRI?",)


def read_report(text: str) -> Report:
    """Raises QueryError `empty_report`, `bad_report`."""
    try:
        report = make_report({}, text)
    except ReportError as error:
        raise QueryError("bad_report", str(error), "Give the report as plain text.") from error
    if report is None:
        raise QueryError("empty_report", "The report is empty", "Give the report's text.")
    return report


def _findings_of(likely: _Likeness, sentence: Sentence) -> tuple[str, ...]:
    """The findings that a sentence is about, by its words, else by likeness to the findings' own sentences."""
    if sentence.section not in _SECTIONS:
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
        message = f"The report denies it; the scan's score for {specific.title} is above the threshold."
        return _statement(sentence, specific, "denied", message, _false_alarms(specific, "denied"))
    if not denied and sentence.assertion is Assertion.PRESENT and sensitive.score < sensitive.threshold:
        message = f"The report states it; the scan's score for {sensitive.title} is below the threshold."
        return _statement(sentence, sensitive, "stated", message, _false_alarms(sensitive, "stated"))
    return None


class _Sides:
    """Tells a sentence that places a finding on the other side than enough series show it on."""

    def __init__(self, encoder: Encoder, scans: EncodedScans) -> None:
        self._findings = {finding.name: finding for finding in encoder.findings}
        self._lesions = [one.lesions for one in scans.encodings if one.in_range]
        self._votes = _side_votes(encoder, scans)

    def judge(self, sentence: Sentence, score: FindingScore | None) -> Statement | None:
        if score is None or sentence.assertion is not Assertion.PRESENT:
            return None
        stated = sides_of([sentence.text])
        sides = [side_of(self._findings[score.finding], lesions) for lesions in self._lesions]
        seen = [side for side in sides if side is not None]
        if self._votes is None or len(stated) != 1 or len({*seen}) != 1 or stated == {*seen}:
            return None
        if len(seen) < self._votes.votes:
            return None
        message = f"The report says {next(iter(stated))}; the scan shows {score.title} on the {seen[0]}."
        return _statement(sentence, score, "side", message, _alarms(self._votes))


def _statement(
    sentence: Sentence,
    score: FindingScore,
    kind: Literal["stated", "denied", "side"],
    message: str,
    false_alarms: tuple[float, float, float] | None,
) -> Statement:
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
        false_alarms=false_alarms,
    )


def _false_alarms(score: FindingScore, kind: str) -> tuple[float, float, float] | None:
    """A denial is flagged wrongly where the finding is not there, a statement where it is."""
    if score.measured is None:
        return None
    denied = kind == "denied"
    share = score.measured.specificity if denied else score.measured.sensitivity
    low, high = score.measured.specificity_interval if denied else score.measured.sensitivity_interval
    return _rounded(1 - share, (1 - high, 1 - low))


def _side_votes(encoder: Encoder, scans: EncodedScans) -> SideVotes | None:
    """How many series must agree on a side; any one where the encoder was not measured."""
    if not isinstance(encoder, Bundle) or encoder.calibration_set is None or encoder.calibration_set.sides is None:
        return SideVotes(1, 0, 0)
    allowed = _OF_SIDES * FALSE_ALARMS
    return encoder.calibration_set.side_votes(encoder.networks_of(scans.sequences), allowed)


def _alarms(votes: SideVotes) -> tuple[float, float, float] | None:
    """A right side is flagged where so many series show the other."""
    return _rounded(votes.wrong / votes.n, wilson_interval(votes.wrong, votes.n)) if votes.n else None


def _rounded(share: float, interval: tuple[float, float]) -> tuple[float, float, float]:
    low, high = interval
    return round(share, 4), round(low, 4), round(high, 4)


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
