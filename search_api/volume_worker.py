"""The process that parses one uploaded file, under limits of its own: `python -m search_api.volume_worker`.

The file is its standard input, the outcome goes to its standard output, both without a name on disk: one line of JSON,
then the voxels as float32, X Y Z in C order. Who starts it, and how long it may take, is left to uploads.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from importlib import import_module
from typing import Any

OPTIONS = "NEURORECALL_WORKER"  # in the environment: other people of the machine can read a command line


def main() -> int:
    options: dict[str, Any] = json.loads(os.environ[OPTIONS])
    _limit(resource.RLIMIT_AS, int(options["memory_bytes"]))
    _limit(resource.RLIMIT_CPU, int(options["seconds"]))
    _limit(resource.RLIMIT_CORE, 0)
    # nibabel would load it, and what that loads, for formats that are not read here: a third of a second and more code.
    sys.modules["pydicom"] = None  # type: ignore[assignment]
    outcome = sys.stdout.buffer
    volume_module = import_module("encoders.volume")
    try:
        limits = volume_module.VolumeLimits(
            max_file_bytes=int(options["file_bytes"]),
            max_inflated_bytes=int(options["inflated_bytes"]),
            max_voxels=int(options["voxels"]),
        )
        content = sys.stdin.buffer.read(limits.max_file_bytes + 1)
        volume = volume_module.read_volume(content, name=options["name"], frame=options["frame"], limits=limits)
        header = {"shape": volume.voxels.shape, "affine": volume.affine.tolist(), "notes": volume.notes}
        outcome.write(json.dumps(header).encode() + b"\n")
        outcome.write(memoryview(volume.voxels).cast("B"))
        outcome.flush()
    except volume_module.VolumeError as error:
        refusal = {"code": error.code, "message": str(error), "hint": error.hint}
        outcome.write(json.dumps(refusal).encode() + b"\n")
    except MemoryError:
        refusal = {
            "code": "too_large",
            "message": f"{options['name']}: it needs more memory than one file may take.",
            "hint": "Send one series of usual size.",
        }
        outcome.write(json.dumps(refusal).encode() + b"\n")
    return 0


def _limit(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


if __name__ == "__main__":
    sys.exit(main())
