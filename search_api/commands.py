"""The search floor's commands: search, score, triage, check-report, export and serve.

Each opens the engine on a data directory, asks one question, and prints the answer as a table on a terminal, as plain
lines elsewhere, or as one JSON document. How an answer is laid out for people is left to printing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search_api.scan_files import RefusedFile, read_all_scans, read_scan, read_scans, read_text

if TYPE_CHECKING:
    from fastapi import FastAPI

    from indexer.cases import CaseFilter
    from search_api.answers import Answer
    from search_api.engine import SearchEngine

FAILED, WRONG_USAGE, SOME_REFUSED = 1, 2, 3
# Questions that were put wrongly, rather than could not be answered.
_USAGE_CODES = frozenset(
    {
        "empty_query",
        "no_words",
        "too_long",
        "too_many_sentences",
        "bad_prevalence",
        "bad_k",
        "bad_page",
        "bad_weight",
        "bad_format",
        "bad_operating_point",
    }
) | {"no_scans", "too_many_scans", "empty_report", "bad_report", "host_refused"}

Data = Annotated[Path | None, typer.Option("--data", envvar="NEURORECALL_DATA", help="Data directory.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Scans = Annotated[list[Path] | None, typer.Option("--scan", help="NIfTI file of one series; may be repeated.")]
SequenceOfFile = Annotated[
    list[str] | None,
    typer.Option("--sequence", help="MR sequence of a file whose name does not tell; once a file, in order."),
]
FrameOfFile = Annotated[str, typer.Option("--frame", help="Which volume of a 4-D file: its number from 0, or mean.")]
SequenceOption = Annotated[str | None, typer.Option("--sequence", help="MR sequence, such as FLAIR.")]
SexOption = Annotated[str | None, typer.Option("--sex", help="F, M or O.")]
AgeOption = Annotated[str | None, typer.Option("--age", help="Years, such as 40-60.")]
SinceOption = Annotated[str | None, typer.Option("--since", help="First day, such as 2024-05-01.")]
UntilOption = Annotated[str | None, typer.Option("--until", help="Last day.")]
SourceOption = Annotated[str | None, typer.Option("--source", help="Source that the case was ingested from.")]
FindingOption = Annotated[str | None, typer.Option("--finding", help="Finding that the report states.")]


def register(app: typer.Typer, site: Callable[[FastAPI], None] | None = None) -> None:
    """Mount the commands; `site` adds the pages to the API that `serve` serves."""
    app.command()(search)
    app.command()(score)
    app.command()(triage)
    app.command("check-report")(check_report)
    app.command()(suggest)
    app.command()(export)
    app.command()(terms)

    @app.command()
    def serve(
        data: Data = None,
        host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
        port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    ) -> None:
        """Serve the API and the pages."""
        serve_site(_data_directory(data), host, port, site)


def terms(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="JSON lines or RadLex's CSV; .gz too.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Take over a terminology: its synonyms widen queries, its words mend misspellings; instead of an earlier one."""
    from search_api.terminology import TerminologyError, import_terms

    try:
        several, single = import_terms(file, _data_directory(data))
    except TerminologyError as error:
        typer.echo(f"{error}.", err=True)
        raise typer.Exit(FAILED) from error
    if as_json:
        typer.echo(json.dumps({"with_synonyms": several, "single_names": single}))
    else:
        typer.echo(f"{several:,} terms with synonyms and {single:,} single names; used from the next rebuild or start.")


def search(
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
    with _said(as_json):
        filters = _filters(given | {"source": source, "finding": finding})
        volumes = [read_scan(path) for path in scan or ()]
        with _engine(data) as engine:
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
        _show(answer.to_dict(), as_json, lambda: printing.answer(answer))


def score(
    files: Annotated[list[Path], typer.Argument(help="NIfTI files of one examination.")],
    sequence: SequenceOfFile = None,
    frame: FrameOfFile = "",
    ask: Annotated[
        list[str] | None, typer.Option(help='A sentence to score as well, such as "there is a colloid cyst".')
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score the findings of an unreported examination, each with its threshold."""
    from encoders.volume import parse_frame
    from search_api import printing
    from search_api.scoring import score_report

    with _said(as_json):
        import encoders

        encoder = encoders.load()
        volumes, refused = read_scans(files, encoder.sequences, sequence or (), parse_frame(frame))
        report = score_report(encoder, volumes, ask or ())
        document = report.to_dict() | {"refused": [item.to_dict() for item in refused]}
        _show(document, as_json, lambda: printing.score_report(report))
        _end_with_refused(refused, as_json)


def triage(
    operating_point: Annotated[
        str | None, typer.Option(help="What the threshold shall reach, such as sensitivity=0.95.")
    ] = None,
    prevalence: Annotated[
        float | None, typer.Option(help="Share of abnormal examinations, 0 to 1, for predictive values.")
    ] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List examinations without a report in reading order, with reasons."""
    from search_api import printing

    with _said(as_json), _engine(data) as engine:
        worklist = engine.triage(operating_point, prevalence=prevalence)
        _show(worklist.to_dict(), as_json, lambda: printing.worklist(worklist))


def check_report(
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

    with _said(as_json):
        import encoders

        text, encoder = read_text(report), encoders.load()
        volumes = read_all_scans(scan or (), encoder.sequences, sequence or (), frame)
        if data is None:
            checked = check(encoder, volumes, text)
        else:
            with _engine(data) as engine:
                checked = engine.check_report(volumes, text)
        _show(checked.to_dict(), as_json, lambda: printing.report_check(checked))


def suggest(
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
    with _said(as_json):
        with _engine(data) as engine:
            suggested = engine.suggest(
                read_all_scans(files or (), engine.encoder.sequences, sequence or (), frame), key
            )
        _show(suggested.to_dict(), as_json, lambda: printing.suggestions(suggested))


def export(
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
    with _said(as_json):
        if form not in set(Format):
            raise QueryError("bad_format", f"Expected csv or bids as format, got '{form[:20]}'", "Write --format csv.")
        filters = _filters(given | {"source": source, "finding": finding})
        with _engine(data) as engine:
            summary = export(_pages(engine, " ".join(query), k, filters), engine.store, to, Format(form))
        document = {"cases": summary.cases, "series": summary.series, "left_out": list(summary.left_out)}
        _show(document, as_json, lambda: typer.echo(f"Exported {summary.cases} cases, {summary.series} series."))
        if summary.left_out:
            for item in summary.left_out:
                typer.echo(f"left out: {item}", err=True)
            raise typer.Exit(SOME_REFUSED)


def serve_site(data: Path, host: str, port: int, site: Callable[[FastAPI], None] | None) -> None:
    """Serve the API of a data directory, with the pages where they are given; ends with a status where it cannot."""
    from search_api.app import build_app
    from search_api.server import check_host, serve
    from search_api.settings import Settings

    with _said(as_json=False):
        check_host(host)
        app = build_app(Settings(data=data))
        if site is not None:
            site(app)
        typer.echo(f"NeuroRecall at http://{host}:{port}", err=True)
        serve(app, host, port)


@contextmanager
def _said(as_json: bool) -> Iterator[None]:
    """Turn what was refused into one clear message and its exit status."""
    from encoders.manifest import BundleError
    from indexer.cases import FilterError

    try:
        yield
    except (ValueError, BundleError) as error:
        code = str(getattr(error, "code", _snake(type(error).__name__)))
        hint = str(getattr(error, "hint", ""))
        if as_json:
            typer.echo(json.dumps({"code": code, "message": str(error), "hint": hint}, ensure_ascii=False))
        else:
            typer.echo(f"{error}. {hint}".replace("..", ".").rstrip(), err=True)
        usage = isinstance(error, FilterError) or code in _USAGE_CODES
        raise typer.Exit(WRONG_USAGE if usage else FAILED) from error


@contextmanager
def _engine(data: Path | None) -> Iterator[SearchEngine]:
    from search_api.engine import SearchEngine

    with SearchEngine.open(_data_directory(data)) as engine:
        yield engine


def _data_directory(data: Path | None) -> Path:
    if data is not None:
        return data
    from platformdirs import user_data_path

    return user_data_path("neurorecall")


def _filters(given: dict[str, str | None]) -> CaseFilter:
    from indexer.cases import CaseFilter

    return CaseFilter.parse(**given)  # type: ignore[arg-type]


def _pages(engine: SearchEngine, text: str, k: int, filters: CaseFilter) -> list[Answer]:
    """As many full pages as hold `k` hits."""
    from search_api.query import QueryError
    from search_api.question import DEEPEST_HIT, MOST_HITS_A_PAGE

    if not 1 <= k <= DEEPEST_HIT:
        raise QueryError("bad_k", f"Expected 1 to {DEEPEST_HIT} cases, got {k}", "Narrow the search with filters.")
    size = min(k, MOST_HITS_A_PAGE)
    pages = range(1, -(-k // size) + 1)
    return [engine.search(text=text, k=size, page=page, filters=filters) for page in pages]


def _show(document: dict[str, Any], as_json: bool, print_it: Callable[[], None]) -> None:
    if as_json:
        typer.echo(json.dumps(document, ensure_ascii=False))
    else:
        print_it()


def _end_with_refused(refused: list[RefusedFile], as_json: bool) -> None:
    if not refused:
        return
    for item in () if as_json else refused:
        typer.echo(f"refused: {item.message}", err=True)
    raise typer.Exit(SOME_REFUSED)


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
