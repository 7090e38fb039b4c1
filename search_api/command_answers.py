"""What the search floor's commands share: options, the opened engine, refusals as sentences, the answer's way out.

An answer is recorded in the audit before it is printed. How it is laid out for people is left to printing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from indexer.acts import act_of_command, outcome_of
from search_api.scan_files import RefusedFile

if TYPE_CHECKING:
    from encoders.volume import Volume
    from indexer.cases import CaseFilter
    from search_api.answers import Answer
    from search_api.engine import SearchEngine

FAILED, WRONG_USAGE, SOME_REFUSED = 1, 2, 3
# Questions that were put wrongly, rather than could not be answered.
_USAGE_CODES = (
    frozenset(
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
    )
    | {"no_scans", "too_many_scans", "empty_report", "bad_report", "too_large", "host_refused"}
    | {"bad_name", "bad_days", "bad_role", "bad_before", "bad_since", "bad_until"}
)

Data = Annotated[Path | None, typer.Option("--data", envvar="NEURORECALL_DATA", help="Data directory.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Scans = Annotated[list[Path] | None, typer.Option("--scan", help="NIfTI file of one series; may be repeated.")]
SequenceOfFile = Annotated[
    list[str] | None,
    typer.Option("--sequence", help="MR sequence of a file whose name does not tell; once a file, in order."),
]
FrameOfFile = Annotated[str, typer.Option("--frame", help="Which volume of a 4-D file: its number from 0, or mean.")]
OperatingPointOption = Annotated[
    str | None, typer.Option(help="What the thresholds shall reach, such as sensitivity=0.95.")
]
SequenceOption = Annotated[str | None, typer.Option("--sequence", help="MR sequence, such as FLAIR.")]
SexOption = Annotated[str | None, typer.Option("--sex", help="F, M or O.")]
AgeOption = Annotated[str | None, typer.Option("--age", help="Years, such as 40-60.")]
SinceOption = Annotated[str | None, typer.Option("--since", help="First day, such as 2024-05-01.")]
UntilOption = Annotated[str | None, typer.Option("--until", help="Last day.")]
SourceOption = Annotated[str | None, typer.Option("--source", help="Source that the case was ingested from.")]
FindingOption = Annotated[str | None, typer.Option("--finding", help="Finding that the report states.")]


@contextmanager
def said(as_json: bool) -> Iterator[None]:
    """Turn what was refused into one clear message and its exit status."""
    from encoders.manifest import BundleError
    from indexer.cases import FilterError

    try:
        yield
    except (ValueError, BundleError) as error:
        code = code_of(error)
        hint = str(getattr(error, "hint", ""))
        if as_json:
            typer.echo(json.dumps({"code": code, "message": str(error), "hint": hint}, ensure_ascii=False))
        else:
            typer.echo(f"{error}. {hint}".replace("..", ".").rstrip(), err=True)
        usage = isinstance(error, FilterError) or code in _USAGE_CODES
        raise typer.Exit(WRONG_USAGE if usage else FAILED) from error


@contextmanager
def opened_engine(data: Path | None) -> Iterator[SearchEngine]:
    from search_api.engine import SearchEngine

    with SearchEngine.open(data_directory(data)) as engine:
        yield engine


def data_directory(data: Path | None) -> Path:
    if data is not None:
        return data
    from platformdirs import user_data_path

    return user_data_path("neurorecall")


def sequences_of(volumes: Sequence[Volume]) -> list[str]:
    """What the audit keeps of scans: the MR sequence of each, never a file's name."""
    return [str(volume.sequence or "unknown") for volume in volumes]


def parsed_filters(given: dict[str, str | None]) -> CaseFilter:
    from indexer.cases import CaseFilter

    return CaseFilter.parse(**given)  # type: ignore[arg-type]


def pages_of_hits(engine: SearchEngine, text: str, k: int, filters: CaseFilter) -> list[Answer]:
    """As many full pages as hold `k` hits."""
    from search_api.query import QueryError
    from search_api.question import DEEPEST_HIT, MOST_HITS_A_PAGE

    if not 1 <= k <= DEEPEST_HIT:
        raise QueryError("bad_k", f"Expected 1 to {DEEPEST_HIT} cases, got {k}", "Narrow the search with filters.")
    size = min(k, MOST_HITS_A_PAGE)
    pages = range(1, -(-k // size) + 1)
    return [engine.search(text=text, k=size, page=page, filters=filters) for page in pages]


def show(context: typer.Context, document: dict[str, Any], as_json: bool, print_it: Callable[[], None]) -> None:
    """Record what was asked and is shown, then show it; `refused` of the document are items that could not be used."""
    act_of_command(context).settle(outcome_of(len(document.get("refused", ()))))
    if as_json:
        typer.echo(json.dumps(document, ensure_ascii=False))
    else:
        print_it()


def end_with_refused(refused: list[RefusedFile], as_json: bool) -> None:
    if not refused:
        return
    for item in () if as_json else refused:
        typer.echo(f"refused: {item.message}", err=True)
    raise typer.Exit(SOME_REFUSED)


def code_of(error: BaseException) -> str:
    """The code of a refusal, for programs and the audit; made of the exception's noun where it has none."""
    name = type(error).__name__
    return str(getattr(error, "code", "")) or "".join(
        f"_{letter.lower()}" if letter.isupper() else letter for letter in name
    ).lstrip("_")
