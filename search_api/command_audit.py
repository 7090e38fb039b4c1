"""The audit of the command line: what each command did, under the login name, before anything of it is printed.

The front door hands its application in when every floor has mounted its commands. A command that takes Typer's context
as `context` says itself what it asks and shows; of any other it is recorded that it began and how it ended. Recorded
is what touches a data directory that is there, or makes one; a dry run, and a command that could not be read, did
nothing.
"""

from __future__ import annotations

import functools
import json
import os
import pwd
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from indexer.acts import Act
from search_api.audit_acts import cleaned
from search_api.audit_chain import AuditTrail
from search_api.audit_records import AuditError, Entry
from search_api.command_answers import FAILED, code_of, data_directory

MAKING = frozenset({"ingest", "demo", "key add"})  # make the data directory where there is none
WITHOUT_DATA = frozenset({"score"})  # has no --data; recorded where the data would be
UNRECORDED = frozenset({"audit verify"})  # must not move what it checks
_VARIABLE = "NEURORECALL_DATA"


def audited(application: typer.Typer) -> None:
    """Have every command that is mounted so far write what it did."""
    for name, command in _commands(application):
        if name not in UNRECORDED and command.callback is not None:
            command.callback = _recorded(name, command.callback)


def login() -> str:
    """Who runs this process, as the system knows it; an environment variable could say anything."""
    try:
        return f"os:{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:
        return f"os:{os.getuid()}"


def _commands(application: typer.Typer, above: str = "") -> Iterator[tuple[str, Any]]:
    for command in application.registered_commands:
        callback = getattr(command.callback, "__name__", "")
        yield f"{above}{command.name or callback.replace('_', '-')}", command
    for group in application.registered_groups:
        if group.typer_instance is not None:
            yield from _commands(group.typer_instance, f"{above}{group.name} ")


def _recorded(name: str, command: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(command)
    def run(**given: Any) -> Any:
        data = _data_of(name, given)
        if data is None:
            return command(**given)
        context = given.get("context")
        act = _act(name, data)
        with _Refusing(bool(given.get("as_json"))):
            AuditTrail(data).check()
            if context is None:
                act.begin()
            else:
                context.obj = act
            try:
                answer = command(**given)
            except BaseException as error:
                if not isinstance(error, AuditError):
                    act.settle(_outcome(error))
                raise
            act.settle()
            return answer

    return run


def _data_of(name: str, given: Mapping[str, Any]) -> Path | None:
    """The data directory whose audit records this; None where nothing is to be recorded."""
    if ("data" not in given and name not in WITHOUT_DATA) or given.get("dry_run"):
        return None
    data = given.get("data") or os.environ.get(_VARIABLE)
    folder = data_directory(Path(data) if data else None)
    return folder if folder.is_dir() or name in MAKING else None


def _act(name: str, data: Path) -> Act:
    request_id = secrets.token_hex(8)  # joins beginning and end
    trail, who = AuditTrail(data), login()

    def write(act: Act, outcome: str) -> None:
        query = cleaned(act.query)
        trail.append(Entry(who, act.action, query, act.cases, act.generation, outcome, request_id))

    return Act(name, write)


class _Refusing:
    """A record that cannot be written as one sentence and exit status 1."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, AuditError):
            return
        if self._as_json:
            typer.echo(json.dumps({"code": error.code, "message": str(error), "hint": error.hint}))
        else:
            typer.echo(f"{error} {error.hint}", err=True)
        raise typer.Exit(FAILED) from error


def _outcome(error: BaseException) -> str:
    """How a command ended that did not come to its end."""
    if isinstance(error, typer.Exit):
        reason = error.__cause__ or error.__context__
        code = code_of(reason) if reason is not None else error.exit_code
        return "done" if error.exit_code == 0 else f"failed {code}"
    if isinstance(error, typer.BadParameter):
        return "failed wrong_usage"
    return "interrupted" if isinstance(error, KeyboardInterrupt) else f"failed {type(error).__name__}"
