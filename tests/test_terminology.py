"""A site's own terminology: what is read, what is refused, and what queries make of it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from search_api.query import understand
from search_api.spelling import lexicon
from search_api.terminology import FILE, TerminologyError, import_terms, stored_terms

ROWS = (
    {
        "text": "Rasmussen encephalitis: chronic inflammation",
        "labels": ["Rasmussen encephalitis", "Rasmussen syndrome"],
    },
    {"name": "hydrocephalus", "synonyms": ["water on the brain"]},
    {"text": "haemorrhage", "labels": ["haemorrhage", "extravasation"]},
    {"text": "xanthoastrocytoma", "labels": ["xanthoastrocytoma"]},
    {"text": "a name that has far too many words in it to be one", "labels": []},
)


def write(path: Path, rows: tuple[dict[str, object], ...] = ROWS) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["terms.jsonl", "terms.jsonl.gz"])
def test_synonyms_widen_queries_and_words_mend_misspellings(tmp_path: Path, name: str) -> None:
    assert import_terms(write(tmp_path / name), tmp_path / "data") == (3, 1)
    words = lexicon(stored_terms(tmp_path / "data"))
    own = understand("Rasmussen syndrome", words=words)
    assert ("rasmussen", "encephalitis") in own.concepts[0].groups[0].forms
    joined = understand("haemorrhage", words=words)
    assert {("extravasation",), ("hemorrhage",), ("bleed",)} <= set(joined.concepts[0].groups[0].forms)
    assert '"xanthoastrocitoma" read as "xanthoastrocytoma"' in understand("xanthoastrocitoma", words=words).expanded
    assert understand("xanthoastrocitoma").expanded == ()


def test_the_release_of_radlex_is_read(tmp_path: Path) -> None:
    file = tmp_path / "RADLEX.csv"
    file.write_text("Class ID,Preferred Label,Synonyms\nRID1,cavernoma,cavernous malformation|cavernous angioma\n")
    assert import_terms(file, tmp_path) == (1, 0)
    assert stored_terms(tmp_path) == (("cavernoma", "cavernous malformation", "cavernous angioma"),)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("t.jsonl", b"{", "line 1"),
        ("t.jsonl", b'{"labels": []}', "line 1"),
        ("t.jsonl", b"", "none"),
        ("t.jsonl", b"\xff\xfe", "UTF-8"),
        ("t.jsonl.gz", b"no gzip", "UTF-8"),
        ("t.csv", b"a,b\n1,2\n", "Preferred Label"),
    ],
)
def test_what_is_no_terminology_is_refused_and_nothing_changes(
    tmp_path: Path, name: str, content: bytes, complaint: str
) -> None:
    import_terms(write(tmp_path / "good.jsonl"), tmp_path / "data")
    before = (tmp_path / "data" / FILE).read_bytes()
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TerminologyError, match=complaint):
        import_terms(tmp_path / name, tmp_path / "data")
    assert (tmp_path / "data" / FILE).read_bytes() == before


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("[1, 2]")
    with pytest.raises(TerminologyError, match=FILE):
        stored_terms(tmp_path)


@pytest.mark.shared
def test_the_shared_terms_are_read_and_leave_everyday_words_alone(shared_mri: Path, tmp_path: Path) -> None:
    several, single = import_terms(shared_mri.parent / "text" / "terms.jsonl.gz", tmp_path)
    assert several > 1_000
    assert single > 5_000
    words = lexicon(stored_terms(tmp_path))
    for text in ("pizza", "knee", "asdf", "holiday", "train timetable"):
        assert not any("read as" in line for line in understand(text, words=words).expanded)
    assert '"menigioma" read as "meningioma"' in understand("menigioma", words=words).expanded
