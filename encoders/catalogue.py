"""Catalogues of findings: the one of a bundle, and a site's own, whose findings are added or stand in for others.

TOML, one `[[finding]]` table each. What a finding is scored by is left to `findings`.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from encoders.findings import ABNORMAL, Finding

OWN = "NEURORECALL_FINDINGS"  # names a site's own catalogue
_KEYS = ("name", "title", "present", "absent", "terms", "narrower", "kind_of", "words")
_NAME = re.compile(r"[a-z][a-z0-9_]*")  # as a filter `finding=` reads it


class FindingsError(ValueError):
    """A catalogue that cannot be used; says what was found, where, and what was expected."""


def own_catalogue() -> Path | None:
    """The file of a site's own findings, where the environment names one."""
    named = os.environ.get(OWN, "").strip()
    return Path(named) if named else None


def load_findings(path: Path, own: Path | None = None) -> tuple[Finding, ...]:
    """A bundle's catalogue, in which `abnormal` comes first, with a site's own merged in.

    Raises
    ------
    FindingsError
        a file that is no TOML, an entry that is none, a name given twice, a `kind_of` that names no finding
    """
    findings = {one.name: one for one in _read(path)}
    if next(iter(findings), None) != ABNORMAL:
        raise FindingsError(f"Expected findings in {path.name} that begin with '{ABNORMAL}', got {list(findings)}")
    where = path.name
    if own is not None:
        findings |= {one.name: one for one in _read(own)}
        where = own.name
    for one in findings.values():
        if one.kind_of is not None and (one.kind_of == one.name or one.kind_of not in findings):
            raise FindingsError(
                f"Expected `kind_of` of the finding '{one.name}' in {where} to name another finding,"
                f" got '{one.kind_of}'"
            )
    return tuple(findings.values())


def own_findings() -> tuple[Finding, ...]:
    """The findings of a site's own catalogue alone; raises as `load_findings`."""
    own = own_catalogue()
    return _read(own) if own is not None else ()


def _read(path: Path) -> tuple[Finding, ...]:
    try:
        tables = tomllib.loads(path.read_text("utf-8")).get("finding", [])
    except UnicodeDecodeError as error:
        raise FindingsError(f"Expected a catalogue of findings in {path.name}, got bytes that are no TOML") from error
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise FindingsError(f"Expected a catalogue of findings in {path.name}, got: {error}") from error
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise FindingsError(f"Expected [[finding]] tables in {path.name}, got {str(tables)[:60]}")
    found: dict[str, Finding] = {}
    for number, table in enumerate(tables, start=1):
        one = _finding(table, number, path.name)
        if one.name in found:
            raise FindingsError(f"Expected every finding once in {path.name}, got '{one.name}' twice")
        found[one.name] = one
    return tuple(found.values())


def _finding(table: Mapping[str, Any], number: int, where: str) -> Finding:
    name = table.get("name")
    which = f"finding {number} in {where}"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise FindingsError(f"Expected a name of small letters, digits and underscores for {which}, got {_shown(name)}")
    which = f"the finding '{name}' in {where}"
    if unknown := sorted(set(table) - set(_KEYS)):
        raise FindingsError(f"Unknown key {unknown} of {which}; known are {', '.join(_KEYS)}")
    title, kind_of = table.get("title", name), table.get("kind_of")
    if not isinstance(title, str) or not title.strip():
        raise FindingsError(f"Expected a text as the title of {which}, got {_shown(title)}")
    if kind_of is not None and not isinstance(kind_of, str):
        raise FindingsError(f"Expected the name of a finding as `kind_of` of {which}, got {_shown(kind_of)}")
    present, absent = (_texts(table, key, f"{key} sentences", which) for key in ("present", "absent"))
    if not present or not absent:
        none = "absent" if present else "present"
        raise FindingsError(f"Expected present and absent sentences for {which}, got no {none} ones")
    if both := set(present) & set(absent):
        raise FindingsError(f"Expected other absent than present sentences for {which}, got {sorted(both)} as both")
    terms, narrower = (_texts(table, key, "ids", which) for key in ("terms", "narrower"))
    words = _texts(table, "words", "words", which)
    return Finding(name, title, present, absent, terms, kind_of, words, narrower)


def _texts(table: Mapping[str, Any], key: str, what: str, which: str) -> tuple[str, ...]:
    given = table.get(key, [])
    if not isinstance(given, list) or not all(isinstance(text, str) and text.strip() for text in given):
        raise FindingsError(f"Expected a list of {what} as `{key}` of {which}, got {_shown(given)}")
    return tuple(given)


def _shown(value: object) -> str:
    return "none" if value is None else f"{type(value).__name__} {str(value)[:60]!r}"
