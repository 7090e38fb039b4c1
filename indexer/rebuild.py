"""Rebuild: encode what lacks an embedding, make a generation of all, check it, switch to it.

Embeddings are committed every few items, so a killed rebuild goes on where it was. A series that cannot be encoded is
listed and the rest goes on. The old generation serves until the new one has been checked.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from indexer import generation_files
from indexer.case_store import CaseStore
from indexer.cases import Refused
from indexer.embedding_store import EncodedSeries, Kind, PendingText
from indexer.encoding import NO_NETWORK, UNIT_TOLERANCE, Failure, encode_all
from indexer.generation_files import Contents
from indexer.generation_manifest import GenerationError
from indexer.generations import Index, write_index
from indexer.progress import Progress, silent
from indexer.removal import finish_erasing
from indexer.schema import FILE, StoreError
from indexer.writer_lock import writer_lock

if TYPE_CHECKING:
    from encoders.bundle import Encoder

SERIES_A_COMMIT = 4  # a kill loses at most so many, some seconds of work
TEXTS_A_COMMIT = 256
TEXTS_A_BATCH = 64
REMEMBERED = 20_000  # vectors of texts that may come again ("No midline shift."), 30 MB


@dataclass(frozen=True, slots=True)
class RebuildSummary:
    """`encoded` and `reused` count vectors; `refused` lists every series whose file gave none, and why."""

    generation: str
    encoder_id: str
    encoded: int
    reused: int
    refused: tuple[Refused, ...]
    seconds: float
    switched: bool
    notes: tuple[str, ...] = ()


def rebuild(
    data: Path | str, encoder: Encoder, full: bool = False, workers: int = 1, progress: Progress = silent
) -> RebuildSummary:
    """Bring the index up to date with the case store.

    Parameters
    ----------
    full : encode everything again, and try again what was refused
    workers : processes that read and encode series

    Raises
    ------
    StoreError
        when there is no case store, or it cannot be opened
    LockedError
        when another process writes to the data directory
    GenerationError
        when the new generation does not pass its check; the old one goes on serving
    """
    data, started = Path(data), time.monotonic()
    if not (data / FILE).is_file():
        raise StoreError("store_missing", "There is no case store here yet.", "Run `neurorecall ingest` first.")
    with writer_lock(data), CaseStore.open(data) as store:
        generation_files.clear_unfinished(data)
        finish_erasing(data, store)
        notes = generation_files.set_broken_aside(data)
        encoded = _Encoding(store, encoder, full, progress).run(workers)
        store.restate()
        _score(store, encoder)
        name, switched = _renew(data, store, encoder, full)
        generation_files.prune(data)
        held = sum(store.embeddings.count(kind, encoder.encoder_id) for kind in Kind)
        refused = store.embeddings.refused()
        unserved = sum(one.code == NO_NETWORK for one in refused)
        if unserved:
            notes += (f"{unserved} series are of MR sequences that {encoder.encoder_id} has no network for.",)
        store.checkpoint()
    return RebuildSummary(
        generation=name,
        encoder_id=encoder.encoder_id,
        encoded=encoded,
        reused=held - encoded,
        refused=tuple(one for one in refused if one.code != NO_NETWORK),
        seconds=time.monotonic() - started,
        switched=switched,
        notes=notes,
    )


class _Encoding:
    """One pass over all that lacks an embedding."""

    def __init__(self, store: CaseStore, encoder: Encoder, full: bool, progress: Progress) -> None:
        self._store = store.embeddings
        self._encoder = encoder
        self._full = full
        self._progress = progress
        self._participants = store.participants
        self._done = self._total = self._encoded = 0

    def run(self, workers: int) -> int:
        """How many vectors were made."""
        series = self._store.pending_series(self._encoder.encoder_id, full=self._full)
        self._total = len(series) + sum(
            self._store.count_pending(kind, self._encoder.encoder_id, full=self._full)
            for kind in (Kind.REPORT, Kind.SENTENCE)
        )
        self._texts(Kind.SENTENCE)
        self._texts(Kind.REPORT)
        batch: list[EncodedSeries] = []
        for outcome in encode_all(self._encoder, series, workers):
            if isinstance(outcome, Failure):
                self._refuse(outcome)
            else:
                batch.append(outcome)
                self._encoded += 1
            if len(batch) == SERIES_A_COMMIT:
                self._store.put_series(self._encoder.encoder_id, batch)
                batch = []
            self._advance(1, outcome.series.name)
        self._store.put_series(self._encoder.encoder_id, batch)
        return self._encoded

    def _texts(self, kind: Kind) -> None:
        remembered: dict[str, NDArray[np.float32]] = {}
        for page in self._store.pending_texts(kind, self._encoder.encoder_id, full=self._full):
            for begin in range(0, len(page), TEXTS_A_COMMIT):
                texts = page[begin : begin + TEXTS_A_COMMIT]
                self._encode_texts(texts, remembered)
                vectors = np.stack([remembered[text.digest] for text in texts])
                self._store.put_texts(kind, self._encoder.encoder_id, texts, vectors)
                self._encoded += len(texts)
                self._advance(len(texts), str(kind))
                if len(remembered) > REMEMBERED:
                    remembered.clear()

    def _encode_texts(self, texts: Sequence[PendingText], remembered: dict[str, NDArray[np.float32]]) -> None:
        new = {text.digest: text.text for text in texts if text.digest not in remembered}
        digests = list(new)
        for begin in range(0, len(digests), TEXTS_A_BATCH):
            some = digests[begin : begin + TEXTS_A_BATCH]
            vectors = self._encoder.encode_texts([new[digest] for digest in some])
            lengths = np.linalg.norm(vectors, axis=1)
            if vectors.shape != (len(some), self._encoder.dim) or not (abs(lengths - 1.0) <= UNIT_TOLERANCE).all():
                raise GenerationError(
                    f"Expected {len(some)} text embeddings of {self._encoder.dim} values and length 1 from"
                    f" {self._encoder.encoder_id}, got shape {vectors.shape} and lengths of {lengths.min():.3g} to"
                    f" {lengths.max():.3g}."
                )
            remembered.update(zip(some, vectors, strict=True))

    def _refuse(self, failure: Failure) -> None:
        owner = self._participants([failure.series.examination_id]).get(failure.series.examination_id, "")
        item = f"{owner.rpartition('/')[2]} {failure.series.name}"
        self._store.refuse(self._encoder.encoder_id, failure.series, item, failure.code, failure.message)

    def _advance(self, count: int, note: str) -> None:
        self._done += count
        self._progress(self._done, max(self._total, self._done), note)


def _score(store: CaseStore, encoder: Encoder) -> None:
    scores = {}
    for examination, series in store.embeddings.unscored(encoder.encoder_id, encoder.scoring_id).items():
        sequences = [sequence for sequence, _ in series]
        found = encoder.score_series(np.stack([vector for _, vector in series]), sequences)
        scores[examination] = tuple((one.finding, one.score, one.flagged) for one in found)
    store.embeddings.put_scores(scores, encoder.scoring_id)


def _renew(data: Path, store: CaseStore, encoder: Encoder, full: bool) -> tuple[str, bool]:
    """The generation that holds what the store holds: the current one, or a new one that is switched to."""
    content = store.embeddings.content(encoder.encoder_id)
    current = generation_files.current_name(data)
    if current in generation_files.names(data) and not full:
        found = Index.open_generation(data, str(current))
        made_by = (found.encoder_id, found.preprocessing, found.content)
        if made_by == (encoder.encoder_id, encoder.preprocessing_id, content):
            return found.name, False
    name = build(data, store, encoder, content)
    generation_files.switch(data, name)
    return name, True


def build(data: Path, store: CaseStore, encoder: Encoder, content: str) -> str:
    """A new generation of the stored embeddings of one encoder, checked and not yet switched to; its name."""
    embeddings, encoder_id = store.embeddings, encoder.encoder_id
    contents = Contents(
        encoder_id=encoder_id,
        preprocessing=encoder.preprocessing_id,
        dim=encoder.dim,
        content=content,
        counts={kind: embeddings.count(kind, encoder_id) for kind in Kind},
        batches={kind: embeddings.iter_embeddings(kind, encoder_id) for kind in Kind},
    )
    return write_index(data, contents)
