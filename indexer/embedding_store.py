"""Embeddings in the database: what lacks one, putting them in, and reading them out in bulk for a generation.

Kept as float16, which loses less than 0.001 of a cosine. Every one carries its `encoder_id` and the digest of what it
was made from; where either differs, the item is pending again. Encoding is left to `rebuild`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoders.sequences import MRSequence
from indexer.cases import Assertion, Refused
from indexer.connections import Connections

SEQUENCES = tuple(str(sequence) for sequence in MRSequence)
ASSERTIONS = tuple(str(assertion) for assertion in Assertion)
PAGE = 4096  # texts read at a time
# Reasons that pass without the file's content changing: such series are tried again at every rebuild.
PASSING = ("missing", "unreadable", "changed_since_ingest", "worker_ended")


class Kind(StrEnum):
    """What a vector stands for."""

    SERIES = "series"
    REPORT = "report"
    SENTENCE = "sentence"


@dataclass(frozen=True, slots=True)
class PendingSeries:
    id: int
    examination_id: int
    path: Path
    name: str
    sequence: MRSequence
    digest: str
    size: int
    modified: int


@dataclass(frozen=True, slots=True)
class PendingText:
    id: int
    examination_id: int
    text: str
    digest: str


@dataclass(frozen=True, slots=True)
class EncodedSeries:
    """What rebuild found out about a series; `embedding` (D,) unit length, `unscorable` as in Series."""

    series: PendingSeries
    embedding: NDArray[np.float32]
    partial: bool
    remarks: tuple[str, ...]
    thumbnail: bytes
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    unscorable: str = ""


@dataclass(frozen=True, slots=True)
class EmbeddingBatch:
    """Row ids (M,), examination ids (M,), codes (M,) of sequence or assertion, and vectors (M, D) float16."""

    keys: NDArray[np.int64]
    examinations: NDArray[np.int64]
    codes: NDArray[np.int8]
    vectors: NDArray[np.float16]


# The table, the text that is encoded, and what the code of a kind is.
_TEXT = {Kind.REPORT: ("report", "essence"), Kind.SENTENCE: ("sentence", "text")}
_LABEL = {Kind.SERIES: "i.sequence", Kind.REPORT: "NULL", Kind.SENTENCE: "i.assertion"}
_CODES = {Kind.SERIES: SEQUENCES, Kind.REPORT: (), Kind.SENTENCE: ASSERTIONS}


class EmbeddingStore:
    """The table of embeddings, over a case store's connections."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def pending_series(self, encoder_id: str, *, full: bool = False) -> tuple[PendingSeries, ...]:
        """Series of a known MR sequence without an embedding of this encoder, those refused as they are left out."""
        lacking = "1" if full else "(e.id IS NULL OR e.encoder_id <> :encoder OR e.digest <> s.digest)"
        passing = ", ".join(f"'{code}'" for code in PASSING)
        refused = "0" if full else f"r.digest = s.digest AND r.encoder_id = :encoder AND r.code NOT IN ({passing})"
        with self._connections.reading() as database:
            rows = database.execute(
                "SELECT s.id, s.examination_id, s.path, s.name, s.sequence, s.digest, s.size, s.modified FROM series s"  # noqa: S608
                " LEFT JOIN embedding e ON e.kind = 'series' AND e.item_id = s.id"
                f" WHERE s.sequence IS NOT NULL AND {lacking} AND NOT EXISTS (SELECT 1 FROM refused r"
                f" WHERE r.stage = 'rebuild' AND r.series_id = s.id AND {refused}) ORDER BY s.id",
                {"encoder": encoder_id},
            ).fetchall()
        return tuple(PendingSeries(i, e, Path(p), n, MRSequence(s), *rest) for i, e, p, n, s, *rest in rows)

    def count_pending(self, kind: Kind, encoder_id: str, *, full: bool = False) -> int:
        """How many reports or sentences `pending_texts` gives."""
        return sum(len(page) for page in self.pending_texts(kind, encoder_id, full=full))

    def pending_texts(self, kind: Kind, encoder_id: str, *, full: bool = False) -> Iterator[tuple[PendingText, ...]]:
        """Pages of reports or sentences without an embedding of this encoder, by rising id."""
        table, column = _TEXT[kind]
        lacking = "1" if full else "(e.id IS NULL OR e.encoder_id <> :encoder OR e.digest <> i.digest)"
        statement = (
            f"SELECT i.id, i.examination_id, i.{column}, i.digest FROM {table} i"  # noqa: S608
            f" LEFT JOIN embedding e ON e.kind = :kind AND e.item_id = i.id WHERE i.id > :last AND {lacking}"
            " ORDER BY i.id LIMIT :page"
        )
        last = 0
        while True:
            with self._connections.reading() as database:
                arguments = {"kind": str(kind), "encoder": encoder_id, "last": last, "page": PAGE}
                page = tuple(PendingText(*row) for row in database.execute(statement, arguments).fetchall())
            if not page:
                return
            last = page[-1].id
            yield page

    def put_series(self, encoder_id: str, encoded: Sequence[EncodedSeries]) -> None:
        """Keep embeddings, remarks and thumbnails, and forget that the series were refused; one transaction."""
        with self._connections.writing() as database:
            for one in encoded:
                series = one.series
                row = (series.id, series.examination_id, encoder_id, series.digest, _blob(one.embedding))
                database.execute(_put_statement(Kind.SERIES), row)
                database.execute(
                    "UPDATE series SET partial = ?, remarks = ?, shape = ?, spacing = ?, unscorable = ? WHERE id = ?",
                    (
                        int(one.partial),
                        json.dumps(one.remarks),
                        json.dumps(one.shape),
                        json.dumps(one.spacing),
                        one.unscorable,
                        series.id,
                    ),
                )
                database.execute("DELETE FROM scored WHERE examination_id = ?", (series.examination_id,))
                database.execute(
                    "INSERT OR REPLACE INTO thumbnail VALUES (?, ?, ?)", (series.id, series.digest, one.thumbnail)
                )
                database.execute("DELETE FROM refused WHERE stage = 'rebuild' AND series_id = ?", (series.id,))

    def put_texts(
        self, kind: Kind, encoder_id: str, texts: Sequence[PendingText], vectors: NDArray[np.float32]
    ) -> None:
        """Keep the embeddings (N, D) of as many texts; one transaction."""
        rows = [
            (text.id, text.examination_id, encoder_id, text.digest, _blob(vector))
            for text, vector in zip(texts, vectors, strict=True)
        ]
        with self._connections.writing() as database:
            database.conn.executemany(_put_statement(kind), rows)

    def refuse(self, encoder_id: str, series: PendingSeries, item: str, code: str, message: str) -> None:
        """Keep why a series could not be encoded; an embedding of other content goes."""
        with self._connections.writing() as database:
            database.execute(
                "DELETE FROM embedding WHERE kind = 'series' AND item_id = ? AND digest <> ?",
                (series.id, series.digest),
            )
            database.execute(
                "INSERT OR REPLACE INTO refused (stage, source, item, code, message, series_id, digest, encoder_id)"
                " SELECT 'rebuild', e.source, ?, ?, ?, ?, ?, ? FROM examination e WHERE e.id = ?",
                (item, code, message, series.id, series.digest, encoder_id, series.examination_id),
            )

    def iter_embeddings(self, kind: Kind, encoder_id: str, batch: int = 8192) -> Iterator[EmbeddingBatch]:
        """All embeddings of a kind by one encoder, in the order of their row ids."""
        codes = {label: code for code, label in enumerate(_CODES[kind])}
        statement = (
            f"SELECT e.item_id, e.examination_id, {_LABEL[kind]}, e.vector FROM embedding e"  # noqa: S608
            f" JOIN {kind} i ON i.id = e.item_id WHERE e.kind = :kind AND e.item_id > :last AND e.encoder_id = :encoder"
            " AND e.digest = i.digest ORDER BY e.item_id LIMIT :batch"
        )
        last = -1
        while True:
            with self._connections.reading() as database:
                arguments = {"kind": str(kind), "encoder": encoder_id, "last": last, "batch": batch}
                rows = database.execute(statement, arguments).fetchall()
            if not rows:
                return
            last = rows[-1][0]
            keys, examinations, labels, blobs = zip(*rows, strict=True)
            yield EmbeddingBatch(
                keys=np.array(keys, np.int64),
                examinations=np.array(examinations, np.int64),
                codes=np.array([codes.get(label, -1) for label in labels], np.int8),
                vectors=np.frombuffer(b"".join(blobs), np.float16).reshape(len(rows), -1),
            )

    def content(self, encoder_id: str) -> str:
        """Digest of everything that a generation of this encoder would hold, without reading the vectors."""
        digest = hashlib.sha256(encoder_id.encode())
        with self._connections.reading() as database:
            for kind in Kind:
                statement = (
                    f"SELECT e.item_id, e.digest, {_LABEL[kind]} FROM embedding e JOIN {kind} i ON i.id = e.item_id"  # noqa: S608
                    " WHERE e.kind = ? AND e.encoder_id = ? AND e.digest = i.digest ORDER BY e.item_id"
                )
                for row in database.execute(statement, (str(kind), encoder_id)):
                    digest.update(repr((str(kind), *row)).encode())
        return digest.hexdigest()

    def count(self, kind: Kind, encoder_id: str) -> int:
        """How many embeddings `iter_embeddings` gives."""
        statement = (
            f"SELECT count(*) FROM embedding e JOIN {kind} i ON i.id = e.item_id"  # noqa: S608
            " WHERE e.kind = ? AND e.encoder_id = ? AND e.digest = i.digest"
        )
        with self._connections.reading() as database:
            return int(database.execute(statement, (str(kind), encoder_id)).fetchone()[0])

    def unscored(self, encoder_id: str, scoring: str) -> dict[int, tuple[tuple[MRSequence, NDArray[np.float32]], ...]]:
        """The embeddings of the scorable series of every examination that was not scored so since they were made."""
        return self._series(
            encoder_id, "e.examination_id NOT IN (SELECT examination_id FROM scored WHERE scoring = ?)", scoring
        )

    def reported(self, encoder_id: str) -> dict[int, tuple[tuple[MRSequence, NDArray[np.float32]], ...]]:
        """The embeddings of the scorable series of every examination that has a report."""
        return self._series(encoder_id, "e.examination_id IN (SELECT examination_id FROM report)")

    def _series(
        self, encoder_id: str, condition: str, *values: str
    ) -> dict[int, tuple[tuple[MRSequence, NDArray[np.float32]], ...]]:
        statement = (
            "SELECT e.examination_id, s.sequence, e.vector FROM embedding e JOIN series s ON s.id = e.item_id"  # noqa: S608
            f" WHERE e.kind = 'series' AND e.encoder_id = ? AND s.unscorable = '' AND {condition}"
            " ORDER BY s.examination_id, s.number"
        )
        with self._connections.reading() as database:
            rows = database.execute(statement, (encoder_id, *values)).fetchall()
        found: dict[int, list[tuple[MRSequence, NDArray[np.float32]]]] = {}
        for examination, sequence, blob in rows:
            vector = np.frombuffer(blob, np.float16).astype(np.float32)
            found.setdefault(examination, []).append((MRSequence(sequence), vector))
        return {examination: tuple(series) for examination, series in found.items()}

    def put_scores(self, scores: dict[int, tuple[tuple[str, float, bool], ...]], scoring: str) -> None:
        """Keep (finding, score, flagged) of examinations in place of what they had; one transaction."""
        rows = [(identity, *score, scoring) for identity, findings in scores.items() for score in findings]
        with self._connections.writing() as database:
            database.conn.executemany("DELETE FROM scored WHERE examination_id = ?", [(one,) for one in scores])
            database.conn.executemany("INSERT INTO scored VALUES (?, ?, ?, ?, ?)", rows)

    def reasons_not_encoded(self) -> dict[int, tuple[str, ...]]:
        """Why series could not be encoded, by examination id."""
        found: dict[int, list[str]] = {}
        with self._connections.reading() as database:
            for examination, message in database.execute(
                "SELECT s.examination_id, r.message FROM refused r JOIN series s ON s.id = r.series_id"
                " WHERE r.stage = 'rebuild' ORDER BY s.examination_id, s.number"
            ):
                found.setdefault(examination, []).append(message)
        return {examination: tuple(dict.fromkeys(messages)) for examination, messages in found.items()}

    def refused(self) -> tuple[Refused, ...]:
        """The series that could not be encoded."""
        with self._connections.reading() as database:
            rows = database.execute(
                "SELECT item, code, message FROM refused WHERE stage = 'rebuild' ORDER BY source, item"
            ).fetchall()
        return tuple(Refused(*row) for row in rows)


def _put_statement(kind: Kind) -> str:
    return (
        f"INSERT INTO embedding (kind, item_id, examination_id, encoder_id, digest, vector) VALUES ('{kind}', ?, ?, ?,"  # noqa: S608
        " ?, ?) ON CONFLICT (kind, item_id) DO UPDATE SET examination_id = excluded.examination_id,"
        " encoder_id = excluded.encoder_id, digest = excluded.digest, vector = excluded.vector"
    )


def _blob(vector: NDArray[np.float32]) -> bytes:
    return np.ascontiguousarray(vector, dtype=np.float16).tobytes()
