"""Identifiers planted wherever a source can hold them, and looked for wherever the product writes or says something.

Planted: report text, table columns, names of files, folders and tables, NIfTI texts and extensions, gzip headers, JSON
sidecars, an uploaded file. Looked for: the data directory byte for byte, exports, every answer of the site, logs, what
commands print, temporary folders. The one exception is where a series lies (`series.path`, `source.location`): it is
stored, so that voxels can be read, and must be shown nowhere.
"""

from __future__ import annotations

import gzip
import json
import logging
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import nibabel
import pytest
from datasets import write_scan, write_table
from fastapi.testclient import TestClient
from site_cases import site_of
from toy_encoder import ToyEncoder
from typer.testing import CliRunner

from indexer.case_store import CaseStore
from indexer.cases import CaseFilter
from indexer.ingest import IngestSummary, ingest
from indexer.rebuild import rebuild
from neurorecall import build_application
from search_api.engine import SearchEngine
from search_api.export import Format, export

pytestmark = pytest.mark.slow

GIVEN, NAME, DOCTOR, STREET, TOWN = "Quillaby", "Zyxelmann", "Brathwick", "Plumtree", "Ashgrove"
MRN, ACCESSION, PHONE, BORN, MAIL, UID = (
    "84736251",
    "QX-2019-004711",
    "020 7946 0991",
    "17/11/1963",
    "qz9@",
    "840.99317",
)
TOKENS = (GIVEN, NAME, DOCTOR, STREET, MRN, "004711", "7946 0991", BORN, "1963-11-17", "19631117", MAIL, UID)

REPORT = f"""Patient name: {NAME.upper()}^{GIVEN.upper()}  DOB: {BORN}  MRN: {MRN}
Address: 48 {STREET} Crescent, {TOWN}. Tel: {PHONE}, {MAIL}mail.example.org
Accession number: {ACCESSION}. Study UID 1.2.{UID}.4.5

INDICATION: {GIVEN} {NAME} is a 63-year-old woman with headache, referred by Dr {DOCTOR}.
TECHNIQUE: T1, T2 and FLAIR. Compared with the examination of {BORN}.
FINDINGS: {{said}} Mrs {NAME} was born on 17 November 1963. Meckel's cave and the circle of Willis are normal.
IMPRESSION: {{impression}} Discussed with {DOCTOR} at 14:35.

Electronically signed by: Prof. {DOCTOR}, FRCR"""
SAID = (
    ("Mass of 3.5 x 4 mm in the left frontal lobe.", "Glioma."),
    ("No hydrocephalus.", "Normal study."),
    ("Marked hydrocephalus. Evans index 0.41.", "Hydrocephalus."),
)


def plant(path: Path) -> Path:
    """Names and numbers in every text of a header, in extensions, in the gzip header and in a sidecar beside it."""
    image = nibabel.load(path)
    planted = nibabel.Nifti1Image(image.dataobj.get_unscaled(), image.affine, image.header)
    planted.header["descrip"] = f"{GIVEN} {NAME} {MRN} {BORN}"
    planted.header["aux_file"], planted.header["intent_name"] = NAME, DOCTOR
    for code in (2, 4, 6):
        text = f"PatientName {NAME} {ACCESSION} {PHONE}".encode()
        planted.header.extensions.append(nibabel.nifti1.Nifti1Extension(6, text))
        planted.header.extensions[-1]._code = code
    content = bytearray(planted.to_bytes())
    content[14 : 14 + len(NAME)] = NAME.encode()
    with path.open("wb") as file, gzip.GzipFile(filename=f"{NAME}.nii", fileobj=file, mode="wb") as packed:
        packed.write(content)
    sidecar = {"PatientName": f"{NAME}^{GIVEN}", "PatientID": MRN, "InstitutionName": f"{STREET} Hospital"}
    sidecar |= {"AcquisitionDateTime": "1963-11-17T10:00:00", "SeriesDescription": f"AX FLAIR {NAME}", "UID": UID}
    path.with_name(path.name.replace(".nii.gz", ".json")).write_text(json.dumps(sidecar))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("planted")


@pytest.fixture(scope="module")
def temporary(folder: Path) -> Iterator[Path]:
    """Where everything temporary goes, so that it can be looked through."""
    place = folder / "temporary"
    place.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(place))
        patch.setattr(tempfile, "tempdir", str(place))
        yield place


@pytest.fixture(scope="module")
def source(folder: Path) -> Path:
    """A folder that is called after its patients, with a table that is too; one file is broken, one row is refused."""
    root = folder / f"{NAME}_{GIVEN}_scans"
    rows = []
    for number, (said, impression) in enumerate(SAID):
        place = root / f"{NAME}_{number}_{MRN}" / f"visit_{BORN.replace('/', '')}"
        for index, sequence in enumerate(("FLAIR", "T1")):
            plant(write_scan(place / f"{NAME}_{GIVEN}_{sequence}.nii.gz", seed=10 * number + index))
        rows.append(
            {
                "patient_id": f"{NAME}_{number}_{MRN}",
                "visit": f"visit_{BORN.replace('/', '')}",
                "file": f"{NAME}_{number}_{MRN}",
                "patient_name": f"{NAME}, {GIVEN}",
                "accession_number": ACCESSION,
                "birth_date": BORN,
                "referring_physician": f"Dr {DOCTOR}",
                "phone": PHONE,
                "age": "63",
                "sex": "F",
                "diagnosis": f"{impression} ({NAME}, {MRN})",
                "provenance": f"PACS of {STREET} Hospital, {DOCTOR}",
                "text": json.dumps(REPORT.format(said=said, impression=impression)),
            }
        )
    (root / f"{NAME}_broken").mkdir()
    (root / f"{NAME}_broken" / f"{NAME}_T2.nii.gz").write_bytes(NAME.encode())
    (root / f"{NAME}_unknown").mkdir()
    plant(write_scan(root / f"{NAME}_unknown" / f"{NAME}.nii.gz", seed=77)).with_name(f"{NAME}.json").unlink()
    rows.append({"patient_id": NAME, "file": "../outside", "patient_name": NAME, "text": json.dumps("Normal.")})
    for row in rows:
        row["text"] = json.loads(row["text"]).replace("\n", "\\n")
    lines = [json.dumps({**row, "text": row["text"].replace("\\n", "\n")}) for row in rows]
    (folder / f"{NAME}_reports.jsonl").write_text("\n".join(lines) + f'\n{{"{NAME}": broken\n')
    return root


@pytest.fixture(scope="module")
def ingested(folder: Path, source: Path, temporary: Path) -> tuple[Path, IngestSummary]:
    data = folder / "data"
    summary = ingest(source, data, reports=folder / f"{NAME}_reports.jsonl")
    rebuild(data, ToyEncoder())
    return data, summary


def found_in(content: bytes | str) -> list[str]:
    """Planted tokens in a text or in bytes, also as UTF-16 and inside gzip."""
    raw = content.encode() if isinstance(content, str) else content
    if raw[:2] == b"\x1f\x8b":
        raw += gzip.decompress(raw)
    lowered = raw.lower()
    return [
        token for token in TOKENS if token.lower().encode() in lowered or token.lower().encode("utf-16-le") in lowered
    ]


def files_with_tokens(folder: Path, *exempt: str) -> dict[str, list[str]]:
    """Files whose name or bytes hold a token, once the exempt texts are taken out of them."""
    found = {}
    for path in sorted(folder.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        for text in exempt:
            content = content.replace(text.encode(), b"")
        if tokens := [*found_in(content), *found_in(str(path.relative_to(folder)))]:
            found[str(path.relative_to(folder))] = tokens
    return found


def test_the_tokens_are_really_planted(source: Path) -> None:
    files = [path.read_bytes() for path in source.rglob("*.nii.gz") if path.stat().st_size > 100]
    assert all(NAME in found_in(content) for content in files)
    planted = REPORT.encode() + b"".join(path.read_bytes() for path in source.rglob("*.json"))
    assert set(found_in(planted + b"".join(files))) >= set(TOKENS) - {"19631117"}


def test_the_reports_are_taken_in_with_their_findings_and_without_their_people(
    ingested: tuple[Path, IngestSummary],
) -> None:
    data, summary = ingested
    assert (summary.added, summary.reported) == (4, 3)
    assert sorted(one.code for one in summary.refused) == ["bad_row", "no_series", "not_nifti", "report_without_scan"]
    assert found_in(repr(asdict(summary))) == []
    with CaseStore.open(data, read_only=True) as store:
        cases = store.examinations(store.matching(CaseFilter(reported=True)).tolist()).values()
    texts = [case.report.text for case in cases if case.report]
    assert "Mass of 3.5 x 4 mm in the left frontal lobe." in texts[0]
    assert all("Meckel's cave and the circle of Willis are normal." in text for text in texts)
    assert all("63-year-old woman with headache" in text for text in texts)
    assert "Evans index 0.41." in texts[2]
    assert found_in(repr(list(cases))) == []


def test_the_data_directory_holds_none_byte_for_byte(ingested: tuple[Path, IngestSummary], source: Path) -> None:
    data, _ = ingested
    with closing(sqlite3.connect(data / "cases.sqlite")) as database:
        places = [path for (path,) in database.execute("SELECT path FROM series")]
        places += [path for (path,) in database.execute("SELECT location FROM source")]
    assert all(str(source) in place for place in places)
    assert any(NAME in place for place in places)
    assert files_with_tokens(data, *sorted(places, key=len, reverse=True)) == {}


def test_ingesting_again_changes_nothing(ingested: tuple[Path, IngestSummary], source: Path, folder: Path) -> None:
    data, _ = ingested
    again = ingest(source, data, reports=folder / f"{NAME}_reports.jsonl")
    assert (again.added, again.changed, again.unchanged) == (0, 0, 4)
    assert found_in(repr(again)) == []


@pytest.mark.parametrize("form", list(Format))
def test_exports_hold_none(ingested: tuple[Path, IngestSummary], form: Format, tmp_path: Path) -> None:
    with SearchEngine.open(ingested[0], ToyEncoder()) as engine:
        answer = engine.search("glioma", k=10)
        summary = export([answer], engine.store, tmp_path / "cohort", form)
    assert summary.cases == len(answer.hits) > 2
    assert files_with_tokens(tmp_path / "cohort") == {}
    if form is Format.BIDS:
        assert summary.series > 5
        assert found_in(repr(summary)) == []


def test_what_the_commands_print_holds_none(
    ingested: tuple[Path, IngestSummary], source: Path, folder: Path, tmp_path: Path
) -> None:
    runner, application = CliRunner(), build_application()
    reports = str(folder / f"{NAME}_reports.jsonl")
    calls = [
        ["ingest", str(source), "--reports", reports, "--data", str(tmp_path / "data")],
        ["ingest", str(source), "--reports", reports, "--data", str(tmp_path / "data"), "--json"],
        ["ingest", str(source), "--reports", reports, "--data", str(tmp_path / "new"), "--dry-run"],
        ["status", "--data", str(ingested[0])],
        ["status", "--data", str(ingested[0]), "--json"],
        ["verify", "--data", str(ingested[0])],
    ]
    for call in calls:
        result = runner.invoke(application, call)
        assert result.exit_code in (0, 3), result.output
        assert found_in(result.output) == [], call


def visited(site: TestClient, data: Path, scan: Path) -> Iterator[tuple[str, bytes]]:
    """Every kind of answer of the API and of the pages, with headers."""
    with CaseStore.open(data, read_only=True) as store:
        cases = list(store.examinations(store.matching(CaseFilter()).tolist()).values())
    addresses = ["/", "/search?q=hydrocephalus", "/api/search?q=glioma&k=20", "/triage", "/api/triage", "/status"]
    addresses += ["/api/status", "/suggestions", "/metrics", "/about", "/collections", "/api/collections", "/readyz"]
    addresses += ["/api/search?q=name", "/api/examinations/nobody", "/search?like=nobody", "/openapi.json"]
    for case in cases:
        base = f"/api/examinations/{case.key}"
        addresses += [base, f"/case/{case.key}", f"/search?like={case.key}", f"/suggestions/{case.key}"]
        for one in case.series:
            place = f"{base}/series/{one.number}"
            addresses += [f"{place}/volume.nii.gz", f"{place}/thumbnail.png", f"{place}/slices/axial/key.png"]
            addresses += [f"{place}/slices/axial/9999.png", f"{place}/heat/axial/key.png?finding=nothing"]
    for address in addresses:
        answer = site.get(address)
        yield address, repr(answer.headers).encode() + b"\n" + answer.content
        yield f"{address} unpacked", answer.content
    for content, name in ((scan.read_bytes(), scan.name), (NAME.encode(), f"{NAME}_FLAIR.nii.gz")):
        for call in ("/api/score", "/api/search/scan", "/search/scan", "/suggestions"):
            answer = site.post(call, files=[("files", (name, content))])
            yield call, repr(answer.headers).encode() + answer.content


def test_no_answer_of_the_site_no_log_and_no_temporary_file_holds_any(
    ingested: tuple[Path, IngestSummary],
    source: Path,
    temporary: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    data, _ = ingested
    scan = next(path for path in sorted(source.rglob("*FLAIR.nii.gz")))
    caplog.set_level(logging.DEBUG)
    answers = 0
    with TestClient(site_of(data), base_url="http://127.0.0.1", raise_server_exceptions=True) as site:
        for address, content in visited(site, data, scan):
            assert found_in(content) == [], address
            answers += 1
    assert answers > 60
    printed = capfd.readouterr()
    assert found_in("\n".join(record.getMessage() for record in caplog.records if "httpx" not in record.name)) == []
    assert found_in(printed.out + printed.err) == []
    assert files_with_tokens(temporary) == {}


def test_what_may_still_tell_somebody_is_refused_and_not_stored(tmp_path: Path, folder: Path) -> None:
    """German text: names cannot be told from nouns there, so the examination is refused, visibly."""
    root, data = tmp_path / "scans", tmp_path / "data"
    write_scan(root / "a_FLAIR.nii.gz", seed=1)
    write_scan(root / "b_FLAIR.nii.gz", seed=2)
    german = (
        f"Die Untersuchung zeigt keine frische Ischämie. Frau {NAME} wurde über das Ergebnis informiert, weitere"
        " Kontrollen werden empfohlen, ein Anhalt für eine Blutung besteht derzeit nicht, sonst unauffälliger Befund."
    )
    rows = [{"file": "a_FLAIR.nii.gz", "findings": german}, {"file": "b_FLAIR.nii.gz", "findings": "No mass."}]
    table = write_table(tmp_path / "reports.tsv", rows)
    result = CliRunner().invoke(
        build_application(), ["ingest", str(root), "--reports", str(table), "--data", str(data), "--json"]
    )
    document = json.loads(result.output)
    assert result.exit_code == 3
    assert (document["added"], [one["code"] for one in document["refused"]]) == (1, ["not_deidentified"])
    assert document["refused"][0]["item"] == "reports.tsv, line 2"
    assert "Ischämie" not in result.output
    assert b"isch\xc3\xa4mie" not in (data / "cases.sqlite").read_bytes().lower()
    assert found_in((data / "cases.sqlite").read_bytes()) == []
    with CaseStore.open(data, read_only=True) as store:
        assert [one.code for one in store.refused()] == ["not_deidentified"]


def test_texts_said_to_be_deidentified_are_stored_as_given_and_that_is_shown(tmp_path: Path) -> None:
    root, data = tmp_path / "scans", tmp_path / "data"
    write_scan(root / "a_FLAIR.nii.gz", seed=1)
    table = write_table(tmp_path / "reports.tsv", [{"file": "a_FLAIR.nii.gz", "findings": "Seen by Dr Brathwick."}])
    runner, application = CliRunner(), build_application()
    call = ["ingest", str(root), "--reports", str(table), "--data", str(data)]
    assert runner.invoke(application, [*call, "--deidentified"]).exit_code == 0
    shown = runner.invoke(application, ["status", "--data", str(data)])
    assert "stored as given, said to be de-identified" in shown.output
    with CaseStore.open(data, read_only=True) as store:
        assert store.examinations([1])[1].report.text == "Findings: Seen by Dr Brathwick."
    assert runner.invoke(application, call).exit_code == 0
    with CaseStore.open(data, read_only=True) as store:
        assert store.examinations([1])[1].report.text == "Findings: Seen by [name]."
    assert "de-identified at ingest, rules" in runner.invoke(application, ["status", "--data", str(data)]).output
