"""API keys: what is kept of one, what opens and what does not, and what a broken file means."""

from __future__ import annotations

import json
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from search_api.api_keys import ApiKeyError, ApiKeys
from search_api.principals import Role


def file_of(data: Path) -> Path:
    return data / "access" / "keys.json"


def change(data: Path, **fields: object) -> None:
    document = json.loads(file_of(data).read_text("utf-8"))
    document["keys"][0] |= fields
    file_of(data).write_text(json.dumps(document), "utf-8")


def test_a_key_opens_and_is_kept_as_a_hash_alone(tmp_path: Path) -> None:
    made, key = ApiKeys(tmp_path).add("ward-7", Role.READER, 30)
    assert re.fullmatch(r"nr_[0-9a-f]{8}_[A-Za-z0-9_-]{43}", key)
    found = ApiKeys(tmp_path).owner(key)
    assert found == made
    assert found is not None
    assert found.principal.name == "key:ward-7"
    assert found.principal.role is Role.READER
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert key[12:].encode() not in stored
    assert stat.S_IMODE(file_of(tmp_path).stat().st_mode) == 0o600
    assert stat.S_IMODE(file_of(tmp_path).parent.stat().st_mode) == 0o700


def test_what_is_no_key_of_ours_opens_nothing(tmp_path: Path) -> None:
    keys = ApiKeys(tmp_path)
    _, key = keys.add("a", Role.ADMIN, 1)
    other = ApiKeys(tmp_path / "other")
    _, foreign = other.add("a", Role.ADMIN, 1)
    changed = key[:-1] + ("A" if key[-1] != "A" else "B")
    for wrong in (
        "",
        "nr_",
        key[:-1],
        key + "A",
        changed,
        key.upper(),
        f" {key}",
        foreign,
        f"{key[:12]}{foreign[12:]}",
        "é" * 55,
    ):
        assert keys.owner(wrong) is None, wrong
    assert keys.owner(key) is not None


def test_a_key_ends_by_its_day_and_when_revoked(tmp_path: Path) -> None:
    keys = ApiKeys(tmp_path)
    made, key = keys.add("a", Role.READER, 1)
    change(tmp_path, expires=(datetime.now(UTC) - timedelta(seconds=1)).isoformat())
    assert keys.owner(key) is None
    change(tmp_path, expires=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    assert keys.owner(key) is not None
    # Revoked by another process, noticed by this one.
    assert [one.id for one in ApiKeys(tmp_path).revoke("a")] == [made.id]
    assert keys.owner(key) is None
    with pytest.raises(ApiKeyError, match="no valid key"):
        keys.revoke(made.id)


def test_a_name_is_taken_while_its_key_is_valid(tmp_path: Path) -> None:
    keys = ApiKeys(tmp_path)
    keys.add("a", Role.READER, 1)
    with pytest.raises(ApiKeyError, match="named a"):
        keys.add("a", Role.READER, 1)
    keys.revoke("a")
    keys.add("a", Role.CURATOR, 1)
    assert [key.role for key in keys.all() if key.valid] == [Role.CURATOR]


@pytest.mark.parametrize("name", ["", " a", "a/b", "a\nb", "x" * 61, "é"])
def test_a_name_that_would_not_read_well_in_the_audit_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ApiKeyError, match="name"):
        ApiKeys(tmp_path).add(name, Role.READER, 1)


@pytest.mark.parametrize("days", [0, -1, 3651])
def test_days_have_limits(tmp_path: Path, days: int) -> None:
    with pytest.raises(ApiKeyError, match="days"):
        ApiKeys(tmp_path).add("a", Role.READER, days)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"format": 2, "keys": []}', b'{"format": 1, "keys": [{"id": "x"}]}', b"\xff"]
)
def test_a_file_that_cannot_be_read_lets_nobody_in(tmp_path: Path, content: bytes) -> None:
    keys = ApiKeys(tmp_path)
    _, key = keys.add("a", Role.READER, 1)
    file_of(tmp_path).write_bytes(content)
    with pytest.raises(ApiKeyError, match="cannot be read"):
        keys.owner(key)


def test_keys_made_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: ApiKeys(tmp_path).add(f"key {number}", Role.READER, 1)[1], range(24)))
    keys = ApiKeys(tmp_path)
    assert len(keys.all()) == 24
    assert all(keys.owner(key) for key in made)
