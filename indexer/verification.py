"""Checking everything that is stored: the database's own checks, and every hash, count and row id of the index."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np

from indexer import generation_files, store_seal
from indexer.case_store import CaseStore
from indexer.embedding_store import Kind
from indexer.generation_manifest import GenerationError
from indexer.generations import Index
from indexer.pseudonyms import PseudonymError, check_key

LISTED = 5  # row ids that a problem names


def verify(data: Path | str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Problems and remarks. A problem is a lie; an index that is only behind the store is a remark.

    Raises
    ------
    StoreError
        when the case store cannot be opened at all
    """
    data = Path(data)
    with CaseStore.open(data, read_only=True) as store:
        problems = _check_files(data, store)
        try:
            problems += _check_database(store)
        except sqlite3.DatabaseError as error:
            problems.append(f"Database: it cannot be read: {error}.")
            return tuple(problems), ()
        remarks: list[str] = []
        current = generation_files.current_name(data)
        names = generation_files.names(data)
        if current is None or current not in names:
            lie = current or (data / generation_files.CURRENT).exists()
            named = f"CURRENT names {current or 'nothing'}, which is not there." if lie else "Nothing was switched to."
            (problems if lie else remarks).append(f"{named} `neurorecall rebuild` makes a current generation.")
        for name in names:
            try:
                index = Index.open_generation(data, name)
                index.self_test()
            except GenerationError as error:
                problems.append(f"Generation {name}: {error}")
                continue
            problems += index.check()
            if name == current:
                _compare(store, index, problems, remarks)
        remarks += [f"{name} was set aside as broken." for name in generation_files.bad_names(data)]
    return tuple(problems), tuple(remarks)


def _check_files(data: Path, store: CaseStore) -> list[str]:
    """Files as they were sealed, and the key of the pseudonyms where there are some."""
    problems = list(store_seal.broken_seals(data))
    try:
        check_key(data)
    except PseudonymError as error:
        problems.append(str(error))
    except FileNotFoundError:
        if any(kind == "folder" and store.keys_of(name) for name, kind, _ in store.sources()):
            problems.append("Expected the key of the pseudonyms, found none: bring it back from a backup.")
    return problems


def _check_database(store: CaseStore) -> list[str]:
    with store.connections.reading() as database:
        integrity = [row for (row,) in database.execute("PRAGMA integrity_check").fetchall() if row != "ok"]
        orphans = database.execute("PRAGMA foreign_key_check").fetchall()
        words = database.execute(
            "SELECT (SELECT count(*) FROM sentence), (SELECT count(*) FROM sentence_words),"
            " (SELECT count(*) FROM report), (SELECT count(*) FROM report_words),"
            " (SELECT count(*) FROM sentence WHERE id NOT IN (SELECT rowid FROM sentence_words))"
        ).fetchone()
        ownerless = database.execute(
            "SELECT count(*) FROM embedding e WHERE NOT CASE e.kind"
            " WHEN 'series' THEN EXISTS (SELECT 1 FROM series i WHERE i.id = e.item_id)"
            " WHEN 'report' THEN EXISTS (SELECT 1 FROM report i WHERE i.id = e.item_id)"
            " ELSE EXISTS (SELECT 1 FROM sentence i WHERE i.id = e.item_id) END"
        ).fetchone()[0]
    problems = [f"Database: {text}" for text in integrity]
    problems += [f"Database: a row of {row[0]} refers to a row of {row[2]} that is not there." for row in orphans]
    if words[0] != words[1] or words[2] != words[3] or words[4]:
        problems.append(
            f"Database: expected words of {words[0]} sentences and {words[2]} reports, found {words[1]} and {words[3]}."
        )
    if ownerless:
        problems.append(f"Database: {ownerless} embeddings belong to nothing.")
    return problems


def _compare(store: CaseStore, index: Index, problems: list[str], remarks: list[str]) -> None:
    """The current generation against the store: the same content must mean the same row ids."""
    behind = index.content != store.embeddings.content(index.encoder_id)
    if behind:
        remarks.append(f"Generation {index.name} is behind the case store; `neurorecall rebuild` brings it up to date.")
        return
    for kind in Kind:
        stored = [batch.keys for batch in store.embeddings.iter_embeddings(kind, index.encoder_id)]
        keys = np.concatenate(stored) if stored else np.empty(0, np.int64)
        different = np.setxor1d(keys, index.keys(kind))
        if len(different):
            listed = ", ".join(str(key) for key in different[:LISTED].tolist())
            problems.append(
                f"Generation {index.name}: expected the {len(keys)} stored vectors of kind {kind}, found"
                f" {index.counts[kind]}; different are {listed}."
            )
