"""Serving an older generation again. Bringing cases back from a backup is left to `backup`."""

from __future__ import annotations

from pathlib import Path

from indexer import generation_files
from indexer.generation_manifest import GenerationError
from indexer.generations import Index
from indexer.writer_lock import writer_lock


def restore_generation(data: Path, name: str) -> tuple[str, ...]:
    """Check a generation and switch to it; what was noticed on the way.

    Raises
    ------
    GenerationError
        when there is none of that name, or it is broken: then it is renamed
    LockedError
        when another process writes to the data directory
    """
    known = generation_files.names(data)
    if name not in known:
        raise GenerationError(f"Expected one of the generations ({', '.join(known) or 'none'}), got '{name[:40]}'.")
    with writer_lock(data):
        notes = generation_files.set_broken_aside(data)
        if name not in generation_files.names(data):
            raise GenerationError(" ".join(notes))
        Index.open_generation(data, name).self_test()
        generation_files.switch(data, name)
    return notes
