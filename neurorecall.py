"""The front door: one Typer application that mounts the commands of each floor, and the demo that uses them all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import indexer.commands
import search_api.audit_commands
import search_api.commands
import search_api.service_commands
import training.commands
from search_api.command_audit import audited

if TYPE_CHECKING:
    from fastapi import FastAPI

    from encoders import Encoder, Volume
    from search_api import ReportCheck, SearchEngine, Suggestions

BANNER = (
    "For research and education. Not a medical device. Not for diagnosis, triage of patients or treatment decisions."
)


def build_application() -> typer.Typer:
    """The command line with every floor's commands."""
    application = typer.Typer(
        name="neurorecall",
        help=f"Search past brain MRI examinations by words or by scan.\n\n{BANNER}",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    application.command()(demo)
    indexer.commands.register(application)
    search_api.commands.register(application)
    search_api.service_commands.register(application, site=_build_site)
    training.commands.register(application, open_searcher=_open_searcher, open_check=_open_check, suggest=_suggest)
    search_api.audit_commands.register(application)
    audited(application)
    return application


def demo(
    data: Annotated[Path, typer.Option(envvar="NEURORECALL_DATA", help="Where the demo is kept.")] = Path("demo-data"),
    cases: Annotated[int, typer.Option(min=8, max=2000, help="How many phantom examinations.")] = 48,
    seed: Annotated[int, typer.Option(help="Seed of the cohort: the same seed makes the same files.")] = 1,
    serve: Annotated[bool, typer.Option(help="Serve the site when the index is built.")] = True,
    host: Annotated[str, typer.Option(help="Address to listen on; loopback only.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
) -> None:
    """Make a cohort of phantom examinations with reports, index it, serve it and say where to look."""
    import encoders
    from indexer.ingest import ingest
    from indexer.progress import reporter
    from indexer.rebuild import rebuild
    from training.phantoms.cohort import write_cohort

    cohort = data / f"cohort-{cases}-{seed}"
    if not (cohort / "README").exists():  # written last: without it a cohort is not whole
        shutil.rmtree(cohort, ignore_errors=True)
        with reporter("phantoms") as progress:
            write_cohort(cohort, cases=cases, seed=seed, progress=progress)
    with reporter("ingest") as progress:
        ingest(str(cohort), data, reports=cohort / "reports.tsv", progress=progress)
    with reporter("rebuild") as progress:
        summary = rebuild(data, encoders.load(), workers=min(2, os.cpu_count() or 1), progress=progress)
    typer.echo(f"Index {summary.generation}: {cases} phantom examinations. {BANNER}")
    if serve:
        search_api.service_commands.serve_site(data, host, port, _build_site)
    else:
        typer.echo(f"Serve it with: neurorecall serve --data {data}")


def _build_site(api: FastAPI) -> None:
    from web import build_site

    build_site(api)


def _open_searcher(data: Path, encoder: Encoder) -> SearchEngine:
    from search_api import SearchEngine

    return SearchEngine.open(data, encoder)


def _open_check(encoder: Encoder, volumes: Sequence[Volume]) -> Callable[[str], ReportCheck]:
    from search_api.report_check import check_against, read_report
    from search_api.scoring import encode_scans

    scans = encode_scans(encoder, volumes)
    return lambda text: check_against(encoder, scans, read_report(text))


def _suggest(encoder: Encoder, volumes: Sequence[Volume]) -> Suggestions:
    from search_api.scoring import encode_scans
    from search_api.suggestions import suggest

    return suggest(encoder, volumes, encode_scans(encoder, volumes))


def main() -> None:
    """Run the command line; installed as `neurorecall`."""
    build_application()()


if __name__ == "__main__":
    main()
