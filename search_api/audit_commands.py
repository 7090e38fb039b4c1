"""The commands `audit export|verify|prune`: the record for people, whether it holds, and its end after its time."""

from __future__ import annotations

import csv
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from indexer.acts import act_of_command
from search_api.audit_reading import prune, records, verify
from search_api.audit_records import FIELDS, AuditError
from search_api.command_answers import FAILED, AsJson, Data, data_directory, said
from search_api.command_audit import login

_DAY = re.compile(r"\d{4}-\d{2}(-\d{2}(T[0-9:.]+Z?)?)?")
_COLUMNS = (*FIELDS, "hash")


class Format(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"


def register(app: typer.Typer) -> None:
    """Mount the group `audit`."""
    audit = typer.Typer(help="Who asked for what: written out, checked, and let go of.", no_args_is_help=True)
    audit.command("export")(export_records)
    audit.command("verify")(verify_chain)
    audit.command("prune")(prune_records)
    app.add_typer(audit, name="audit")


def export_records(
    context: typer.Context,
    since: Annotated[str, typer.Option(help="First day, such as 2026-05-01, in UTC.")] = "",
    until: Annotated[str, typer.Option(help="Last day, in UTC.")] = "",
    who: Annotated[str, typer.Option(help="Only what this principal did, such as os:alice.")] = "",
    action: Annotated[str, typer.Option(help="Only this action, such as search.")] = "",
    form: Annotated[Format, typer.Option("--format", help="csv or jsonl.")] = Format.CSV,
    to: Annotated[Path | None, typer.Option("--to", help="New file; without it, standard output.")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Write the records out, as CSV or as JSON lines; who does that is recorded as well."""
    act = act_of_command(context)
    act.asks(since=since, until=until, who=who, action=action, format=str(form))
    with said(as_json):
        wanted = _wanted(since, until, who, action)
        act.settle()
        found = (record for record in records(data_directory(data)) if wanted(record))
        if to is None:
            _print(found, form, as_json)
            return
        count = _save(found, to, form)
    typer.echo(json.dumps({"records": count}) if as_json else f"{count} records written.")


def verify_chain(
    head: Annotated[str, typer.Option(help="Hash of a record that was kept elsewhere: it must still be there.")] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Check seals, sequence and chain; ends with 1 and names the first record that lies. Keep the head elsewhere."""
    with said(as_json):
        found = verify(data_directory(data), head.strip().lower())
    last = {"sequence": found.head.sequence, "hash": found.head.hash} if found.head else None
    if as_json:
        outcome = {"status": "failed" if found.problems else "done", "records": found.records, "head": last}
        times = {"first": found.first, "last": found.last}
        typer.echo(json.dumps({**outcome, **times, "problems": found.problems, "remarks": found.remarks}))
    else:
        for line in (*found.problems, *found.remarks):
            typer.echo(line)
        typer.echo(f"{found.records} records, {found.first or 'none'} to {found.last or 'none'}.")
        if last:
            typer.echo(f"Head: {last['sequence']} {last['hash']}")
        typer.echo(f"{len(found.problems)} problems found." if found.problems else "The chain holds.")
    if found.problems:
        raise typer.Exit(FAILED)


def prune_records(
    context: typer.Context,
    before: Annotated[str, typer.Option(help="Day in UTC: what is wholly older goes, month by month.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Delete records past the time that you keep them; a record with their number and last hash takes their place."""
    act = act_of_command(context)
    act.asks(before=before)
    with said(as_json):
        _check_day("before", before)
        count = prune(data_directory(data), before, login())
    act.written = count > 0  # what was deleted has its record already, which carries the chain on
    typer.echo(json.dumps({"status": "done", "records": count}) if as_json else f"{count} records deleted.")


class _Wanted:
    """Which records are asked for."""

    def __init__(self, since: str, until: str, who: str, action: str) -> None:
        self._since, self._until, self._who, self._action = since, until, who, action

    def __call__(self, record: Mapping[str, Any]) -> bool:
        day = str(record["utc"])
        return (
            day >= self._since
            and (not self._until or day[: len(self._until)] <= self._until)
            and self._who in ("", record["who"])
            and self._action in ("", record["action"])
        )


def _wanted(since: str, until: str, who: str, action: str) -> _Wanted:
    _check_day("since", since)
    _check_day("until", until)
    return _Wanted(since, until, who, action)


def _check_day(name: str, day: str) -> None:
    if day and not _DAY.fullmatch(day):
        raise AuditError(f"bad_{name}", f"Expected a day for --{name}, got '{day[:40]}'", "Write 2026-05-31.")


def _print(found: Iterable[Mapping[str, Any]], form: Format, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"records": list(found)}, ensure_ascii=False))
    else:
        _write(found, form, sys.stdout)


def _save(found: Iterable[Mapping[str, Any]], to: Path, form: Format) -> int:
    try:
        handle = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise AuditError("bad_to", "Expected a new file for --to in a folder that is there", "Name another.") from error
    with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
        return _write(found, form, file)


def _write(found: Iterable[Mapping[str, Any]], form: Format, file: TextIO) -> int:
    counted = _Counted(found)
    if form is Format.JSONL:
        for record in counted:
            file.write(json.dumps(record, ensure_ascii=True) + "\n")
    else:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for record in counted:
            writer.writerow([_cell(record[column]) for column in _COLUMNS])
    return counted.count


class _Counted:
    """Records as they pass, counted."""

    def __init__(self, found: Iterable[Mapping[str, Any]]) -> None:
        self._found = found
        self.count = 0

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        for record in self._found:
            self.count += 1
            yield record


def _cell(value: object) -> str:
    """A cell that no spreadsheet takes for a formula; control characters stay written out."""
    from search_api.export import safe_cell

    if isinstance(value, dict):
        return safe_cell(json.dumps(value, ensure_ascii=False)) if value else ""
    if isinstance(value, list):
        return safe_cell(" ".join(map(str, value)))
    return safe_cell(value)
