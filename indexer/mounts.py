"""On what kind of file system a folder lies, as far as Linux's table of mounts tells.

SQLite's write-ahead log needs memory that all processes share and locks that hold; neither is sure over a network.
"""

from __future__ import annotations

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
_KERNEL = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "9p", "ceph", "lustre", "beegfs", "gfs2", "ocfs2")
_FUSE = ("sshfs", "s3fs", "rclone", "glusterfs", "cephfs", "davfs2", "smbnetfs")
NETWORKED = frozenset((*_KERNEL, *(f"fuse.{name}" for name in _FUSE)))
_OCTAL = re.compile(r"\\([0-7]{3})")


def network_file_system(folder: Path, table: str | None = None) -> str | None:
    r"""The kind of network file system that a folder lies on, or None where it is a local one or nobody can tell.

    >>> nfs = "36 35 0:45 / /srv/mri\\040archive rw - nfs4 server:/export rw"
    >>> network_file_system(Path("/srv/mri archive/data"), nfs)
    'nfs4'
    >>> network_file_system(Path("/srv/other"), nfs) is None
    True
    """
    if table is None:
        try:
            table = MOUNTS.read_text("utf-8", "replace")
        except OSError:
            return None
    place = folder.resolve()
    longest, kind = -1, ""
    for line in table.splitlines():
        before, _, after = line.partition(" - ")
        fields, kinds = before.split(), after.split()
        if len(fields) < 5 or not kinds:
            continue
        mounted = Path(_OCTAL.sub(lambda found: chr(int(found[1], 8)), fields[4]))
        # The later of two mounts on one place hides the earlier.
        if place.is_relative_to(mounted) and len(mounted.parts) >= longest:
            longest, kind = len(mounted.parts), kinds[0]
    return kind if kind in NETWORKED else None
