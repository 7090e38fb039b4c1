"""What bundle.json says of a bundle, and the hash of all that decides an embedding.

The encoder that is made of it is `bundle`'s.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from encoders.preprocess import Preprocessing
from encoders.sequences import MRSequence

FORMAT = 1


class BundleError(ValueError):
    """A bundle that cannot be used; says which file, what was found and what was expected."""


@dataclass(frozen=True, slots=True)
class NetworkEntry:
    """One network of the bundle: its file, the MR sequences that it was trained for, its weight in a fusion."""

    file: str
    sequences: tuple[MRSequence, ...]
    weight: float


def weight_files(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """The files, relative to the bundle's folder, whose bytes decide an embedding."""
    text = ("text/model.safetensors", "text/tokenizer.json", "text/config.json")
    return (*text, *sorted(str(entry["file"]) for entry in manifest["networks"]))


def read_manifest(folder: Path) -> dict[str, Any]:
    """What bundle.json of a folder says; raises BundleError."""
    path = folder / "bundle.json"
    try:
        manifest = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise BundleError(f"Expected a bundle, found no bundle.json in the folder '{folder.name}'") from error
    except ValueError as error:
        raise BundleError(f"Expected JSON in bundle.json, got: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else type(manifest).__name__
        raise BundleError(f"Expected bundle format {FORMAT}, got {found}")
    missing = {"name", "preprocessing", "networks", "substitutes", "vision"} - set(manifest)
    if missing:
        raise BundleError(f"Expected {sorted(missing)} in bundle.json, found none")
    return manifest


def network_entries(manifest: Mapping[str, Any]) -> tuple[NetworkEntry, ...]:
    """The networks of a bundle, in its own order."""
    return tuple(
        NetworkEntry(
            file=str(entry["file"]),
            sequences=tuple(MRSequence(sequence) for sequence in entry["sequences"]),
            weight=float(entry["weight"]),
        )
        for entry in manifest["networks"]
    )


def weights_hash(folder: Path, manifest: Mapping[str, Any], preprocessing: Preprocessing) -> str:
    """Hash of all that decides an embedding: weights, configurations and preprocessing; raises BundleError."""
    digest = hashlib.sha256(preprocessing.digest().encode())
    digest.update(
        json.dumps([manifest["vision"], manifest["networks"], manifest["substitutes"]], sort_keys=True).encode()
    )
    for file in weight_files(manifest):
        try:
            digest.update(hashlib.sha256((folder / file).read_bytes()).digest())
        except FileNotFoundError as error:
            raise BundleError(f"Expected the file {file} in the bundle, found none") from error
    return digest.hexdigest()
