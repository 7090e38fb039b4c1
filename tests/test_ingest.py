"""Ingest: BIDS, folders and tables; again and again; and whatever is wrong with them."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from datasets import cut_in_half, write_bids, write_scan, write_table

from encoders.sequences import MRSequence
from indexer.case_store import CaseStore
from indexer.cases import CaseFilter, Examination
from indexer.ingest import IngestSummary, ingest
from indexer.pseudonyms import FILE as KEY_FILE
from indexer.sources.tables import SourceError
from indexer.writer_lock import LockedError, writer_lock


def cases(data: Path) -> list[Examination]:
    with CaseStore.open(data, read_only=True) as store:
        return list(store.examinations(store.matching(CaseFilter()).tolist()).values())


def codes(summary: IngestSummary) -> list[str]:
    return [one.code for one in summary.refused]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_bids(tmp_path / "bids")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


# BIDS


def test_a_bids_dataset_is_taken_in(root: Path, data: Path) -> None:
    summary = ingest(root, data, reports=root / "reports.tsv")
    assert (summary.source, summary.added, summary.reported, summary.refused) == ("small", 4, 4, ())
    first, second, third, _ = cases(data)
    assert (first.participant, first.session, third.session) == ("sub-01", "ses-1", None)
    assert (second.age, second.sex) == (31.0, "M")
    assert first.sequences == (MRSequence.FLAIR, MRSequence.T1W)
    assert first.series[0].shape == (20, 22, 18)
    assert first.series[0].spacing == (8.0, 8.0, 8.0)
    assert [str(one.assertion) for one in first.report.sentences] == ["present", "absent", "present"]
    assert "secret" not in repr(cases(data))
    assert str(root) not in repr(cases(data))


def test_ingesting_again_changes_nothing_and_one_change_changes_one(root: Path, data: Path) -> None:
    reports = root / "reports.tsv"
    ingest(root, data, reports=reports)
    again = ingest(root, data, reports=reports)
    assert (again.added, again.changed, again.unchanged) == (0, 0, 4)
    reports.write_text(reports.read_text().replace("Lesion number 3.", "Glioma."))
    changed = ingest(root, data, reports=reports)
    assert (changed.added, changed.changed, changed.unchanged) == (0, 1, 3)
    scan = root / "sub-02" / "anat" / "sub-02_T1w.nii.gz"
    os.utime(scan, (1, 1))
    assert ingest(root, data, reports=reports).unchanged == 4
    write_scan(scan, seed=999)
    assert ingest(root, data, reports=reports).changed == 1


def test_reports_are_withheld_unless_asked_for(root: Path, data: Path) -> None:
    summary = ingest(root, data)
    assert (summary.added, summary.reported) == (4, 0)
    assert any("--reports" in note for note in summary.notes)
    with CaseStore.open(data, read_only=True) as store:
        assert store.search_words(["mass", "lesion"], 10) == ()
    assert all(case.report is None and "There is no report." in case.notes for case in cases(data))


def test_reports_taken_in_before_stay_when_none_are_given(root: Path, data: Path) -> None:
    ingest(root, data, reports=root / "reports.tsv")
    again = ingest(root, data)
    assert (again.unchanged, again.reported) == (4, 4)


def test_a_dry_run_tells_and_writes_nothing(root: Path, data: Path) -> None:
    assert ingest(root, data, dry_run=True).added == 4
    assert not data.exists()
    ingest(root, data)
    (root / "sub-02" / "anat" / "sub-02_T1w.nii.gz").unlink()
    write_scan(root / "sub-09" / "anat" / "sub-09_T1w.nii.gz")
    before = (data / "cases.sqlite").read_bytes()
    dry = ingest(root, data, dry_run=True)
    assert (dry.added, dry.changed, dry.unchanged, dry.dry_run) == (1, 1, 3, True)
    assert (data / "cases.sqlite").read_bytes() == before


def test_examinations_gone_from_the_source_are_kept_and_said(root: Path, data: Path) -> None:
    ingest(root, data)
    for path in (root / "sub-03" / "anat").iterdir():
        path.unlink()
    (root / "sub-03" / "anat").rmdir()
    (root / "sub-03").rmdir()
    summary = ingest(root, data)
    assert any("1 examinations" in note and "kept" in note for note in summary.notes)
    assert len(cases(data)) == 4


def test_sidecars_tell_the_sequence_and_are_inherited(tmp_path: Path, data: Path) -> None:
    root = tmp_path / "bids"
    (root / "sub-1" / "anat").mkdir(parents=True)
    (root / "dataset_description.json").write_text("{}")
    write_scan(root / "sub-1" / "anat" / "sub-1_acq-x_other.nii.gz")
    (root / "acq-x_other.json").write_text(json.dumps({"SeriesDescription": "AX T2 FLAIR"}))
    write_scan(root / "sub-1" / "anat" / "sub-1_acq-y_other.nii.gz")
    write_scan(root / "sub-1" / "anat" / "sub-1_T1w_mask.nii.gz")
    write_scan(root / "derivatives" / "sub-1" / "anat" / "sub-1_T1w.nii.gz")
    ingest(root, data)
    (case,) = cases(data)
    assert [(one.name, one.sequence) for one in case.series] == [
        ("sub-1_acq-x_other", MRSequence.FLAIR),
        ("sub-1_acq-y_other", None),
    ]
    assert "not known" in case.series[1].notes[0]


def test_sessions_have_ages_and_dates_of_their_own(root: Path, data: Path) -> None:
    rows = [{"session_id": "ses-2", "age": "33", "acq_time": "2024-05-31T10:00:00"}]
    write_table(root / "sub-01" / "sub-01_sessions.tsv", rows)
    ingest(root, data)
    first, second, *_ = cases(data)
    assert (first.age, first.date, second.age, second.date) == (31.0, None, 33.0, "2024-05-31")


def test_bad_rows_of_reports_are_refused_by_line_and_the_rest_goes_on(root: Path, data: Path, tmp_path: Path) -> None:
    reports = tmp_path / "reports.csv"
    reports.write_text(
        "\ufeffParticipant_ID;Session_ID;Findings\n"
        "01;1;A mass; with a semicolon too many\n"
        '02;;"An unclosed quote\n'
        "03;;No mass.\n"
        "99;;Nobody.\n"
        "sub-03;;Again.\n"
        "01;ses-2;{\\rtf1 rich}\n"
        '02;;A "glioma".\n',
        "utf-8",
    )
    summary = ingest(root, data, reports=reports)
    assert [(one.item, one.code) for one in summary.refused] == [
        ("reports.csv, line 2", "bad_row"),
        ("reports.csv, line 3", "bad_row"),
        ("reports.csv, line 5", "report_without_scan"),
        ("reports.csv, line 6", "duplicate_report"),
        ("reports.csv, line 7", "report_not_text"),
    ]
    assert [case.report.text if case.report else None for case in cases(data)] == [
        None,
        None,
        'Findings: A "glioma".',
        "Findings: No mass.",
    ]
    with CaseStore.open(data, read_only=True) as store:
        assert len(store.refused()) == 5
    ingest(root, data, reports=root / "reports.tsv")
    with CaseStore.open(data, read_only=True) as store:
        assert store.refused() == ()


def test_reports_in_json_lines_and_in_windows_1252(root: Path, data: Path, tmp_path: Path) -> None:
    lines = [
        {"participant_id": "sub-02", "text": "FINDINGS: A cyst.\nIMPRESSION: Normal."},
        {"participant_id": "sub-03"},
    ]
    path = tmp_path / "reports.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + "\n{broken\n[1]\n")
    summary = ingest(root, data, reports=path)
    assert [(one.item, one.code) for one in summary.refused] == [
        ("reports.jsonl, line 3", "bad_row"),
        ("reports.jsonl, line 4", "bad_row"),
    ]
    assert [len(case.report.sentences) if case.report else 0 for case in cases(data)] == [0, 0, 2, 0]
    (tmp_path / "old.csv").write_bytes("participant_id,findings\nsub-02,Œdème périventriculaire.\n".encode("cp1252"))
    summary = ingest(root, data, reports=tmp_path / "old.csv")
    assert any("Windows-1252" in note for note in summary.notes)
    assert "Œdème périventriculaire." in cases(data)[2].report.text


@pytest.mark.parametrize("content", ["", "colour,shape\nred,round\n", "\x00\x01\x02"])
def test_a_table_without_a_usable_header_is_an_error(root: Path, data: Path, tmp_path: Path, content: str) -> None:
    path = tmp_path / "reports.csv"
    path.write_text(content)
    with pytest.raises(SourceError) as caught:
        ingest(root, data, reports=path)
    assert caught.value.code == "bad_header"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty_file"),
        (b"this is not a NIfTI file, whatever its name says" * 20, "not_nifti"),
        (b"\x1f\x8b\x08\x00garbage", None),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 500, "not_nifti"),
    ],
)
def test_an_unreadable_file_is_refused_and_the_others_are_kept(
    root: Path, data: Path, content: bytes, code: str | None
) -> None:
    (root / "sub-02" / "anat" / "sub-02_T1w.nii.gz").write_bytes(content)
    summary = ingest(root, data)
    assert summary.added == 4
    (refused,) = summary.refused
    assert refused.item == "sub-02/anat/sub-02_T1w.nii.gz"
    assert code in (None, refused.code)
    assert str(root) not in refused.message
    assert [one.name for one in cases(data)[2].series] == ["sub-02_FLAIR"]


def test_an_examination_of_which_nothing_can_be_read_is_refused(root: Path, data: Path) -> None:
    for path in (root / "sub-02" / "anat").iterdir():
        path.write_bytes(b"")
    assert sorted(codes(ingest(root, data))) == ["empty_file", "empty_file", "no_series"]
    assert len(cases(data)) == 3
    summary = ingest(root, data, reports=root / "reports.tsv")
    assert "no_series" not in codes(summary)
    assert cases(data)[-1].series == ()
    assert cases(data)[-1].report is not None


@pytest.mark.parametrize("kind", ["empty", "file", "missing", "dicomweb:here"])
def test_a_source_without_examinations_is_an_error(tmp_path: Path, data: Path, kind: str) -> None:
    source: Path | str = tmp_path / kind
    if kind == "empty":
        (tmp_path / kind).mkdir()
    elif kind == "file":
        (tmp_path / kind).write_text("x")
    elif ":" in kind:
        source = kind
    with pytest.raises(SourceError) as caught:
        ingest(source, data)
    assert caught.value.code == {"empty": "no_examinations", "dicomweb:here": "not_in_this_build"}.get(
        kind, "source_missing"
    )
    assert str(tmp_path) not in str(caught.value)


# Several sources


def test_datasets_of_one_name_do_not_share_cases(tmp_path: Path, data: Path) -> None:
    first, second = write_bids(tmp_path / "a"), write_bids(tmp_path / "b", participants=1)
    assert ingest(first, data).source == "small"
    summary = ingest(second, data)
    assert (summary.source, summary.added) == ("small (2)", 2)
    assert len({case.key for case in cases(data)}) == 6
    assert ingest(second, data).unchanged == 2


def test_a_dataset_that_moved_keeps_its_keys(tmp_path: Path, data: Path) -> None:
    root = write_bids(tmp_path / "a")
    ingest(root, data)
    keys = {case.key for case in cases(data)}
    root.rename(tmp_path / "elsewhere")
    summary = ingest(tmp_path / "elsewhere", data)
    assert summary.unchanged == 4
    assert any("moved" in note for note in summary.notes)
    assert {case.key for case in cases(data)} == keys
    with CaseStore.open(data, read_only=True) as store:
        assert store.series_file(next(iter(keys)), 1).exists()


# Folders


def test_a_folder_without_a_table_is_grouped_by_folder_and_by_prefix(tmp_path: Path, data: Path) -> None:
    root = tmp_path / "scans"
    for name in ("Smith_T1.nii.gz", "Smith_FLAIR.nii.gz", "Jones_T2.nii", "Miller/a_T1.nii.gz", "Miller/2/a_T1.nii.gz"):
        write_scan(root / name, seed=len(name))
    summary = ingest(root, data)
    assert summary.added == 4
    assert sorted(len(case.series) for case in cases(data)) == [1, 1, 1, 2]
    people = [case.participant for case in cases(data)]
    assert len(set(people)) == 3
    assert ingest(root, data).unchanged == 4
    shown = repr(cases(data))
    assert not any(name in shown for name in ("Smith", "Jones", "Miller"))
    assert stat.S_IMODE((data / KEY_FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE(data.stat().st_mode) == 0o700


def test_a_table_says_what_belongs_together(tmp_path: Path, data: Path) -> None:
    root = tmp_path / "scans"
    for name in ("one.nii.gz", "two.nii.gz", "case3/t1.nii.gz", "case3/flair.nii.gz", "left_T1.nii.gz"):
        write_scan(root / name, seed=len(name))
    rows = [
        {"participant": "A", "file": "one.nii.gz|two.nii.gz", "age": "063Y", "sex": "female", "date": "20240531"},
        {"participant": "B", "file": "case3", "diagnosis": "meningioma", "age": "old"},
        {"participant": "A", "file": "one.nii.gz", "findings": "Twice."},
        {"participant": "C", "file": "../outside.nii.gz", "findings": "Elsewhere."},
        {"participant": "D", "file": "", "findings": "A report without a scan."},
    ]
    write_scan(tmp_path / "outside.nii.gz")
    table = write_table(tmp_path / "cases.csv", rows, delimiter=",")
    summary = ingest(root, data, reports=table)
    assert [(one.item, one.code) for one in summary.refused] == [
        ("cases.csv, line 4", "duplicate_examination"),
        ("cases.csv, line 5", "report_without_scan"),
        ("cases.csv, line 6", "report_without_scan"),
    ]
    assert summary.added == 3
    first, second, third = cases(data)
    assert (len(first.series), first.age, first.sex, first.date) == (2, 63.0, "F", "2024-05-31")
    assert (len(second.series), second.diagnosis, second.age) == (2, "meningioma", None)
    assert any("age" in note for note in second.notes)
    assert third.report is None
    with CaseStore.open(data, read_only=True) as store:
        assert {match.examination_id for match in store.search_words(["meningioma"], 5)} == {2}


# Locks


def test_a_second_writer_is_told_who_writes(root: Path, data: Path) -> None:
    with writer_lock(data), pytest.raises(LockedError) as caught:
        ingest(root, data)
    assert caught.value.pid == os.getpid()
    assert caught.value.host
    assert caught.value.since
    assert ingest(root, data).added == 4


def test_a_truncated_scan_is_taken_in_and_left_to_rebuild(root: Path, data: Path) -> None:
    cut_in_half(root / "sub-02" / "anat" / "sub-02_T1w.nii.gz")
    assert ingest(root, data).added == 4


@pytest.mark.shared
def test_the_shared_dataset_is_taken_in_whole(shared_mri: Path, data: Path) -> None:
    summary = ingest(shared_mri, data, reports=shared_mri / "reports.tsv")
    assert (summary.added, summary.reported, summary.refused) == (41, 41, ())
    assert len({case.participant for case in cases(data)}) == 31
    assert all(series.sequence for case in cases(data) for series in case.series)
    assert ingest(shared_mri, data, reports=shared_mri / "reports.tsv").unchanged == 41
