"""What the documents take from the code: the help of commands, HTTP calls, settings, and figures as they came out.

Called by cog inside README.md and docs/reference.md; `make docs` writes them, `tests/test_documents.py` checks them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import typer

ROOT = Path(__file__).parent.parent


def figures(name: str) -> str:
    """A table of docs/figures, as the command that it names wrote it."""
    return (ROOT / "docs" / "figures" / f"{name}.md").read_text("utf-8").rstrip() + "\n"


def faults() -> str:
    """The table of injected faults, summed over the commands that they were injected into."""
    first, *rows = [line for line in figures("faults").splitlines() if line.strip()]
    sums: dict[str, list[int]] = {}
    for row in rows[2:]:
        fault, _, injected, *_, wrong = (cell.strip().strip("*").replace(",", "") for cell in row.strip("|").split("|"))
        counted = sums.setdefault(fault.partition(":")[0], [0, 0])
        counted[0] += int(injected)
        counted[1] += int(wrong)
    table = [f"| {fault} | {injected:,} | {wrong} |" for fault, (injected, wrong) in sums.items()]
    return "\n".join([first, "", "| fault | injected | anything lost or wrong |", "|---|---|---|", *table]) + "\n"


def commands() -> str:
    """Every command with its arguments and options."""
    import neurorecall

    group = typer.main.get_command(neurorecall.build_application())
    return "\n".join(_command(path, command) for path, command in _leaves(group, ("neurorecall",)))


def calls() -> str:
    """Every HTTP call with its parameters."""
    from search_api.app import build_app
    from search_api.settings import Settings

    described = build_app(Settings(data=Path("unused"))).openapi()["paths"]
    lines = ["| call | does | parameters |", "|---|---|---|"]
    for path, methods in described.items():
        for method, call in methods.items():
            names = ", ".join(f"`{parameter['name']}`" for parameter in call.get("parameters", []))
            lines.append(f"| `{method.upper()} {path}` | {call.get('summary', '')} | {names} |")
    return "\n".join(lines) + "\n"


def settings() -> str:
    """Every setting that the environment may give."""
    from search_api.settings import Settings

    lines = ["| variable | default | |", "|---|---|---|"]
    lines.append("| `NEURORECALL_BUNDLE` | the bundle that ships | Folder of the encoder, for every command. |")
    for name, field in Settings.model_fields.items():
        default = "the user's data directory" if field.default_factory else f"`{field.default}`"
        lines.append(f"| `NEURORECALL_{name.upper()}` | {default} | {field.description or ''} |")
    return "\n".join(lines) + "\n"


def _leaves(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    subcommands = getattr(command, "commands", None)
    if subcommands is None:
        yield path, command
        return
    for name, child in subcommands.items():
        yield from _leaves(child, (*path, name))


def _command(path: tuple[str, ...], command: click.Command) -> str:
    rows = []
    for parameter in command.params:
        if parameter.name == "help":
            continue
        if parameter.param_type_name == "argument":
            name = f"{(parameter.name or '').upper()}{'...' if parameter.nargs == -1 else ''}"
        else:
            name = ", ".join((*parameter.opts, *parameter.secondary_opts))
        rows.append(f"| `{name}` | {getattr(parameter, 'help', None) or ''} |")
    table = ["", "| | |", "|---|---|", *rows] if rows else []
    return "\n".join([f"### `{' '.join(path)}`", "", (command.help or "").strip(), *table, ""])
