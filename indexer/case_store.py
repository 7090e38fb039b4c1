"""The case store: SQLite as the truth about examinations, series, reports and collections.

One door to what the other files of the store do: tables in `schema`, rows in `case_rows`, writing in `case_writing`,
filters in `case_queries`, words in `case_words`, collections in `teaching_folders`, vectors in `embedding_store`.
"""

from __future__ import annotations

import json
from collections.abc import Collection as Container
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from indexer import case_queries, case_rows, case_words, case_writing, schema, teaching_folders
from indexer.case_writing import Change
from indexer.cases import (
    CaseFilter,
    CaseMissing,
    Collection,
    Counts,
    Draft,
    Examination,
    Refused,
    Sentence,
    Series,
    WordMatch,
)
from indexer.connections import Connections
from indexer.embedding_store import EmbeddingStore

__all__ = ["CaseStore", "Change"]


class CaseStore:
    """Safe to use from several threads. With `read_only` each thread has a connection that cannot write."""

    def __init__(self, connections: Connections) -> None:
        self.connections = connections
        self.embeddings = EmbeddingStore(connections)

    @classmethod
    def open(cls, data: Path | str, *, read_only: bool = False) -> Self:
        """Open the store of a data directory; without `read_only` it is made where there is none.

        Raises
        ------
        StoreError
            when there is none to read, when it is damaged, or when its schema is newer than this release
        """
        folder = Path(data)
        if not read_only:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return cls(Connections(folder, read_only=read_only))

    def close(self) -> None:
        self.connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Examinations

    def put(self, draft: Draft) -> Change:
        """Insert an examination or update what changed of it."""
        with self.connections.writing() as database:
            return case_writing.put(database, draft)

    def restate(self) -> None:
        """Read again which findings reports state, where a site's own catalogue has words of its own."""
        with self.connections.writing() as database:
            case_writing.restate(database)

    def remove(self, key: str) -> int:
        """Delete a case with its report, words, vectors and pictures; its row id. Raises CaseMissing.

        Vectors in generations are left to `remove.remove_case`, which is what commands call.
        """
        with self.connections.writing() as database:
            return case_writing.remove(database, key)

    def examination(self, key: str) -> Examination:
        """Raises CaseMissing."""
        identity = self.id_of(key)
        found = self.examinations([identity]).get(identity)
        if found is None:
            raise _no_case(key)
        return found

    def examinations(self, ids: Iterable[int]) -> dict[int, Examination]:
        """Those that are there; an id that was removed meanwhile is left out."""
        with self.connections.reading() as database:
            return case_rows.read_examinations(database, ids)

    def id_of(self, key: str) -> int:
        """Raises CaseMissing."""
        row = self._row("SELECT id FROM examination WHERE key = ?", _storable(key).casefold())
        if row is None:
            raise _no_case(key)
        return int(row[0])

    def participants(self, ids: Iterable[int]) -> dict[int, str]:
        """Source and participant, so that the same person is the same text in all of their examinations."""
        with self.connections.reading() as database:
            return case_rows.read_participants(database, ids)

    def sentence(self, sentence_id: int) -> Sentence:
        """Raises CaseMissing."""
        found = self.sentences([sentence_id]).get(int(sentence_id))
        if found is None:
            raise CaseMissing(f"Expected the row id of a sentence, got {sentence_id}.")
        return found

    def sentences(self, ids: Iterable[int]) -> dict[int, Sentence]:
        """Sentences by row id (`Neighbour.key` of `Kind.SENTENCE`); those gone are left out."""
        with self.connections.reading() as database:
            return case_rows.read_sentences(database, ids)

    def series(self, ids: Iterable[int]) -> dict[int, Series]:
        """Series by row id (`Neighbour.key` of `Kind.SERIES`); those gone are left out."""
        with self.connections.reading() as database:
            return case_rows.read_series(database, ids)

    def series_file(self, key: str, number: int) -> Path:
        """Where the voxels are, for slices and viewers; never shown. Raises CaseMissing."""
        row = self._row("SELECT path FROM series WHERE examination_id = ? AND number = ?", self.id_of(key), number)
        if row is None:
            raise _no_series(key, number)
        return Path(row[0])

    def thumbnail(self, key: str, number: int) -> bytes | None:
        """PNG; None before the first rebuild. Raises CaseMissing."""
        row = self._row(
            "SELECT t.png FROM series s LEFT JOIN thumbnail t ON t.series_id = s.id"
            " WHERE s.examination_id = ? AND s.number = ?",
            self.id_of(key),
            number,
        )
        if row is None:
            raise _no_series(key, number)
        return None if row[0] is None else bytes(row[0])

    def scores(self, ids: Iterable[int]) -> Mapping[int, Mapping[str, float]]:
        """Findings' scores of the scans (made by rebuild), by examination id."""
        with self.connections.reading() as database:
            return case_rows.read_scores(database, ids)

    # Questions

    def matching(self, case_filter: CaseFilter) -> NDArray[np.int64]:
        """Sorted row ids of the examinations that pass."""
        with self.connections.reading() as database:
            return case_queries.matching(database, case_filter)

    def facets(self, ids: NDArray[np.int64] | None = None) -> dict[str, dict[str, int]]:
        """Exact counts under sequence, sex, age (decades "40-49"), year, source, diagnosis, finding and reported."""
        with self.connections.reading() as database:
            return case_queries.facets(database, ids)

    def same_examinations(self) -> tuple[tuple[int, ...], ...]:
        """Groups of row ids of examinations that are stored more than once, as told by their voxels or reports."""
        with self.connections.reading() as database:
            return case_queries.same_examinations(database)

    def search_words(
        self,
        words: Sequence[str],
        limit: int,
        ids: NDArray[np.int64] | None = None,
        assertions: Container[str] | None = None,
    ) -> tuple[WordMatch, ...]:
        """Sentences, then whole reports (`sentence_id` None), each best first and at most `limit`.

        A word of several tokens is a phrase. Any of the words will do; more of them score higher. With `assertions`
        only clauses of these count, in whole reports too; the diagnosis that came beside a report counts as present.
        No text raises: what holds no letter or digit finds nothing.
        """
        with self.connections.reading() as database:
            return case_words.search_words(database, words, limit, ids, assertions)

    def examinations_saying(self, groups: Sequence[Sequence[str]], assertions: Container[str]) -> NDArray[np.int64]:
        """Sorted row ids of examinations with a sentence of these assertions that has a phrase of every group."""
        with self.connections.reading() as database:
            return case_words.examinations_saying(database, groups, assertions)

    def refused(self) -> tuple[Refused, ...]:
        """What ingest or rebuild did not take, until it is mended or gone."""
        with self.connections.reading() as database:
            return case_queries.refused(database)

    def counts(self) -> Counts:
        with self.connections.reading() as database:
            return case_queries.counts(database)

    # Collections; CollectionError for what cannot be done, CaseMissing for what is not there

    def collections(self) -> tuple[Collection, ...]:
        with self.connections.reading() as database:
            return teaching_folders.collections(database)

    def collection(self, name: str) -> Collection:
        with self.connections.reading() as database:
            return teaching_folders.collection(database, name)

    def create_collection(self, title: str) -> Collection:
        with self.connections.writing() as database:
            return teaching_folders.create(database, title)

    def rename_collection(self, name: str, title: str) -> Collection:
        with self.connections.writing() as database:
            return teaching_folders.rename(database, name, title)

    def delete_collection(self, name: str) -> None:
        with self.connections.writing() as database:
            teaching_folders.delete(database, name)

    def add_to_collection(self, name: str, key: str, note: str = "") -> Collection:
        """Append an examination; one that is there keeps its place and gets the note."""
        with self.connections.writing() as database:
            return teaching_folders.add(database, name, key, note)

    def remove_from_collection(self, name: str, key: str) -> Collection:
        with self.connections.writing() as database:
            return teaching_folders.take_out(database, name, key)

    def reorder_collection(self, name: str, keys: Sequence[str]) -> Collection:
        """A new order, which names each entry once."""
        with self.connections.writing() as database:
            return teaching_folders.reorder(database, name, keys)

    # For ingest, rebuild and verify

    def checkpoint(self) -> None:
        """Move the write-ahead log into the database; only while holding the writer's lock."""
        with self.connections.reading() as database:
            schema.checkpoint(database, self.connections.data)

    def sources(self) -> tuple[tuple[str, str, str], ...]:
        """Name, kind and location of every source."""
        with self.connections.reading() as database:
            rows = database.execute("SELECT name, kind, location FROM source ORDER BY name").fetchall()
        return tuple((name, kind, location) for name, kind, location in rows)

    def put_source(self, name: str, kind: str, location: str, texts: str = "") -> None:
        """`texts` says how the source's texts were de-identified."""
        with self.connections.writing() as database:
            database.execute(
                "INSERT OR REPLACE INTO source (name, kind, location, texts) VALUES (?, ?, ?, ?)",
                (name, kind, location, texts),
            )

    def texts_of_sources(self) -> dict[str, str]:
        """How the texts of each source were de-identified; empty where an older release took them in as given."""
        with self.connections.reading() as database:
            return dict(database.execute("SELECT name, texts FROM source ORDER BY name").fetchall())

    def keys_of(self, source: str) -> frozenset[str]:
        """Keys of all examinations of a source."""
        with self.connections.reading() as database:
            rows = database.execute("SELECT key FROM examination WHERE source = ?", (source,)).fetchall()
        return frozenset(key for (key,) in rows)

    def reported(self, source: str) -> int:
        """How many examinations of a source have a report."""
        row = self._row(
            "SELECT count(*) FROM report r JOIN examination e ON e.id = r.examination_id WHERE e.source = ?", source
        )
        return int(row[0]) if row else 0

    def known_files(self, source: str) -> dict[str, tuple[int, int, str, tuple[int, ...], tuple[float, ...]]]:
        """Size, modification time, digest, shape and spacing of the files of a source, by path."""
        with self.connections.reading() as database:
            rows = database.execute(
                "SELECT s.path, s.size, s.modified, s.digest, s.shape, s.spacing FROM series s"
                " JOIN examination e ON e.id = s.examination_id WHERE e.source = ?",
                (source,),
            ).fetchall()
        return {row[0]: (row[1], row[2], row[3], tuple(json.loads(row[4])), tuple(json.loads(row[5]))) for row in rows}

    def replace_refused(self, source: str, refused: Iterable[Refused]) -> None:
        """What the latest ingest of a source refused, instead of what earlier ones did."""
        with self.connections.writing() as database:
            database.execute("DELETE FROM refused WHERE stage = 'ingest' AND source = ?", (source,))
            for one in refused:
                database.execute(
                    "INSERT OR REPLACE INTO refused (stage, source, item, code, message) VALUES ('ingest', ?, ?, ?, ?)",
                    (source, one.item, one.code, one.message),
                )

    def _row(self, statement: str, *arguments: object) -> tuple[Any, ...] | None:
        with self.connections.reading() as database:
            row: tuple[Any, ...] | None = database.execute(statement, arguments).fetchone()
        return row


def _storable(text: str) -> str:
    """Text that SQLite takes: lone surrogates replaced."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _no_case(key: str) -> CaseMissing:
    return CaseMissing(f"Expected the key of an examination, got '{_storable(key)[:40]}'.")


def _no_series(key: str, number: int) -> CaseMissing:
    return CaseMissing(f"Expected a series of the examination {key}, got number {number}.")
