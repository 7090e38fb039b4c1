"""The commands that take examinations in and keep them: ingest, rebuild, status, verify, backup, restore, remove.

Each prints plain lines, or with --json one document, and ends with 0 done, 1 failed, 2 wrong usage, 3 done with refused
items. The work itself is left to the modules that they call.
"""

from __future__ import annotations

import errno
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from indexer.acts import Act, act_of_command, outcome_of
from indexer.cases import Refused

REFUSED = 3


def default_data() -> Path:
    """The platform's place for a user's data."""
    import platformdirs

    return platformdirs.user_data_path("neurorecall")


Data = Annotated[
    Path,
    typer.Option(
        "--data",
        envvar="NEURORECALL_DATA",
        help="Where the cases and the index are kept.",
        default_factory=default_data,
        show_default="the user's data directory",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]


def register(application: typer.Typer) -> None:
    """Add the indexer's commands to the front door."""
    for command in (ingest, rebuild, status, verify, backup, restore, remove):
        application.command()(command)


def ingest(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="BIDS folder, or folder of NIfTI.")],
    data: Data,
    reports: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Reports: TSV, CSV or JSON lines.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done and write nothing.")] = False,
    as_given: Annotated[
        bool, typer.Option("--deidentified", help="The texts are de-identified already: store them as they are.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Take examinations in. Repeat it at will: what did not change is left alone."""
    from indexer.ingest import ingest as take_in
    from indexer.progress import reporter

    act = act_of_command(context)
    with _failures(as_json), reporter("ingest", quiet=as_json) as progress:
        act.asks(deidentified=as_given)
        act.begin()
        summary = take_in(source, data, reports, dry_run, progress, as_given)
        act.asks(source=summary.source, added=summary.added, changed=summary.changed, unchanged=summary.unchanged)
        act.settle(outcome_of(len(summary.refused)))
    would = "would be " if dry_run else ""
    lines = [
        f"{summary.source}: {summary.examinations} examinations, {summary.reported} with a report: {would}"
        f"{summary.added} added, {summary.changed} changed, {summary.unchanged} unchanged."
    ]
    _tell(as_json, {"status": "done", **asdict(summary)}, [*lines, *summary.notes], summary.refused)


def rebuild(
    context: typer.Context,
    data: Data,
    full: Annotated[bool, typer.Option("--full", help="Encode everything again.")] = False,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes that read and encode series.")] = 1,
    bundle: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Another bundle than the shipped one.")
    ] = None,
    store: Annotated[str, typer.Option(help="Where vectors are searched: faiss.")] = "faiss",
    ray: Annotated[str | None, typer.Option(help="A Ray cluster; not in this build.")] = None,
    as_json: Json = False,
) -> None:
    """Encode what lacks an embedding, build a new generation of the index, check it and switch to it."""
    if ray is not None:
        raise typer.BadParameter("Ray is not in this build; use --workers N on this machine.", param_hint="--ray")
    if store != "faiss":
        raise typer.BadParameter(
            f"'{store[:40]}' is not in this build; use faiss, which is the default.", param_hint="--store"
        )
    import encoders
    from indexer.progress import reporter
    from indexer.rebuild import rebuild as build

    act = act_of_command(context)
    act.asks(full=full)
    with _failures(as_json), reporter("rebuild", quiet=as_json) as progress:
        act.begin()
        summary = build(data, encoders.load(bundle), full, workers, progress)
        act.shows((), summary.generation)
        act.settle(outcome_of(len(summary.refused)))
    built = "is new" if summary.switched else "is up to date"
    line = (
        f"Generation {summary.generation} {built}: {summary.encoded} vectors made, {summary.reused} reused, in"
        f" {summary.seconds:.1f} s, by {summary.encoder_id}."
    )
    _tell(as_json, {"status": "done", **asdict(summary)}, [line, *summary.notes], summary.refused)


def status(
    context: typer.Context,
    data: Data,
    as_json: Json = False,
) -> None:
    """What is there: cases, sources, generations, what was refused."""
    from indexer.overview import overview

    with _failures(as_json):
        found = overview(data)
        act_of_command(context).settle()
    _tell(as_json, {"status": "done", **found.to_dict()}, found.lines(), found.refused, refusing=False)


def verify(
    context: typer.Context,
    data: Data,
    as_json: Json = False,
) -> None:
    """Check every hash, count and key; ends with 1 where one is wrong."""
    from indexer.verification import verify as check

    with _failures(as_json):
        problems, remarks = check(data)
        act_of_command(context).settle(f"failed, {len(problems)} problems" if problems else "done")
    lines = [*problems, *remarks, f"{len(problems)} problems found." if problems else "All is as it was written."]
    _tell(as_json, {"status": "failed" if problems else "done", "problems": problems, "remarks": remarks}, lines)
    if problems:
        raise typer.Exit(1)


def backup(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="A new folder, outside the data directory.")],
    data: Data,
    as_json: Json = False,
) -> None:
    """Copy the cases and the key of the pseudonyms, at any time; the index is made again from them."""
    from indexer.backup import make_backup

    act = act_of_command(context)
    with _failures(as_json):
        act.begin()
        summary = make_backup(data, folder)
        act.settle()
    lines = [
        f"{summary.examinations} examinations were copied, in {len(summary.files)} files.",
        "Keep it as safe as the data directory: it holds the reports and the key of the pseudonyms.",
    ]
    _tell(as_json, {"status": "done", **asdict(summary)}, lines)


def restore(
    context: typer.Context,
    data: Data,
    generation: Annotated[str | None, typer.Argument(help="Its name, as `status` gives it.")] = None,
    backup: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="A folder that `backup` made.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Serve an older generation of the index again, or bring all cases back from a backup."""
    if (generation is None) == (backup is None):
        raise typer.BadParameter("Name a generation, or a folder with --backup.", param_hint="GENERATION")
    act = act_of_command(context)
    act.asks(generation=generation, backup="given" if backup else "")
    if backup is not None:
        _restore_backup(act, data, backup, as_json)
        return
    from indexer.restoring import restore_generation

    with _failures(as_json):
        act.begin()
        notes = restore_generation(data, str(generation))
        act.shows((), str(generation))
        act.settle()
    document = {"status": "done", "generation": generation, "notes": notes}
    _tell(as_json, document, [f"Generation {generation} serves again.", *notes])


def _restore_backup(act: Act, data: Path, folder: Path, as_json: bool) -> None:
    from indexer.backup import restore_backup

    with _failures(as_json):
        act.begin()
        summary = restore_backup(data, folder)
        act.settle()
    lines = [f"{summary.examinations} examinations of {summary.created} are back; `neurorecall rebuild` indexes them."]
    lines += [f"What was there is kept in {summary.kept} of the data directory."] if summary.kept else []
    lines += ["Cases that were removed since then are back too: remove them again."]
    _tell(as_json, {"status": "done", **asdict(summary)}, lines)


def remove(
    context: typer.Context,
    keys: Annotated[list[str], typer.Argument(metavar="KEY...", help="Keys of examinations.")],
    data: Data,
    as_json: Json = False,
) -> None:
    """Remove cases with report, vectors and pictures, in every generation. Their source's files are not touched."""
    from indexer.removal import remove_cases

    act = act_of_command(context)
    act.shows(keys)
    with _failures(as_json):
        act.begin()
        summary = remove_cases(data, keys)
        act.settle()
    lines = [
        f"Removed {len(summary.removed)} cases, also from {len(summary.generations)} generations.",
        *(f"Deleted whole, since no case can be taken out of it: {name}." for name in summary.deleted),
        *summary.notes,
        "Take their files out of the source as well: another ingest of it brings them back.",
    ]
    _tell(as_json, {"status": "done", **asdict(summary)}, lines)


@contextmanager
def _failures(as_json: bool) -> Iterator[None]:
    """Known failures as one sentence and status 1; never a stack trace for what a user can mend."""
    try:
        yield
    except ValueError as error:
        # The indexer's errors are ValueErrors with a sentence for people; an unknown one is worth the same.
        _fail(as_json, str(getattr(error, "code", "failed")), str(error), str(getattr(error, "hint", "")))
    except (OSError, sqlite3.DatabaseError) as error:
        full = getattr(error, "errno", None) == errno.ENOSPC or "disk is full" in str(error)
        reason = "there is no space left" if full else getattr(error, "strerror", None) or str(error)
        damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
        code = "no_space" if full else "store_damaged" if damaged else "not_possible"
        hint = "`neurorecall verify` says more; a backup brings it back." if damaged else ""
        _fail(as_json, code, f"This could not be done: {reason}.", hint)


def _fail(as_json: bool, code: str, message: str, hint: str) -> NoReturn:
    if as_json:
        typer.echo(json.dumps({"status": "failed", "code": code, "message": message, "hint": hint}))
    else:
        typer.echo(" ".join(filter(None, (message, hint))), err=True)
    raise typer.Exit(1)


def _tell(
    as_json: bool,
    document: dict[str, Any],
    lines: Sequence[str],
    refused: Sequence[Refused] = (),
    *,
    refusing: bool = True,
) -> None:
    if as_json:
        typer.echo(json.dumps(document))
    else:
        for line in lines:
            typer.echo(line)
        for one in refused:
            typer.echo(f"refused: {one.item}: {one.message} [{one.code}]")
    if refused and refusing:
        raise typer.Exit(REFUSED)
