"""The coverage-guided fuzz target of `read_volume`: `make fuzz SECONDS=60`, or with libFuzzer's own options.

Atheris mutates the inputs of `corpus/` and of a working folder and keeps what reaches new branches of `encoders` and of
nibabel. What ends a run is left in the working folder as `crash-*`; it is mended and becomes a file of `corpus/`.
"""

from __future__ import annotations

import gzip
import os
import sys
import warnings
import zlib
from pathlib import Path

import atheris

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent.parent), str(HERE.parent)]
# nibabel would load it for formats that are not read here.
sys.modules["pydicom"] = None  # type: ignore[assignment]
with atheris.instrument_imports(include=["encoders", "nibabel"]):
    import nibabel
    import nibabel.orientations  # noqa: F401  read_volume loads it when it is first needed
    from volume_properties import check_any

    import encoders.nifti
    import encoders.volume  # noqa: F401

GZIP_MAGIC = b"\x1f\x8b"


def check(content: bytes) -> None:
    check_any(content, frame=(None, "mean", 1)[len(content) % 3])


def mutated(content: bytes, longest: int, seed: int) -> bytes:
    """A mutation; three in four times of what is inside a gzip file, whose checksum no other would ever meet."""
    if content[:2] != GZIP_MAGIC or seed % 4 == 0:
        return bytes(atheris.Mutate(content, longest))
    try:
        inner = zlib.decompressobj(wbits=31).decompress(content, longest)
    except zlib.error:
        return bytes(atheris.Mutate(content, longest))
    return gzip.compress(atheris.Mutate(inner, longest), 1, mtime=0)[:longest]


def main() -> None:
    warnings.simplefilter("error")  # as in the tests: a warning of numpy is a finding
    work = Path(os.environ.get("FUZZ_WORK", HERE.parent.parent / "runs" / "fuzz"))
    work.mkdir(parents=True, exist_ok=True)
    options = ["-timeout=5", "-rss_limit_mb=1024", "-max_len=8192", f"-artifact_prefix={work}/"]
    arguments = [sys.argv[0], *options, *sys.argv[1:], str(work), str(HERE / "corpus")]
    atheris.Setup(arguments, check, custom_mutator=mutated)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
