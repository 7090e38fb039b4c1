"""The process that parses one uploaded file, under limits of its own: `python -m search_api.volume_worker`.

The file is its standard input, the outcome goes to its standard output, both without a name on disk: one line of JSON,
then the voxels as float32, X Y Z in C order. Everything that it needs is loaded first; then it gives up what a parser
has no need of (`confine`), and only then is the file looked at. Who starts it, and how long it may take, is left to
uploads.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

OPTIONS = "NEURORECALL_WORKER"  # in the environment: other people of the machine can read a command line
LONGEST_HEADER = 64 * 1024  # bytes of the line of JSON
VOXEL_BYTES = 4
STANDARD_FILES = 3  # input, output, errors
NOBODY = 65534
REHEARSED = 16  # voxels along an axis
# linux/sched.h, linux/prctl.h, linux/capability.h
_CLONE_NEWUSER, _CLONE_NEWNET = 0x1000_0000, 0x4000_0000
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITIES_VERSION_3 = 0x2008_0522


def main() -> int:
    options: dict[str, Any] = json.loads(os.environ[OPTIONS])
    # nibabel would load it, and what that loads, for formats that are not read here: a third of a second and more code.
    sys.modules["pydicom"] = None  # type: ignore[assignment]
    volume_module = import_module("encoders.volume")
    _rehearse()
    confine(
        memory_bytes=int(options["memory_bytes"]),
        seconds=int(options["seconds"]),
        outcome_bytes=LONGEST_HEADER + VOXEL_BYTES * int(options["voxels"]),
    )
    outcome = sys.stdout.buffer
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


def _rehearse() -> None:
    """Read a volume that is made here, so that what the libraries load only when they need it is there already."""
    volume_module, nibabel, numpy = import_module("encoders.volume"), import_module("nibabel"), import_module("numpy")
    ramp = numpy.arange(REHEARSED**3, dtype=numpy.int16).reshape((REHEARSED,) * 3)
    volume_module.read_volume(nibabel.Nifti1Image(ramp, numpy.eye(4)).to_bytes())


def confine(*, memory_bytes: int, seconds: int, outcome_bytes: int) -> None:
    """Give up, for good, whatever a parser of one open file has no need of.

    Always: memory, processor time, the size of what is written, new files and sockets (no descriptor is left for
    them), core dumps, and, but for root, new processes and threads. Where the kernel allows it, the network namespace
    is an empty one, root becomes nobody, and every capability is dropped; where it does not, this is passed over.
    """
    _leave_network()
    _drop_privileges()
    _limit(resource.RLIMIT_AS, memory_bytes)
    _limit(resource.RLIMIT_CPU, seconds)
    _limit(resource.RLIMIT_FSIZE, outcome_bytes)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NPROC, 0)
    _limit(resource.RLIMIT_NOFILE, STANDARD_FILES)


def _limit(kind: int, most: int) -> None:
    """Lower the hard limit too: what has no privilege cannot raise it again."""
    _, hard = resource.getrlimit(kind)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (most, most))


def _leave_network() -> None:
    """Move into a network namespace without any interface; who is not root needs a user namespace for that."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(_CLONE_NEWNET) != 0:
        library.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)


def _drop_privileges() -> None:
    if os.geteuid() == 0:
        with suppress(OSError):
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
    library = ctypes.CDLL(None, use_errno=True)
    library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    library.capset(header, nothing)


if __name__ == "__main__":
    sys.exit(main())
