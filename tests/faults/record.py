"""What a data directory holds, read without NeuroRecall's own store: the independent record that faults are judged by.

Facts are lines of text. What people told (`told`) hangs on a case, what was computed of it (`made`) too, and what is
served is the vectors of one generation.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from indexer.embedding_store import Kind
from indexer.generations import Index, IndexMissing

_TOLD = (
    "SELECT key, source, participant, session, age, sex, date, diagnosis, notes, digest FROM examination",
    "SELECT e.key, s.number, s.sequence, s.name, s.size, s.digest FROM series s JOIN examination e"
    " ON e.id = s.examination_id",
    "SELECT e.key, r.text, r.sections, r.provenance, r.essence FROM report r JOIN examination e"
    " ON e.id = r.examination_id",
    "SELECT e.key, s.number, s.text, s.section, s.assertion FROM sentence s JOIN examination e"
    " ON e.id = s.examination_id",
    "SELECT e.key, s.finding FROM stated s JOIN examination e ON e.id = s.examination_id",
    "SELECT e.key, w.rowid, w.present, w.absent FROM sentence_words w JOIN sentence s ON s.id = w.rowid"
    " JOIN examination e ON e.id = s.examination_id",
    "SELECT e.key, c.name, c.title, n.position, n.note FROM collection_entry n JOIN collection c"
    " ON c.id = n.collection_id JOIN examination e ON e.id = n.examination_id",
)
_MADE = (
    "SELECT e.key, v.kind, v.item_id, v.encoder_id, v.digest, v.vector FROM embedding v JOIN examination e"
    " ON e.id = v.examination_id",
    "SELECT e.key, s.finding, s.score, s.flagged, s.scoring FROM scored s JOIN examination e"
    " ON e.id = s.examination_id",
    "SELECT e.key, s.number, t.digest, t.png FROM thumbnail t JOIN series s ON s.id = t.series_id JOIN examination e"
    " ON e.id = s.examination_id",
)


@dataclass(frozen=True, slots=True)
class Record:
    """`told` by the key of its case; `made` and `served` as sets of facts; `erasing` counts unfinished removals.

    `used` are the highest row ids that were ever given.
    """

    told: Mapping[str, frozenset[str]] = field(default_factory=dict)
    made: frozenset[str] = frozenset()
    served: frozenset[str] | None = None
    erasing: int = 0
    used: frozenset[str] = frozenset()


def record_of(data: Path) -> Record:
    """Read everything; a directory without a database holds nothing."""
    if not (data / "cases.sqlite").is_file() or not (data / "cases.sqlite").stat().st_size:
        return Record()
    with closing(sqlite3.connect(f"{(data / 'cases.sqlite').resolve().as_uri()}?mode=ro", uri=True)) as database:
        if not database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            return Record()
        told: dict[str, set[str]] = defaultdict(set)
        for number, statement in enumerate(_TOLD):
            for key, *values in database.execute(statement):
                told[key].add(_fact(number, *values))
        made = {_fact(number, *row) for number, statement in enumerate(_MADE) for row in database.execute(statement)}
        used = {_fact(*row) for row in database.execute("SELECT name, seq FROM sqlite_sequence WHERE seq")}
        erasing = int(database.execute("SELECT count(*) FROM erasing").fetchone()[0])
    facts = {key: frozenset(values) for key, values in told.items()}
    return Record(facts, frozenset(made), served_of(data), erasing, frozenset(used))


def served_of(data: Path) -> frozenset[str] | None:
    """Every vector of the generation that is served, with what it stands for; None where none is."""
    try:
        index = Index.open(data)
    except IndexMissing:
        return None
    return vectors_of(index)


def vectors_of(index: Index) -> frozenset[str]:
    facts = set()
    for kind in Kind:
        batch = index.batch(kind, np.arange(index.counts[kind]))
        rows = zip(batch.keys.tolist(), batch.examinations.tolist(), batch.codes.tolist(), batch.vectors, strict=True)
        facts |= {_fact(kind, key, case, code, vector.tobytes()) for key, case, code, vector in rows}
    return frozenset(facts)


def _fact(*values: object) -> str:
    shown = (hashlib.sha256(one).hexdigest()[:16] if isinstance(one, bytes) else repr(one) for one in values)
    return "|".join(shown)
