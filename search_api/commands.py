"""The search floor's commands: search, score, triage, check-report, suggest, export and terms.

Each opens the engine on a data directory, asks one question, and prints the answer as a table on a terminal, as plain
lines elsewhere, or as one JSON document. What they share is left to command_answers, how an answer is laid out for
people to printing, who records it to command_audit.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from indexer.acts import act_of_command, outcome_of
from search_api.audit_acts import keys_of
from search_api.command_answers import (
    FAILED,
    SOME_REFUSED,
    AgeOption,
    AsJson,
    Data,
    FindingOption,
    FrameOfFile,
    OperatingPointOption,
    Scans,
    SequenceOfFile,
    SequenceOption,
    SexOption,
    SinceOption,
    SourceOption,
    UntilOption,
    data_directory,
    end_with_refused,
    opened_engine,
    pages_of_hits,
    parsed_filters,
    said,
    sequences_of,
    show,
)
from search_api.scan_files import read_all_scans, read_scan, read_scans, read_text


def register(app: typer.Typer) -> None:
    """Mount the commands."""
    app.command()(search)
    app.command()(score)
    app.command()(triage)
    app.command("check-report")(check_report)
    app.command()(suggest)
    app.command()(export)
    app.command()(terms)


def terms(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="JSON lines or RadLex's CSV; .gz too.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Take over a terminology: its synonyms widen queries, its words mend misspellings; instead of an earlier one."""
    from search_api.terminology import TerminologyError, import_terms

    try:
        several, single = import_terms(file, data_directory(data))
    except TerminologyError as error:
        typer.echo(f"{error}.", err=True)
        raise typer.Exit(FAILED) from error
    if as_json:
        typer.echo(json.dumps({"with_synonyms": several, "single_names": single}))
    else:
        typer.echo(f"{several:,} terms with synonyms and {single:,} single names; used from the next rebuild or start.")


def search(
    context: typer.Context,
    text: Annotated[str | None, typer.Argument(help="Findings in words.")] = None,
    scan: Scans = None,
    like: Annotated[str | None, typer.Option(help="Key of a stored case to take as example.")] = None,
    k: Annotated[int, typer.Option("-k", help="Hits a page, 1 to 200.")] = 10,
    page: Annotated[int, typer.Option(help="Page of hits, from 1.")] = 1,
    weight: Annotated[float, typer.Option(help="How much a scan counts against the text, 0 to 1.")] = 0.5,
    literal: Annotated[bool, typer.Option("--literal", help="Take the words as they are.")] = False,
    insist: Annotated[bool, typer.Option("--insist", help="Search though no scan looks like a brain.")] = False,
    sequence: SequenceOption = None,
    sex: SexOption = None,
    age: AgeOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    source: SourceOption = None,
    finding: FindingOption = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Retrieve past cases for words, a scan, both, or an example."""
    from search_api import printing

    given = {"sequence": sequence, "sex": sex, "age": age, "since": since, "until": until}
    act = act_of_command(context)
    with said(as_json):
        given |= {"source": source, "finding": finding}
        act.asks(q=text, like=like, k=k, page=page, **given)
        filters = parsed_filters(given)
        volumes = [read_scan(path) for path in scan or ()]
        act.asks(scans=sequences_of(volumes))
        with opened_engine(data) as engine:
            answer = engine.search(
                text=text,
                scans=volumes,
                like=like,
                k=k,
                filters=filters,
                weight=weight,
                page=page,
                expand=not literal,
                insist=insist,
            )
        act.shows(keys_of(answer.hits), answer.generation)
        show(context, answer.to_dict(), as_json, lambda: printing.answer(answer))


def score(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="NIfTI files of one examination.")],
    sequence: SequenceOfFile = None,
    frame: FrameOfFile = "",
    ask: Annotated[
        list[str] | None, typer.Option(help='A sentence to score as well, such as "there is a colloid cyst".')
    ] = None,
    operating_point: OperatingPointOption = None,
    as_json: AsJson = False,
) -> None:
    """Score the findings of an unreported examination, each with its threshold."""
    from encoders.volume import parse_frame
    from search_api import printing
    from search_api.scoring import score_report

    with said(as_json):
        import encoders

        encoder = encoders.load()
        volumes, refused = read_scans(files, encoder.sequences, sequence or (), parse_frame(frame))
        act_of_command(context).asks(scans=sequences_of(volumes), ask=ask, operating_point=operating_point)
        report = score_report(encoder, volumes, ask or (), operating_point)
        document = report.to_dict() | {"refused": [item.to_dict() for item in refused]}
        show(context, document, as_json, lambda: printing.score_report(report))
        end_with_refused(refused, as_json)


def triage(
    context: typer.Context,
    operating_point: OperatingPointOption = None,
    prevalence: Annotated[
        float | None, typer.Option(help="Share of abnormal examinations, 0 to 1, for predictive values.")
    ] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List examinations without a report in reading order, with reasons."""
    from search_api import printing

    act = act_of_command(context)
    act.asks(operating_point=operating_point, prevalence=prevalence)
    with said(as_json), opened_engine(data) as engine:
        worklist = engine.triage(operating_point, prevalence=prevalence)
        act.shows(keys_of(worklist.entries), worklist.generation)
        show(context, worklist.to_dict(), as_json, lambda: printing.worklist(worklist))


def check_report(
    context: typer.Context,
    report: Annotated[Path, typer.Option("--report", help="Text file with the provisional report.")],
    scan: Scans = None,
    data: Annotated[Path | None, typer.Option(help="Data directory, for similar cases beside each flag.")] = None,
    sequence: SequenceOfFile = None,
    frame: FrameOfFile = "",
    as_json: AsJson = False,
) -> None:
    """Compare a provisional report with its scan: what is flagged for review, and what goes unmentioned.

    Without a scan the report is compared with itself: findings against impression, and the sides of both.
    """
    from search_api import printing
    from search_api.report_check import check

    with said(as_json):
        import encoders

        text, encoder = read_text(report), encoders.load()
        volumes = read_all_scans(scan or (), encoder.sequences, sequence or (), frame)
        act = act_of_command(context)
        act.asks(report_characters=len(text), scans=sequences_of(volumes))
        if data is None:
            checked = check(encoder, volumes, text)
        else:
            with opened_engine(data) as engine:
                checked = engine.check_report(volumes, text)
                act.shows(checked.shown, engine.generation)
        show(context, checked.to_dict(), as_json, lambda: printing.report_check(checked))


def suggest(
    context: typer.Context,
    files: Annotated[list[Path] | None, typer.Argument(help="NIfTI files of one unreported examination.")] = None,
    key: Annotated[str | None, typer.Option(help="A stored case, instead of files.")] = None,
    sequence: SequenceOfFile = None,
    frame: FrameOfFile = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Suggest findings to look for, as draft sentences, with where they show and similar reported cases."""
    from search_api import printing

    if bool(files) == bool(key):
        raise typer.BadParameter("Expected either files or --key")
    with said(as_json):
        act = act_of_command(context)
        act.asks(key=key)
        with opened_engine(data) as engine:
            volumes = read_all_scans(files or (), engine.encoder.sequences, sequence or (), frame)
            act.asks(scans=sequences_of(volumes))
            suggested = engine.suggest(volumes, key)
            act.shows((*([key] if key else []), *suggested.shown), engine.generation)
        show(context, suggested.to_dict(), as_json, lambda: printing.suggestions(suggested))


def export(
    context: typer.Context,
    query: Annotated[list[str], typer.Argument(help="Findings in words.")],
    to: Annotated[Path, typer.Option("--to", help="New or empty folder.")],
    form: Annotated[str, typer.Option("--format", help="csv or bids.")] = "csv",
    k: Annotated[int, typer.Option("-k", help="Cases at most, 1 to 2000.")] = 100,
    sequence: SequenceOption = None,
    sex: SexOption = None,
    age: AgeOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    source: SourceOption = None,
    finding: FindingOption = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Write a cohort of retrieved cases as a table or as a BIDS dataset."""
    from search_api.export import Format, export
    from search_api.query import QueryError

    given = {"sequence": sequence, "sex": sex, "age": age, "since": since, "until": until}
    with said(as_json):
        if form not in set(Format):
            raise QueryError("bad_format", f"Expected csv or bids as format, got '{form[:20]}'", "Write --format csv.")
        given |= {"source": source, "finding": finding}
        act = act_of_command(context)
        act.asks(q=" ".join(query), k=k, format=form, **given)
        filters = parsed_filters(given)
        with opened_engine(data) as engine:
            answers = pages_of_hits(engine, " ".join(query), k, filters)
            act.shows((key for answer in answers for key in keys_of(answer.hits)), engine.generation)
            act.begin()  # before a case is written
            summary = export(answers, engine.store, to, Format(form))
        document = {"cases": summary.cases, "series": summary.series, "left_out": list(summary.left_out)}
        act.settle(outcome_of(len(summary.left_out)))
        show(
            context, document, as_json, lambda: typer.echo(f"Exported {summary.cases} cases, {summary.series} series.")
        )
        if summary.left_out:
            for item in summary.left_out:
                typer.echo(f"left out: {item}", err=True)
            raise typer.Exit(SOME_REFUSED)
