"""Which examinations pass a filter, and how many there are of each kind: exact, in SQL."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from indexer.cases import CaseFilter, Counts, Refused

if TYPE_CHECKING:
    from sqlite_utils import Database

_TELLING_BYTES = 64  # of a vector: 32 float16 values that agree to the last bit belong to the same voxels
_REPORTED = "EXISTS (SELECT 1 FROM report r WHERE r.examination_id = e.id)"
_HAS_FINDING = (
    "(EXISTS (SELECT 1 FROM stated t WHERE t.examination_id = e.id AND t.finding = :finding)"
    " OR (NOT EXISTS (SELECT 1 FROM report r WHERE r.examination_id = e.id)"
    " AND EXISTS (SELECT 1 FROM scored c WHERE c.examination_id = e.id AND c.finding = :finding AND c.flagged)))"
)
_CONDITIONS = {
    "sequence": "EXISTS (SELECT 1 FROM series s WHERE s.examination_id = e.id AND s.sequence = :sequence)",
    "sex": "e.sex = :sex",
    "age_min": "e.age >= :age_min",
    "age_max": "e.age <= :age_max",
    "since": "e.date >= :since",
    "until": "e.date <= :until",
    "source": "e.source = :source",
    "finding": _HAS_FINDING,
}
_FACETS = {
    "sequence": (
        "SELECT sequence, count(DISTINCT examination_id) FROM series WHERE sequence IS NOT NULL{and_examination}"
    ),
    "sex": "SELECT sex, count(*) FROM examination WHERE sex IS NOT NULL{and_id}",
    "age": "SELECT CAST(age / 10 AS INTEGER), count(*) FROM examination WHERE age IS NOT NULL{and_id}",
    "year": "SELECT substr(date, 1, 4), count(*) FROM examination WHERE date IS NOT NULL{and_id}",
    "source": "SELECT source, count(*) FROM examination WHERE 1{and_id}",
    "diagnosis": "SELECT diagnosis, count(*) FROM examination WHERE diagnosis IS NOT NULL{and_id}",
    "finding": (
        "SELECT finding, count(*) FROM (SELECT finding, examination_id FROM stated UNION"
        " SELECT finding, examination_id FROM scored WHERE flagged AND examination_id NOT IN"
        " (SELECT examination_id FROM report)) WHERE 1{and_examination}"
    ),
    "reported": (
        "SELECT CASE WHEN id IN (SELECT examination_id FROM report) THEN 'yes' ELSE 'no' END, count(*)"
        " FROM examination WHERE 1{and_id}"
    ),
}


def matching(database: Database, case_filter: CaseFilter) -> NDArray[np.int64]:
    """Sorted row ids of the examinations that pass."""
    values = {name: getattr(case_filter, name) for name in _CONDITIONS}
    values = {name: value for name, value in values.items() if value is not None}
    conditions = [_CONDITIONS[name] for name in values]
    if case_filter.reported is not None:
        conditions.append(_REPORTED if case_filter.reported else f"NOT {_REPORTED}")
    where = " AND ".join(conditions) or "1"
    arguments = {name: value if isinstance(value, float | int) else str(value) for name, value in values.items()}
    rows = database.execute(f"SELECT e.id FROM examination e WHERE {where} ORDER BY e.id", arguments)  # noqa: S608
    return np.fromiter((row[0] for row in rows.fetchall()), dtype=np.int64)


def facets(database: Database, ids: NDArray[np.int64] | None) -> dict[str, dict[str, int]]:
    """Counts of examinations by field and value, most first; of these ids, or of all."""
    among = " IN (SELECT value FROM json_each(:ids))"
    restriction = {
        "and_id": "" if ids is None else f" AND id{among}",
        "and_examination": "" if ids is None else f" AND examination_id{among}",
    }
    arguments = {} if ids is None else {"ids": json.dumps(np.asarray(ids).tolist())}
    found = {}
    for field, statement in _FACETS.items():
        rows = database.execute(
            statement.format(**restriction) + " GROUP BY 1 ORDER BY 2 DESC, 1", arguments
        ).fetchall()
        if field == "age":
            rows = [(f"{10 * decade}-{10 * decade + 9}", count) for decade, count in sorted(rows)]
        found[field] = {str(value): int(count) for value, count in rows}
    return found


def same_examinations(database: Database) -> tuple[tuple[int, ...], ...]:
    """Groups of row ids of examinations that are one examination, stored more than once.

    Two are the same where all series of the one with fewer are, voxel by voxel, series of the other: equal voxels give
    equal vectors, however the file was named or packed. Without any series, the report, age, sex and date must agree.
    """
    rows = database.execute(
        f"SELECT substr(vector, 1, {_TELLING_BYTES}), group_concat(DISTINCT examination_id) FROM embedding"  # noqa: S608
        " WHERE kind = 'series' GROUP BY 1 HAVING count(DISTINCT examination_id) > 1"
    ).fetchall()
    shared = Counter(pair for _, ids in rows for pair in combinations(sorted(map(int, ids.split(","))), 2))
    have = {row: _series_count(database, row) for pair in shared for row in pair}
    same = [pair for pair, count in shared.items() if count >= min(have[pair[0]], have[pair[1]])]
    unscanned = database.execute(
        "SELECT group_concat(e.id) FROM examination e JOIN report r ON r.examination_id = e.id"
        " WHERE e.date IS NOT NULL AND e.id NOT IN (SELECT examination_id FROM series)"
        " GROUP BY r.digest, e.age, e.sex, e.date HAVING count(*) > 1"
    ).fetchall()
    same += [pair for (ids,) in unscanned for pair in pairwise(sorted(map(int, ids.split(","))))]
    return _groups(same)


def _series_count(database: Database, examination: int) -> int:
    statement = "SELECT count(*) FROM embedding WHERE kind = 'series' AND examination_id = ?"
    return int(database.execute(statement, (examination,)).fetchone()[0])


def _groups(pairs: Iterable[tuple[int, int]]) -> tuple[tuple[int, ...], ...]:
    """What hangs together by pairs.

    >>> _groups([(1, 2), (4, 5), (2, 3)])
    ((1, 2, 3), (4, 5))
    """
    group_of: dict[int, set[int]] = {}
    for one, other in pairs:
        joined = group_of.get(one, {one}) | group_of.get(other, {other})
        for member in joined:
            group_of[member] = joined
    return tuple(sorted({tuple(sorted(group)) for group in group_of.values()}))


def counts(database: Database) -> Counts:
    statements = (
        "SELECT count(*) FROM examination",
        "SELECT count(*) FROM report",
        "SELECT count(*) FROM (SELECT DISTINCT source, participant FROM examination)",
        "SELECT count(*) FROM series",
        "SELECT count(*) FROM sentence",
        "SELECT count(*) FROM refused",
    )
    return Counts(*(int(database.execute(statement).fetchone()[0]) for statement in statements))


def refused(database: Database) -> tuple[Refused, ...]:
    rows = database.execute("SELECT item, code, message FROM refused ORDER BY stage, source, item").fetchall()
    return tuple(Refused(*row) for row in rows)
