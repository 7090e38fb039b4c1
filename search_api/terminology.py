"""A site's own terminology beside the shipped list: names that mean the same, kept in the data directory.

`neurorecall terms FILE` takes JSON lines (`name`, or `text` "name: definition", with `synonyms` or `labels`) or the
release of RadLex as CSV (Preferred Label, Synonyms), packed or not. What a query makes of them is left to spelling and
query.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from indexer.durable import replace_file
from indexer.store_seal import break_seal, put_seal

FILE = "terms.json"
_LONGEST_NAME = 6  # words; longer ones are definitions
_SHORTEST_WORD = 4  # letters; shorter names are abbreviations that mean other things elsewhere
MOST_BYTES = 64 * 1024**2


class TerminologyError(ValueError):
    """A file that holds no terms; says in which line."""


def import_terms(file: Path, data: Path) -> tuple[int, int]:
    """Read a file of terms into the data directory, in place of what was there: (terms with synonyms, single names)."""
    groups = tuple(dict.fromkeys(group for group in map(_usable, _rows(file)) if group))
    if not groups:
        raise TerminologyError(f"Expected terms with names in {file.name}, found none")
    data.mkdir(parents=True, exist_ok=True)
    break_seal(data / FILE)
    replace_file(data / FILE, json.dumps(groups, ensure_ascii=False).encode("utf-8", "replace"))
    put_seal(data / FILE)
    several = sum(len(group) > 1 for group in groups)
    return several, len(groups) - several


def stored_terms(data: Path) -> tuple[tuple[str, ...], ...]:
    """Groups of names of the same thing; none where nothing was imported. Raises TerminologyError if damaged."""
    try:
        stored = json.loads((data / FILE).read_text("utf-8"))
        if not isinstance(stored, list) or not all(map(_is_group, stored)):
            raise ValueError("groups of names are missing")
        return tuple(map(tuple, stored))
    except FileNotFoundError:
        return ()
    except (ValueError, TypeError) as error:
        raise TerminologyError(f"Expected {FILE} as `neurorecall terms` writes it: {error}") from error


def _rows(file: Path) -> Iterator[tuple[str, ...]]:
    if file.stat().st_size > MOST_BYTES:
        raise TerminologyError(f"Expected at most {MOST_BYTES:,} bytes, got {file.stat().st_size:,}")
    try:
        if file.name.endswith(".gz"):
            with gzip.open(file, "rt", encoding="utf-8-sig") as lines:
                yield from _names(file.name.removesuffix(".gz"), lines)
        else:
            with file.open(encoding="utf-8-sig", newline="") as lines:
                yield from _names(file.name, lines)
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError) as error:
        raise TerminologyError(f"Expected UTF-8 text in {file.name}: {error}") from error


def _names(name: str, lines: Iterable[str]) -> Iterator[tuple[str, ...]]:
    if name.endswith(".csv"):
        table = csv.DictReader(lines)
        if "Preferred Label" not in (table.fieldnames or ()):
            raise TerminologyError(f"Expected a column 'Preferred Label' in {name}, got {table.fieldnames}")
        for row in table:
            yield (row["Preferred Label"] or "", *(row.get("Synonyms") or "").split("|"))
        return
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            head = row["name"] if "name" in row else str(row["text"]).partition(": ")[0]
            yield (str(head), *(str(other) for key in ("synonyms", "labels") for other in row.get(key) or ()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TerminologyError(
                f"Expected JSON with `name` or `text` in line {number} of {name}: {error}"
            ) from error


def _is_group(stored: object) -> bool:
    return isinstance(stored, list) and bool(stored) and all(isinstance(name, str) and name for name in stored)


def _usable(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of at most six words, each once; commas turn a name around and are left out."""
    found: dict[str, str] = {}
    for name in names:
        plain = " ".join(name.split())
        words = plain.split()
        fits = 0 < len(words) <= _LONGEST_NAME and "," not in plain and "(" not in plain
        if fits and max(len(word) for word in words) >= _SHORTEST_WORD:
            found.setdefault(plain.casefold(), plain)
    return tuple(found.values())
