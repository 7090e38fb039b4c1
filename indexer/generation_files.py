"""The folders of generations: written aside, hashed, switched by one rename, kept, set aside or erased.

A generation is a folder `generations/000007-...` with a manifest and, for each kind of vector, a FAISS file and three
arrays that say what each position stands for. It is never changed. `CURRENT` names the one that serves. Searching in
one is left to `generations`, what to put in to `rebuild`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from indexer.embedding_store import EmbeddingBatch, Kind
from indexer.vector_store import write_faiss

FORMAT = 1
METRIC = "inner_product"
KEPT = 2  # older generations
FOLDER = "generations"
CURRENT = "CURRENT"
ARRAYS = ("keys", "examinations", "codes")
_NAME = re.compile(r"\d{6}-\d{8}T\d{6}Z")


class GenerationError(ValueError):
    """A generation that cannot be served: says which file, what was found and what was expected."""


@dataclass(frozen=True, slots=True)
class FileSeal:
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a generation holds; `content` is the digest of all that its vectors were made from."""

    name: str
    created: str
    encoder_id: str
    dim: int
    content: str
    counts: Mapping[str, int]
    files: Mapping[str, FileSeal]
    metric: str = METRIC
    format: int = FORMAT

    def to_json(self) -> str:
        body = asdict(self)
        return json.dumps({**body, "digest": _digest(body)}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        try:
            body = json.loads(text)
            digest = body.pop("digest")
            files = {name: FileSeal(int(seal["size"]), str(seal["sha256"])) for name, seal in body["files"].items()}
            manifest = cls(**{**body, "files": files})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise GenerationError("Expected a manifest of a generation, found something else.") from error
        if digest != _digest(body):
            raise GenerationError("Expected the manifest as it was written, found it changed.")
        if manifest.format != FORMAT or manifest.metric != METRIC:
            raise GenerationError(f"Expected a generation of format {FORMAT}, found {manifest.format}.")
        return manifest


@dataclass(frozen=True, slots=True)
class Contents:
    """What goes into a generation: a function that reads the batches of a kind, and how many vectors there are."""

    encoder_id: str
    dim: int
    content: str
    counts: Mapping[Kind, int]
    batches: Mapping[Kind, Iterator[EmbeddingBatch]]


def names(data: Path) -> tuple[str, ...]:
    """Generations that are there, newest first; by number, since clocks jump."""
    folder = data / FOLDER
    found = (entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else ()
    return tuple(sorted((name for name in found if _NAME.fullmatch(name)), reverse=True))


def current_name(data: Path) -> str | None:
    """The generation that CURRENT names, whether it is there or not."""
    try:
        name = (data / CURRENT).read_text("utf-8").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    return name if _NAME.fullmatch(name) else None


def switch(data: Path, name: str) -> None:
    """Make a generation current, in one step that holds over a loss of power."""
    temporary = data / f"{CURRENT}.new"
    with temporary.open("w", encoding="utf-8") as file:
        file.write(f"{name}\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(data / CURRENT)
    sync_folder(data)


def read_manifest(folder: Path) -> Manifest:
    """The manifest, after the sizes and hashes of all files were found to be as it says."""
    try:
        manifest = Manifest.from_json((folder / "manifest.json").read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise GenerationError(f"Expected a manifest in generation {folder.name}, found none.") from error
    for name, seal in manifest.files.items():
        _check_file(folder / name, seal)
    return manifest


def write_generation(data: Path, contents: Contents) -> str:
    """Write a new generation beside the others, and its name. It serves nobody before `switch`."""
    (data / FOLDER).mkdir(exist_ok=True, mode=0o700)
    now = datetime.now(UTC)
    name = f"{_next_number(data):06d}-{now:%Y%m%dT%H%M%SZ}"
    aside = data / FOLDER / f".building-{name}"
    aside.mkdir(mode=0o700)
    for kind in Kind:
        _write_kind(aside, kind, contents)
    files = sorted(path for path in aside.iterdir())
    manifest = Manifest(
        name=name,
        created=now.isoformat(timespec="seconds"),
        encoder_id=contents.encoder_id,
        dim=contents.dim,
        content=contents.content,
        counts={str(kind): contents.counts[kind] for kind in Kind},
        files={path.name: FileSeal(path.stat().st_size, _sha256(path)) for path in files},
    )
    (aside / "manifest.json").write_text(manifest.to_json(), "utf-8")
    for path in (*files, aside / "manifest.json"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    sync_folder(aside)
    aside.rename(data / FOLDER / name)
    sync_folder(data / FOLDER)
    return name


def clear_unfinished(data: Path) -> None:
    """Delete what a killed rebuild left half-built."""
    for path in (data / FOLDER).glob(".building-*"):
        shutil.rmtree(path)


def set_aside(data: Path, name: str) -> str:
    """Rename a broken generation, so that nobody serves it and somebody can look at it; its new name."""
    bad = data / FOLDER / f"{name}.bad"
    count = 2
    while bad.exists():
        bad, count = data / FOLDER / f"{name}.{count}.bad", count + 1
    (data / FOLDER / name).rename(bad)
    sync_folder(data / FOLDER)
    return bad.name


def prune(data: Path) -> tuple[str, ...]:
    """Delete all but the current generation and the newest older ones; the names of those deleted."""
    current = current_name(data)
    older = [name for name in names(data) if name != current]
    for name in older[KEPT:]:
        shutil.rmtree(data / FOLDER / name)
    return tuple(older[KEPT:])


def bad_names(data: Path) -> tuple[str, ...]:
    return tuple(sorted(path.name for path in (data / FOLDER).glob("*.bad")))


def sync_folder(folder: Path) -> None:
    """Make renames in a folder hold over a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_kind(folder: Path, kind: Kind, contents: Contents) -> None:
    arrays: dict[str, list[np.ndarray[Any, Any]]] = {name: [] for name in ARRAYS}

    def vectors() -> Iterator[np.ndarray[Any, np.dtype[np.float16]]]:
        for batch in contents.batches[kind]:
            for name in ARRAYS:
                arrays[name].append(getattr(batch, name))
            yield batch.vectors

    write_faiss(folder / f"{kind}.faiss", contents.dim, contents.counts[kind], vectors())
    for name, dtype in zip(ARRAYS, (np.int64, np.int64, np.int8), strict=True):
        whole = np.concatenate(arrays[name]) if arrays[name] else np.empty(0, dtype)
        np.save(folder / f"{kind}.{name}.npy", whole.astype(dtype, copy=False), allow_pickle=False)


def _next_number(data: Path) -> int:
    found = [int(path.name[:6]) for path in (data / FOLDER).iterdir() if path.name[:6].isdigit()]
    current = current_name(data)
    return max([*found, int(current[:6]) if current else 0], default=0) + 1


def _check_file(path: Path, seal: FileSeal) -> None:
    try:
        size = path.stat().st_size
        if size != seal.size:
            raise GenerationError(f"Expected {seal.size} bytes in {path.name}, found {size}.")
        if _sha256(path) != seal.sha256:
            raise GenerationError(f"Expected {path.name} as it was written, found other bytes (SHA-256 differs).")
    except OSError as error:
        raise GenerationError(f"Expected a readable file {path.name}, found none.") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
