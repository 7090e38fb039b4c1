"""The manifest of a generation: what it was made of and by what, and the size and hash of each of its files.

Writing and checking the files is left to `generation_files`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from indexer.embedding_store import Kind

FORMAT = 2
METRIC = "inner_product"
ARRAYS = ("keys", "examinations", "codes")
FILES = tuple(f"{kind}.{end}" for kind in Kind for end in ("faiss", *(f"{name}.npy" for name in ARRAYS)))


class GenerationError(ValueError):
    """A generation that cannot be served: says which file, what was found and what was expected."""


@dataclass(frozen=True, slots=True)
class FileSeal:
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a generation holds.

    `content` is the digest of all that its vectors were made from, `preprocessing` that of the settings by which scans
    were made ready (empty in format 1, where it went into `encoder_id` alone), and `replaces` names the generation that
    this one is without removed cases.
    """

    name: str
    created: str
    encoder_id: str
    dim: int
    content: str
    counts: Mapping[str, int]
    files: Mapping[str, FileSeal]
    preprocessing: str = ""
    replaces: str = ""
    metric: str = METRIC
    format: int = FORMAT

    def to_json(self) -> str:
        body = asdict(self)
        return json.dumps({**body, "digest": digest_of(body)}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Raises GenerationError where the text is not as it was written, or of a format that is not known here."""
        try:
            body = json.loads(text)
            digest = body.pop("digest")
            if digest != digest_of(body):
                raise GenerationError("Expected the manifest as it was written, found it changed.")
            found = int(body["format"])
            if not 1 <= found <= FORMAT or body["metric"] != METRIC:
                raise GenerationError(f"Expected a generation of format {FORMAT} or older, found {found}.")
            files = {name: FileSeal(int(seal["size"]), str(seal["sha256"])) for name, seal in body["files"].items()}
            manifest = cls(**{**body, "files": files})
        except GenerationError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise GenerationError("Expected a manifest of a generation, found something else.") from error
        if set(manifest.files) != set(FILES):
            raise GenerationError(f"Expected a manifest that seals {len(FILES)} files, found {len(manifest.files)}.")
        return manifest


def digest_of(body: Mapping[str, Any]) -> str:
    """Hash of a JSON document, that it carries to show that it was not changed."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
