"""A provisional report against its scan: statements that the scan does not bear out, and findings left unmentioned.

Specificity first: one report in twenty that is right may be flagged. That share is divided among all that is looked at,
so that the thresholds grow stricter with the number of findings (Bonferroni): a finding that the report denies or
leaves out is brought up only above a threshold of high specificity, one that it states only below a threshold of high
sensitivity. Sentences and their assertions come from the indexer's reading of reports, scores and thresholds from the
encoder. Everything here is flagged for review.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from encoders.bundle import Encoder
from encoders.calibration import OperatingPoint
from encoders.findings import ABNORMAL, FindingScore
from encoders.volume import Volume
from indexer.cases import Assertion, Report, Section, Sentence
from indexer.finding_words import stated_findings
from indexer.report_text import ReportError, make_report
from search_api.answers import ReportCheck, Statement, Unmentioned
from search_api.asks import Asks
from search_api.query import QueryError, understand
from search_api.scoring import encode_scans, only_brain

FALSE_ALARMS = 0.05  # the share of right reports that may be flagged
_OF_STATED = 0.2  # of that share: for what reports state; the rest is for what they deny or leave out
_SECTIONS = frozenset({Section.FINDINGS, Section.IMPRESSION, Section.BODY})
# Cosine from which a sentence is taken for one of a finding's own sentences, where no word of it names a finding.
_SAME_SENTENCE = 0.85


def check(encoder: Encoder, volumes: Sequence[Volume], text: str) -> ReportCheck:
    """Compare a report's statements with the scores of its scan.

    Raises
    ------
    QueryError
        `empty_report`, `bad_report`, `no_scans`, `too_many_scans`
    EncodingError
        a series whose MR sequence is unknown or has no network; `not_brain_mri`
    """
    report = _read(text)
    scans = only_brain(encode_scans(encoder, volumes))
    measured = [score.finding for score in scans.findings if score.threshold is not None]
    likely = _Likeness(encoder, measured)
    named = [(sentence, name) for sentence in report.sentences for name in _findings_of(likely, sentence)]
    stated = {name for sentence, name in named if sentence.assertion is Assertion.PRESENT} & set(measured)
    specific, sensitive = (
        {score.finding: score for score in encoder.score(scans.embedding, OperatingPoint(aim, 1 - share))}
        for aim, share in (
            ("specificity", (1 - _OF_STATED) * FALSE_ALARMS / max(len(measured), 1)),
            ("sensitivity", _OF_STATED * FALSE_ALARMS / max(len(stated), 1)),
        )
    )
    statements = [
        statement
        for sentence, name in named
        if (statement := _judge(sentence, specific.get(name), sensitive.get(name))) is not None
    ]
    mentioned = {name for _, name in named}
    notices = list(scans.notices)
    if all(score.threshold is None for score in specific.values()):
        notices.append("Nothing was measured for this encoder: without thresholds nothing can be flagged.")
    return ReportCheck(
        statements=tuple(statements),
        unmentioned=tuple(_unmentioned(_broad(encoder, specific), mentioned)),
        findings=scans.findings,
        checked=len({sentence.number for sentence, _ in named}),
        encoder_id=encoder.encoder_id,
        milliseconds=0.0,
        notices=tuple(notices),
    )


def _read(text: str) -> Report:
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
    if _says_normal(sentence):
        return (ABNORMAL,)
    stated = replace(sentence, assertion=Assertion.PRESENT)
    by_words = tuple(name for name in stated_findings(Report("", (), (stated,))) if name != ABNORMAL)
    return by_words or likely.finding_of(sentence.text)


class _Likeness:
    """Tells which finding a sentence states that names none: that of which a stating sentence is nearly this one."""

    def __init__(self, encoder: Encoder, names: Sequence[str]) -> None:
        findings = [finding for finding in encoder.findings if finding.name in names and finding.name != ABNORMAL]
        texts = [(finding.name, text) for finding in findings for text in finding.present]
        self._encoder = encoder
        self._names = tuple(name for name, _ in texts)
        self._vectors = encoder.encode_texts([text for _, text in texts]) if texts else None

    def finding_of(self, text: str) -> tuple[str, ...]:
        if self._vectors is None:
            return ()
        likeness = self._vectors @ self._encoder.encode_texts([text])[0]
        best = int(likeness.argmax())
        return (self._names[best],) if likeness[best] >= _SAME_SENTENCE else ()


def _says_normal(sentence: Sentence) -> bool:
    """Whether the sentence calls the whole examination normal, as "Normal study" does."""
    try:
        query = understand(sentence.text[:2_000])
    except QueryError:
        return False
    return [concept.asks for concept in query.concepts] == [Asks.NORMAL] and (
        "asks for a normal examination" in query.expanded
    )


def _judge(sentence: Sentence, specific: FindingScore | None, sensitive: FindingScore | None) -> Statement | None:
    """The statement as one to look at again, or None where the scan does not speak against it."""
    if specific is None or sensitive is None or specific.threshold is None or sensitive.threshold is None:
        return None
    denied = sentence.assertion is Assertion.ABSENT or _says_normal(sentence)
    if denied and specific.score >= specific.threshold:
        score, message = (
            specific,
            f"The report denies it; the scan's score for {specific.title} is above the threshold.",
        )
    elif not denied and sentence.assertion is Assertion.PRESENT and sensitive.score < sensitive.threshold:
        score, message = (
            sensitive,
            f"The report states it; the scan's score for {sensitive.title} is below the threshold.",
        )
    else:
        return None
    return Statement(
        text=sentence.text,
        section=str(sentence.section),
        assertion=str(sentence.assertion),
        finding=score.finding,
        title=score.title,
        score=round(score.score, 4),
        threshold=round(float(score.threshold or 0.0), 4),
        message=f"Flagged for review. {message}",
    )


def _broad(encoder: Encoder, scores: Mapping[str, FindingScore]) -> tuple[FindingScore, ...]:
    """The scores of findings that are no kind of another: who mentions an infarct need not say how old it is."""
    return tuple(scores[finding.name] for finding in encoder.findings if finding.kind_of is None)


def _unmentioned(findings: Sequence[FindingScore], mentioned: set[str]) -> list[Unmentioned]:
    return [
        Unmentioned(
            finding=finding.finding,
            title=finding.title,
            score=round(finding.score, 4),
            threshold=round(finding.threshold, 4),
            message=f"Flagged for review. The report says nothing of {finding.title}.",
        )
        for finding in findings
        if finding.threshold is not None
        and finding.score >= finding.threshold
        and finding.finding not in mentioned
        and finding.finding != ABNORMAL
    ]
