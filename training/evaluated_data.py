"""What an evaluation was made of, for the top of its report: seeds of phantoms, and hashes of folders."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Phantoms:
    """How many phantoms of which first seed, and what they are for."""

    use: str
    count: int
    seed: int

    def __str__(self) -> str:
        return f"{self.use}: {self.count} of seeds from {self.seed}"


@dataclass(frozen=True, slots=True)
class EvaluatedData:
    """Folders that an evaluation read, None where it read none, and the phantoms that it made."""

    phantoms: tuple[Phantoms, ...] = ()
    dataset: Path | None = None
    text: Path | None = None

    def to_dict(self) -> dict[str, str]:
        """What is said of each; folders by their own name, without their place."""
        said = {"phantoms": "; ".join(map(str, self.phantoms))} if self.phantoms else {}
        for what, folder in (("real examinations", self.dataset), ("text records", self.text)):
            if folder is not None:
                count, digest = folder_hash(folder)
                said[what] = f"{folder.resolve().name}: {count} files, SHA-256 {digest}"
        return said


NO_DATA = EvaluatedData()


def folder_hash(folder: Path) -> tuple[int, str]:
    """Number of files below a folder, and the SHA-256 of their names and contents in the order of the names."""
    files = sorted((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file())
    whole = hashlib.sha256()
    for name, path in files:
        with path.open("rb") as stream:
            whole.update(f"{name}\0{hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return len(files), whole.hexdigest()
