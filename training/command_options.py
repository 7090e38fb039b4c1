"""What the commands of training and evaluation take, and how they say what they do."""

from __future__ import annotations

import os
import tempfile
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

OWN = frozenset(("encoders", "indexer", "search_api", "training"))

Config = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="TOML file; see training/configs.")]
Out = Annotated[Path, typer.Option(help="Folder of the run: checkpoints, weights, metrics.")]
BundleFolder = Annotated[
    Path | None,
    typer.Option("--bundle", exists=True, file_okay=False, help="Folder of a bundle; without it, the shipped one."),
]
Dataset = Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="BIDS dataset with real cases.")]
TextFolder = Annotated[
    Path | None, typer.Option("--text", exists=True, file_okay=False, help="Folder of text records.")
]
SiteData = Annotated[
    Path | None, typer.Option("--data", exists=True, file_okay=False, help="Data directory with ingested examinations.")
]


def writable(path: Path | None) -> Path | None:
    """Refuse a file that could not be written, before the run that it is for."""
    if path is None:
        return None
    try:
        if path.exists():
            with path.open("ab"):
                pass
        else:
            with tempfile.TemporaryFile(dir=path.parent):
                pass
    except OSError as error:
        raise typer.BadParameter(f"'{path}' cannot be written: {error.strerror}") from error
    return path


def writable_picture(path: Path | None) -> Path | None:
    """As `writable`, of a PNG."""
    if path is not None and path.suffix.lower() != ".png":
        raise typer.BadParameter(f"Expected a name that ends in .png, got '{path.name}'")
    return writable(path)


Html = Annotated[
    Path | None, typer.Option(callback=writable, help="Also write the report as one self-contained HTML file.")
]
Plot = Annotated[Path | None, typer.Option(callback=writable_picture, help="Also draw the plot as PNG.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


class PlainGroup(TyperGroup):
    """A group of commands that say in one line what they refuse; what is unforeseen keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        from safetensors import SafetensorError

        try:
            return super().invoke(ctx)
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, SafetensorError) as error:
            tell(f"Error: {error}")
            raise typer.Exit(1) from error
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in OWN:
                raise
            tell(f"Error: {error}. {getattr(error, 'hint', '')}".replace("..", ".").rstrip())
            raise typer.Exit(1) from error


def processors() -> int:
    """Processes that may run side by side."""
    return os.cpu_count() or 1


def tell(line: str) -> None:
    """Say a line on standard error, where no table is."""
    typer.echo(line, err=True)
