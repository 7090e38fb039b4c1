"""The acts that faults are injected into, each with a small archive made ready for it.

An act changes nothing but its data directory; the source it reads stays where it is.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from datasets import write_bids, write_scan
from indexed import again, key_of, make_archive
from toy_encoder import ToyEncoder

from indexer.backup import check_backup, make_backup, restore_backup
from indexer.generation_files import names
from indexer.ingest import ingest
from indexer.rebuild import rebuild
from indexer.removal import remove_cases
from indexer.restoring import restore_generation

Work = Callable[[Path], object]


@dataclass(frozen=True, slots=True)
class Act:
    """`prepared` holds the data directory as it is before; `work` is given the copy of it that it may harm."""

    name: str
    prepared: Path
    work: Work

    def copy_to(self, folder: Path) -> Path:
        """A fresh data directory in the state before."""
        data = folder / "data"
        for old in (data, folder / "backup"):
            if old.exists():
                shutil.rmtree(old)
        if (self.prepared / "data").is_dir():
            shutil.copytree(self.prepared / "data", data)
        return data


def all_acts(folder: Path) -> tuple[Act, ...]:
    makers = (_first_ingest, _ingest, _rebuild, _remove, _restore, _backup, _restore_backup)
    return tuple(maker(folder / maker.__name__.strip("_")) for maker in makers)


def _served(folder: Path) -> Path:
    """An archive with two generations and a source that has changed since: a scan, a report, one more person."""
    root, data = make_archive(folder)
    rebuild(data, ToyEncoder())
    rebuild(data, ToyEncoder(), full=True)
    return root


def _changed(root: Path) -> Path:
    write_bids(root, participants=4, sequences=("T1w",))
    write_scan(root / "sub-02" / "anat" / "sub-02_T1w.nii.gz", seed=88)
    table = root / "reports.tsv"
    table.write_text(table.read_text("utf-8").replace("A mass of 3.5 mm.", "The mass has gone."), "utf-8")
    return root


def _first_ingest(folder: Path) -> Act:
    root = folder / "clinic"
    for person in ("Doe, Jane", "Roe, Richard"):
        write_scan(root / person / "scan_FLAIR.nii.gz", seed=len(person))

    def work(data: Path) -> None:
        from unittest.mock import patch

        with patch("indexer.pseudonyms.secrets.token_bytes", lambda size: b"k" * size):
            ingest(root, data)

    return Act("first ingest", folder, work)


def _ingest(folder: Path) -> Act:
    root = _changed(_served(folder))
    return Act("ingest", folder, lambda data: again(root, data))


def _rebuild(folder: Path) -> Act:
    again(_changed(_served(folder)), folder / "data")
    return Act("rebuild", folder, lambda data: rebuild(data, ToyEncoder()))


def _remove(folder: Path) -> Act:
    _served(folder)
    key = key_of(folder / "data", "sub-02")
    return Act("remove", folder, lambda data: remove_cases(data, [key]))


def _restore(folder: Path) -> Act:
    rebuild_root = _changed(_served(folder))
    again(rebuild_root, folder / "data")
    rebuild(folder / "data", ToyEncoder())
    oldest = names(folder / "data")[-1]
    return Act("restore", folder, lambda data: restore_generation(data, oldest))


def _backup(folder: Path) -> Act:
    _served(folder)
    return Act("backup", folder, lambda data: make_backup(data, _free(data.parent / "backup")))


def _restore_backup(folder: Path) -> Act:
    root = _served(folder)
    make_backup(folder / "data", folder / "backup")
    again(_changed(root), folder / "data")
    rebuild(folder / "data", ToyEncoder())
    return Act("restore --backup", folder, lambda data: restore_backup(data, folder / "backup"))


def _free(folder: Path) -> Path:
    """The name of a backup that is not there; a whole one that is there is as good as the one asked for."""
    if folder.exists():
        check_backup(folder)
        shutil.rmtree(folder)
    return folder
