"""The house rules that a reader can break without noticing: floors, circles, file sizes, names of rooms."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = {"encoders": 0, "indexer": 1, "search_api": 2, "web": 3}
SIDE_ROOM = {"encoders", "indexer", "training"}
ROOMS = (*FLOORS, "training")
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
HEAVY = {"faiss", "nibabel", "monai", "fastapi", "nilearn", "SimpleITK", "matplotlib", "sqlite_utils"}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(path) for path in MODULES}


def imports(path: Path, *, everywhere: bool) -> set[str]:
    """Modules that a file imports; with `everywhere` also those inside functions, never those for types alone."""
    tree = ast.parse(path.read_text("utf-8"))
    skipped = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.unparse(branch.test)
        for node in ast.walk(branch)
    }
    nodes = ast.walk(tree) if everywhere else iter(tree.body)
    found: set[str] = set()
    for node in nodes:
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names if f"{node.module}.{alias.name}" in NAMES}
    return found


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_room_imports_only_from_below(path: Path) -> None:
    room = name_of(path).split(".")[0]
    rooms = {name.split(".")[0] for name in imports(path, everywhere=True)} & set(ROOMS)
    if room == "training":
        assert rooms <= SIDE_ROOM
    else:
        assert "training" not in rooms
        assert all(FLOORS[other] <= FLOORS[room] for other in rooms)


def test_there_is_no_circle_of_imports() -> None:
    graph = {name_of(path): imports(path, everywhere=False) & NAMES for path in MODULES}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, f"circle: {' -> '.join((*trail, name))}"
        if name not in done:
            for other in sorted(graph[name] - {name}):
                visit(other, (*trail, name))
            done.add(name)

    for name in sorted(graph):
        visit(name, ())


@pytest.mark.parametrize("path", [*MODULES, *sorted((ROOT / "tests").glob("*.py")), ROOT / "neurorecall.py"], ids=str)
def test_a_file_is_short_and_says_what_it_is_for(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= 350
    assert ast.get_docstring(ast.parse(text)), f"{path.name} does not say what it is for"


@pytest.mark.parametrize(
    "path", [path for path in MODULES if name_of(path).startswith(("encoders", "training"))], ids=name_of
)
def test_encoders_and_training_open_without_heavy_packages(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports(path, everywhere=False)} & HEAVY


def test_there_is_no_room_without_a_purpose() -> None:
    assert not {"core", "utils", "helpers", "common"} & {part for name in NAMES for part in name.split(".")}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_function_takes_at_most_six_parameters(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        named_by_option = path.stem.startswith("routes") or path.stem.endswith("commands")
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not named_by_option:
            # Commands and routes name one parameter an option: that is how Typer and FastAPI read them.
            positional = [
                argument for argument in node.args.posonlyargs + node.args.args if argument.arg not in ("self", "cls")
            ]
            assert len(positional) <= 6, f"{node.name} takes {len(positional)} positional parameters"
