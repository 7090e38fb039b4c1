"""Answers for people at a command line: tables on a terminal, plain lines where the output goes elsewhere.

JSON is left to the answers themselves.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from encoders.findings import FindingScore
from search_api import answers, figures, scan_answers

_CONTROL = dict.fromkeys((*range(32), *range(127, 160)))


def answer(found: answers.Answer) -> None:
    for line in found.expanded:
        typer.echo(f"Understood: {plain(line)}")
    _notices(found.notices)
    if not found.good_match:
        typer.echo("No good match: what follows is merely nearest.")
    first = (found.page - 1) * found.k + 1
    shown = f"cases {first} to {first + len(found.hits) - 1}" if found.hits else "no case on this page"
    typer.echo(f"{found.total} cases pass the filters; {shown}, generation {found.generation}")
    rows = [
        (
            str(hit.rank),
            f"{hit.score:.3f}",
            hit.key,
            _person(hit.examination),
            hit.examination.diagnosis or "",
            ", ".join(hit.examination.sequences),
            ("same person; " if hit.same_participant else "") + _evidence(hit.evidence),
        )
        for hit in found.hits
    ]
    _table(("rank", "score", "key", "participant", "diagnosis", "sequences", "evidence"), rows)
    if found.findings:
        _findings(found.findings)
    typer.echo(answers.BANNER)


def score_report(report: scan_answers.ScoreReport) -> None:
    _notices(report.notices)
    if report.unscored is not None:
        typer.echo(f"No finding is scored: {plain(report.unscored)}.")
    _findings(report.findings)
    if untold := figures.without_calibration(report.not_calibrated):
        typer.echo(untold)
    rows = [
        (
            plain(one.sentence),
            f"{one.similarity:.3f}",
            "" if one.above_normal is None else f"above {one.above_normal:.0%} of {one.n} normal {one.data}",
            plain(one.note or ""),
        )
        for one in report.asked
    ]
    if rows:
        _table(("sentence", "cosine", "where it was measured", "note"), rows)
    typer.echo(answers.BANNER)


def worklist(listed: scan_answers.Worklist) -> None:
    _notices(listed.notices)
    typer.echo(f"{listed.total} examinations without a report{_threshold_of(listed)}")
    _entries("", [one for one in listed.entries if one.group == "scored"])
    _entries(
        "Without a threshold, in an order of their own:", [one for one in listed.entries if one.group == "no_threshold"]
    )
    left = [one for one in listed.entries if one.group == "not_scored"]
    if left:
        typer.echo("Cannot be scored:")
        rows = [(str(one.rank), one.key, _person(one.examination), one.why or "") for one in left]
        _table(("rank", "key", "participant", "why"), rows)
    reasons = [reason.measured for entry in listed.entries for reason in entry.reasons]
    if said := figures.measured_on([*(entry.measured for entry in listed.entries), *reasons]):
        typer.echo(said)
    typer.echo(answers.BANNER)


def _threshold_of(listed: scan_answers.Worklist) -> str:
    points = dict.fromkeys(one.operating_point for one in listed.entries if one.operating_point is not None)
    point = listed.operating_point or ", ".join(points)
    if listed.threshold is not None:
        return f", threshold {listed.threshold:.3f} ({point})"
    if any(entry.threshold is not None for entry in listed.entries):
        return f", thresholds at {point}, by MR sequences"
    return f", no threshold at {point}" if point else ""


def _entries(heading: str, entries: Sequence[scan_answers.TriageEntry]) -> None:
    """Entries that have a score or an order; those without a threshold with the reason why they have none."""
    if not entries:
        return
    if heading:
        typer.echo(heading)
    rows = [
        (
            str(entry.rank),
            figures.score_of_threshold(entry.score, entry.threshold),
            "flagged for review" if entry.flagged else entry.why or "",
            figures.figures(entry.measured),
            figures.predictive(entry.predictive_values, entry.flagged),
            entry.key,
            _person(entry.examination),
            "; ".join(
                f"{one.title} {figures.score_of_threshold(one.score, one.threshold)}"
                + (f" ({figures.figures(one.measured)})" if one.measured else "")
                for one in entry.reasons
            ),
        )
        for entry in entries
    ]
    columns = ("rank", "score / threshold", "", "measured", "predictive value", "key", "participant", "reasons")
    _table(columns, rows)


def suggestions(suggested: scan_answers.Suggestions) -> None:
    _notices(suggested.notices)
    for one in suggested.suggestions:
        typer.echo(f"{one.rank}. {one.sentence}")
        known = figures.figures(one.score.measured)
        told = figures.score_of_threshold(one.score.score, one.score.threshold)
        typer.echo(f"   score / threshold {told} ({one.score.operating_point})" + (f", {known}" if known else ""))
        if one.place is not None:
            x, y, z = one.place.millimetres
            typer.echo(f"   series {one.place.series} ({one.place.sequence}), {x:.0f} {y:.0f} {z:.0f} mm")
        for hits, told in ((one.similar, "similar, with it"), (one.look_alike, "similar, without it")):
            typer.echo(f"   {told}: {', '.join(map(_called, hits)) or 'none'}")
    if said := figures.measured_on(one.score.measured for one in suggested.suggestions):
        typer.echo(said)
    typer.echo(answers.BANNER)


def _called(hit: answers.Hit) -> str:
    return f"{_person(hit.examination)} [{hit.key}] {hit.score:.2f}"


def report_check(checked: scan_answers.ReportCheck) -> None:
    _notices(checked.notices)
    if checked.outside is not None:
        typer.echo("Nothing could be compared.")
        typer.echo(answers.BANNER)
        return
    if checked.findings:
        typer.echo(f"{_count(checked.checked, 'statement')} compared with the scan's scores")
    typer.echo(f"{_count(checked.cross_checked, 'statement')} of findings and impression compared with each other")
    _check_flags(checked)
    typer.echo(_check_verdict(checked))
    _look_again(checked)
    _check_thresholds(checked)
    typer.echo(answers.BANNER)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _check_flags(checked: scan_answers.ReportCheck) -> None:
    _table(
        ("statement", "finding", "score", "threshold", ""),
        [
            (s.text, s.title, _number(s.score), _number(s.threshold), f"{s.message}{_alarms(s.false_alarms)}")
            for s in checked.statements
        ],
    )
    _table(
        ("unmentioned finding", "score", "threshold", ""),
        [
            (u.title, _number(u.score), _number(u.threshold), f"{u.message}{_alarms(u.false_alarms)}")
            for u in checked.unmentioned
        ],
    )
    _table(
        ("contradiction", "first", "second", ""),
        [(one.title, one.first, one.second, one.message) for one in checked.contradictions],
    )
    flagged = [(one.title, one.similar) for one in checked.statements]
    flagged += [(one.title, one.similar) for one in checked.unmentioned]
    for title, similar in flagged:
        if similar:
            typer.echo(f"cases that side with the scan, {title}: {', '.join(map(_called, similar))}")


def _check_verdict(checked: scan_answers.ReportCheck) -> str:
    flags = len(checked.statements) + len(checked.unmentioned) + len(checked.contradictions)
    if flags:
        said = f"{_count(flags, 'flag')} for review."
    elif not checked.checked and not checked.cross_checked:
        return "Nothing could be compared."
    elif checked.findings and checked.thresholds:
        said = f"Nothing flagged at the check's thresholds: of {_count(checked.checked, 'statement')} compared, none."
    else:
        said = "No contradiction between findings and impression was found."
    if checked.finds is None:
        return said
    mean, low, high = checked.finds
    return (
        f"{said} The thresholds are chosen for few false alarms: a finding that is there, and denied or left out, is "
        f"brought up in {mean:.0%} of the examinations (mean of the findings; {low:.0%} to {high:.0%})."
    )


def _look_again(checked: scan_answers.ReportCheck) -> None:
    if checked.look_again:
        typer.echo("To look at again, not flagged:")
    _table(
        ("finding", "report", "score", "screening threshold", "check's threshold", "screening measured"),
        [
            (
                one.title,
                one.text or "not mentioned",
                _number(one.score),
                _number(one.threshold),
                _number(one.check_threshold),
                figures.figures(one.measured),
            )
            for one in checked.look_again
        ],
    )


def _check_thresholds(checked: scan_answers.ReportCheck) -> None:
    if checked.thresholds:
        data = dict.fromkeys(one.measured.data for one in checked.thresholds if one.measured is not None)
        typer.echo(f"The check's own thresholds, measured on: {'; '.join(data)}")
    uses = {"denied": "denied or left out, from", "stated": "stated, below"}
    _table(
        ("finding", "flagged where", "threshold", "operating point", "measured"),
        [
            (one.title, uses[one.use], _number(one.threshold), one.operating_point or "", figures.figures(one.measured))
            for one in checked.thresholds
        ],
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _alarms(measured: tuple[float, float, float] | None) -> str:
    """How often what is right was flagged so where that was measured."""
    if measured is None:
        return ""
    share, low, high = measured
    return f" False alarms where measured: {share:.1%} ({low:.1%}-{high:.1%})."


def plain(text: str) -> str:
    """Text without control characters, so that a report cannot steer the terminal."""
    return text.translate(_CONTROL)


def _findings(findings: Sequence[FindingScore]) -> None:
    """Those with a threshold, then in a sentence each reason why others have none."""
    rows = [
        (
            finding.title,
            f"{finding.score:.3f}",
            f"{finding.threshold:.3f}",
            "flagged for review" if finding.flagged else "",
            finding.operating_point or "",
            figures.figures(finding.measured),
        )
        for finding in findings
        if finding.threshold is not None
    ]
    _table(("finding", "score", "threshold", "", "operating point", "measured"), rows)
    for sentence in figures.without_threshold(findings):
        typer.echo(sentence)
    if said := figures.measured_on(finding.measured for finding in findings):
        typer.echo(said)


def _notices(notices: Sequence[str]) -> None:
    for notice in notices:
        typer.echo(f"Note: {plain(notice)}")


def _person(examination: answers.ExaminationSummary) -> str:
    return " ".join(part for part in (examination.participant, examination.session) if part)


def _evidence(evidence: Sequence[answers.Evidence]) -> str:
    """The two pieces that count most, in a few words each."""
    parts = []
    for item in evidence[:2]:
        what = f'"{item.text}"' if item.text else item.sequence or item.kind
        parts.append(f"{item.kind} {item.score:.2f} {what}" if what != item.kind else f"{item.kind} {item.score:.2f}")
    return "; ".join(parts)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if not rows:
        return
    if not sys.stdout.isatty():
        typer.echo("\t".join(columns))
        for row in rows:
            typer.echo("\t".join(plain(cell) for cell in row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    Console().print(table)
