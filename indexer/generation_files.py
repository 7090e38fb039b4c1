"""The folders of generations: written aside, hashed, switched by one rename, kept, set aside or discarded.

A generation is a folder `generations/000007-...` with a manifest and, for each kind of vector, a FAISS file and three
arrays that say what each position stands for. It is never changed. `CURRENT` names the one that serves. What a manifest
says is left to `generation_manifest`, searching in a generation to `generations`, what to put in to `rebuild`.
"""

from __future__ import annotations

import errno
import hashlib
import io
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from indexer.durable import new_file, replace_file, sync_folder
from indexer.embedding_store import EmbeddingBatch, Kind
from indexer.generation_manifest import ARRAYS, FILES, FileSeal, GenerationError, Manifest
from indexer.vector_store import write_faiss

KEPT = 2  # older generations
FOLDER = "generations"
CURRENT = "CURRENT"
BUILDING, DELETING = ".building-", ".deleting-"
_NAME = re.compile(r"\d{6}-\d{8}T\d{6}Z")
# Why a file may be unreadable for a while without being broken.
_PASSING = frozenset({errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM})


@dataclass(frozen=True, slots=True)
class Contents:
    """What goes into a generation: a function that reads the batches of a kind, and how many vectors there are."""

    encoder_id: str
    preprocessing: str
    dim: int
    content: str
    counts: Mapping[Kind, int]
    batches: Mapping[Kind, Iterator[EmbeddingBatch]]
    replaces: str = ""


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
    replace_file(data / CURRENT, f"{name}\n".encode(), aside=data / f"{CURRENT}.new")


def read_manifest(folder: Path) -> Manifest:
    """The manifest, after the sizes and hashes of all files were found to be as it says."""
    manifest = manifest_of(folder)
    if manifest.name != folder.name:
        raise GenerationError(f"Expected generation {folder.name} in its folder, found {manifest.name}.")
    for name, seal in manifest.files.items():
        check_file(folder / name, seal)
    unknown = sorted({path.name for path in folder.iterdir()} - {*FILES, "manifest.json"})
    if unknown:
        raise GenerationError(f"Expected the files of a generation, found also {', '.join(unknown)[:80]}.")
    return manifest


def check_file(path: Path, seal: FileSeal) -> None:
    """Raises GenerationError where a file is not as it was sealed."""
    try:
        size = path.stat().st_size
        if size != seal.size:
            raise GenerationError(f"Expected {seal.size} bytes in {path.name}, found {size}.")
        if _sha256(path) != seal.sha256:
            raise GenerationError(f"Expected {path.name} as it was written, found other bytes (SHA-256 differs).")
    except OSError as error:
        raise GenerationError(f"Expected a readable file {path.name}, found none.") from error


def seal_file(path: Path) -> FileSeal:
    return FileSeal(path.stat().st_size, _sha256(path))


def manifest_of(folder: Path) -> Manifest:
    """The manifest alone, whose files may be broken. Raises GenerationError."""
    try:
        return Manifest.from_json((folder / "manifest.json").read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise GenerationError(f"Expected a manifest in generation {folder.name}, found none.") from error


def write_generation(data: Path, contents: Contents) -> str:
    """Write a new generation beside the others, and its name. It serves nobody before `switch`."""
    if not (data / FOLDER).is_dir():
        (data / FOLDER).mkdir(mode=0o700)
        sync_folder(data)
    now = datetime.now(UTC)
    name = f"{_next_number(data):06d}-{now:%Y%m%dT%H%M%SZ}"
    aside = data / FOLDER / f"{BUILDING}{name}"
    aside.mkdir(mode=0o700)
    try:
        for kind in Kind:
            _write_kind(aside, kind, contents)
        manifest = Manifest(
            name=name,
            created=now.isoformat(timespec="seconds"),
            encoder_id=contents.encoder_id,
            preprocessing=contents.preprocessing,
            dim=contents.dim,
            content=contents.content,
            counts={str(kind): contents.counts[kind] for kind in Kind},
            files={file: seal_file(aside / file) for file in FILES},
            replaces=contents.replaces,
        )
        with new_file(aside / "manifest.json") as file:
            file.write(manifest.to_json().encode())
        sync_folder(aside)
        aside.rename(data / FOLDER / name)
    except BaseException:
        # Half a generation would keep the space that it may have failed for.
        shutil.rmtree(aside, ignore_errors=True)
        raise
    sync_folder(data / FOLDER)
    return name


def clear_unfinished(data: Path) -> None:
    """Delete what a killed rebuild left half-built, and what a killed one left half-deleted."""
    for mark in (BUILDING, DELETING):
        for path in (data / FOLDER).glob(f"{mark}*"):
            shutil.rmtree(path)
    with suppress(FileNotFoundError):
        (data / f"{CURRENT}.new").unlink()


def set_aside(data: Path, name: str) -> str:
    """Rename a broken generation, so that nobody serves it and somebody can look at it; its new name."""
    bad = data / FOLDER / f"{name}.bad"
    count = 2
    while bad.exists():
        bad, count = data / FOLDER / f"{name}.{count}.bad", count + 1
    (data / FOLDER / name).rename(bad)
    sync_folder(data / FOLDER)
    return bad.name


def set_broken_aside(data: Path) -> tuple[str, ...]:
    """Rename generations whose bytes are not as they were written; what happened, for people. None is deleted."""
    notes = []
    for name in names(data):
        try:
            read_manifest(data / FOLDER / name)
        except GenerationError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in _PASSING:
                notes.append(f"Generation {name} cannot be read now: {error}")
            else:
                notes.append(f"Generation {name} is broken ({error}) and was renamed {set_aside(data, name)}.")
    return tuple(notes)


def discard(data: Path, name: str) -> None:
    """Delete a generation; a kill in between leaves nothing that looks like one."""
    doomed = data / FOLDER / f"{DELETING}{name}"
    (data / FOLDER / name).rename(doomed)
    sync_folder(data / FOLDER)
    shutil.rmtree(doomed)


def prune(data: Path) -> tuple[str, ...]:
    """Delete all but the current generation and the newest older ones; the names of those deleted."""
    current = current_name(data)
    older = [name for name in names(data) if name != current]
    for name in older[KEPT:]:
        discard(data, name)
    return tuple(older[KEPT:])


def bad_names(data: Path) -> tuple[str, ...]:
    return tuple(sorted(path.name for path in (data / FOLDER).glob("*.bad")))


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
        # Into memory first: numpy writes to a file of its own buffering, and does not say when that fails.
        buffer = io.BytesIO()
        np.save(buffer, whole.astype(dtype, copy=False), allow_pickle=False)
        with new_file(folder / f"{kind}.{name}.npy") as file:
            file.write(buffer.getbuffer())


def _next_number(data: Path) -> int:
    found = [int(path.name[:6]) for path in (data / FOLDER).iterdir() if path.name[:6].isdigit()]
    current = current_name(data)
    return max([*found, int(current[:6]) if current else 0], default=0) + 1


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
