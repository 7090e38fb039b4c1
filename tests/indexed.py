"""What the tests of rebuild, of its faults and of removal share: encoders that count or die, and small archives."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from datasets import write_bids
from toy_encoder import ToyEncoder

from encoders.volume import Volume
from indexer.case_store import CaseStore
from indexer.ingest import ingest


class Counting(ToyEncoder):
    """The toy, that counts what it is given."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name)
        self.series = 0
        self.texts = 0

    def encode_series(self, volume: Volume):
        self.series += 1
        return super().encode_series(volume)

    def encode_texts(self, texts):
        self.texts += len(texts)
        return super().encode_texts(texts)

    def score_series(self, embeddings, sequences, point=None):
        return ()


class Dying(ToyEncoder):
    """Is killed when it is given its sixth series."""

    def encode_series(self, volume: Volume):
        self.left = getattr(self, "left", 5) - 1
        if self.left < 0:
            die()
        return super().encode_series(volume)


def make_archive(folder: Path) -> tuple[Path, Path]:
    """A dataset and its data directory, not yet indexed: 4 examinations, 8 series, 4 reports, 12 sentences."""
    root = write_bids(folder / "bids")
    again(root, folder / "data")
    return root, folder / "data"


def again(root: Path, data: Path) -> None:
    ingest(root, data, reports=root / "reports.tsv")


def key_of(data: Path, participant: str) -> str:
    with CaseStore.open(data, read_only=True) as store:
        found = [case.key for case in store.examinations(range(20)).values() if case.participant == participant]
    return found[0]


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def run_and_be_killed(work: Callable[[], object]) -> None:
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL
