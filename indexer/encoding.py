"""Encoding one series, and many in processes of their own.

What goes wrong with a file stays with that file: it comes back as a `Failure`, also when the process that read it was
killed for its memory. Which series, and where the results go, is left to `rebuild`.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING

import numpy as np

from encoders.volume import VolumeError
from indexer.embedding_store import EncodedSeries, PendingSeries
from indexer.series_files import read_series, stamp
from indexer.thumbnails import thumbnail

if TYPE_CHECKING:
    from encoders.bundle import Encoder
    from encoders.series_encoding import SeriesEncoding

NO_NETWORK = "no_network"  # nothing is wrong with the file
UNIT_TOLERANCE = 1e-2  # of a vector's length; float32 networks stay far below


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a series has no embedding."""

    series: PendingSeries
    code: str
    message: str


Outcome = EncodedSeries | Failure


def encode_one(encoder: Encoder, series: PendingSeries) -> Outcome:
    """Read, encode and picture one series; never raises for what is wrong with its file."""
    from encoders.bundle import EncodingError
    from encoders.preprocess import PreprocessingError

    if series.sequence not in encoder.sequences:
        known = ", ".join(encoder.sequences)
        return Failure(series, NO_NETWORK, f"No network was trained for {series.sequence}; encoded are {known}.")
    try:
        if stamp(series.path) != (series.size, series.modified):
            return Failure(series, "changed_since_ingest", "The file has changed since; ingest its source again.")
        volume = read_series(series.path, series.sequence, series.name)
        encoding = encoder.encode_series(volume)
        picture = thumbnail(volume)
    except FileNotFoundError:
        return Failure(series, "missing", "The file is gone; ingest its source again.")
    except OSError as error:
        return Failure(series, "unreadable", f"The file cannot be read: {error.strerror or type(error).__name__}.")
    except (VolumeError, EncodingError) as error:
        return Failure(series, error.code, f"{str(error).removeprefix(f'{series.name}: ')} {error.hint}")
    except PreprocessingError as error:
        return Failure(series, "not_brain_mri", str(error))
    except MemoryError:
        return Failure(series, "out_of_memory", "There was not enough memory to encode the file.")
    length = float(np.linalg.norm(encoding.embedding))
    if not abs(length - 1.0) <= UNIT_TOLERANCE:
        return Failure(series, "bad_vector", f"Expected an embedding of length 1, got {length:.3g}.")
    return EncodedSeries(
        series=series,
        embedding=encoding.embedding,
        partial=encoding.partial,
        remarks=tuple(dict.fromkeys((*volume.notes, *encoding.notes, *_unscored(encoding)))),
        unscorable=encoding.unscorable,
        thumbnail=picture,
        shape=tuple(int(length) for length in volume.voxels.shape),
        spacing=tuple(round(length, 4) for length in volume.spacing),
    )


def _unscored(encoding: SeriesEncoding) -> tuple[str, ...]:
    why = encoding.unscorable
    return (f"{why[0].upper()}{why[1:]}: no finding is scored by it.",) if why else ()


def encode_all(encoder: Encoder, pending: Sequence[PendingSeries], workers: int) -> Iterator[Outcome]:
    """The outcomes of all series, in any order; in this process, or in as many of their own as wanted."""
    if workers <= 1 or len(pending) <= 1:
        for series in pending:
            yield encode_one(encoder, series)
    else:
        yield from _Crew(encoder, min(workers, len(pending))).run(pending)


def work(encoder: Encoder, inbox: Connection, outbox: Connection) -> None:
    """What a worker process does: encode what it is sent until it is sent nothing."""
    while True:
        try:
            series = inbox.recv()
        except EOFError:
            return
        outbox.send(encode_one(encoder, series))


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    inbox: Connection
    outbox: Connection
    series: PendingSeries | None = None


class _Crew:
    """Worker processes, each with one series at a time, so that a dead one names its culprit."""

    def __init__(self, encoder: Encoder, size: int) -> None:
        self._encoder = encoder
        self._size = size
        self._context = multiprocessing.get_context("spawn")

    def run(self, pending: Sequence[PendingSeries]) -> Iterator[Outcome]:
        todo = list(reversed(pending))
        crew: list[_Worker] = []
        try:
            while todo or any(worker.series for worker in crew):
                while len(crew) < self._size and todo:
                    crew.append(self._start())
                for worker in crew:
                    if worker.series is None and todo:
                        worker.series = todo.pop()
                        worker.inbox.send(worker.series)
                ready = wait([worker.outbox for worker in crew if worker.series])
                for worker in [one for one in crew if one.outbox in ready]:
                    outcome = self._outcome(worker)
                    if isinstance(outcome, Failure) and outcome.code == "worker_ended":
                        crew.remove(worker)
                    yield outcome
        finally:
            for worker in crew:
                worker.inbox.close()
                worker.process.join(timeout=10)
                if worker.process.is_alive():
                    worker.process.kill()
                    worker.process.join()
                worker.outbox.close()

    def _start(self) -> _Worker:
        theirs_in, inbox = self._context.Pipe(duplex=False)
        outbox, theirs_out = self._context.Pipe(duplex=False)
        process = self._context.Process(target=work, args=(self._encoder, theirs_in, theirs_out), daemon=True)
        process.start()
        theirs_in.close()
        theirs_out.close()
        return _Worker(process, inbox, outbox)

    def _outcome(self, worker: _Worker) -> Outcome:
        series = worker.series
        worker.series = None
        try:
            outcome: Outcome = worker.outbox.recv()
        except EOFError:
            worker.process.join()
            if series is None:
                raise
            code = worker.process.exitcode
            worker.inbox.close()
            worker.outbox.close()
            return Failure(series, "worker_ended", f"The process that read the file ended with status {code}.")
        return outcome
