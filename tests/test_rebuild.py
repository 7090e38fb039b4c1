"""Rebuild: only what is new or changed, one bad scan stops nobody."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from datasets import cut_in_half, write_bids, write_scan, write_singular, write_with_nan
from indexed import Counting, again, key_of, make_archive
from PIL import Image
from toy_encoder import ToyEncoder

from encoders.findings import FindingScore
from encoders.sequences import MRSequence
from encoders.volume import Volume, read_volume
from indexer.case_store import CaseStore
from indexer.cases import CaseFilter
from indexer.generations import Index, Kind
from indexer.ingest import ingest
from indexer.rebuild import rebuild
from indexer.series_files import read_series, read_stored_series
from indexer.thumbnails import thumbnail
from indexer.verification import verify


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_archive(tmp_path)[0]


@pytest.fixture
def data(root: Path) -> Path:
    return root.parent / "data"


def test_only_what_is_new_or_changed_is_encoded(root: Path, data: Path) -> None:
    encoder = Counting()
    first = rebuild(data, encoder)
    assert (first.encoded, first.reused, first.refused, first.switched) == (24, 0, (), True)
    assert encoder.series == 8
    assert encoder.texts == 10  # sentences and reports that are the same are encoded once
    second = rebuild(data, encoder)
    assert (second.encoded, second.reused, second.switched) == (0, 24, False)
    assert second.generation == first.generation
    write_scan(root / "sub-02" / "anat" / "sub-02_T1w.nii.gz", seed=77)
    reports = root / "reports.tsv"
    reports.write_text(reports.read_text().replace("Lesion number 3.", "A glioma."))
    again(root, data)
    encoder = Counting()
    third = rebuild(data, encoder)
    assert (encoder.series, encoder.texts, third.encoded) == (1, 2, 3)
    assert third.generation != first.generation
    assert Index.open(data).name == third.generation
    assert verify(data) == ((), ())


def test_findings_are_scored_again_where_the_scoring_changes_and_nothing_is_encoded(data: Path) -> None:
    rebuild(data, ToyEncoder())
    flagged, seen = "hydrocephalus", []

    class Recalibrated(Counting):
        scoring_id = "calibrated anew"

        def score_series(self, embeddings, sequences, point=None):
            seen.append(len(embeddings))
            return (FindingScore(flagged, flagged, 0.9, 0.5, True, None, None),)

    encoder = Recalibrated()
    rebuild(data, encoder)
    assert len(seen) == 4 and (encoder.series, encoder.texts) == (0, 0)
    with CaseStore.open(data, read_only=True) as store:
        ids = store.matching(CaseFilter()).tolist()
        scores = store.scores(ids)
        assert all(found == {flagged: 0.9} for found in scores.values()) and len(scores) == 4
    rebuild(data, encoder)
    assert len(seen) == 4  # and not again


def test_full_and_another_encoder_encode_everything(data: Path) -> None:
    rebuild(data, Counting())
    encoder = Counting()
    assert rebuild(data, encoder, full=True).encoded == 24
    assert encoder.series == 8
    other = Counting("other")
    summary = rebuild(data, other)
    assert (other.series, summary.encoded, summary.encoder_id) == (8, 24, "other-64")
    assert Index.open(data).encoder_id == "other-64"
    assert verify(data) == ((), ())


def test_progress_goes_up_to_the_end(data: Path) -> None:
    told: list[tuple[int, int]] = []
    rebuild(data, ToyEncoder(), progress=lambda done, total, *_: told.append((done, total)))
    assert told[-1] == (24, 24)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


@pytest.mark.slow
@pytest.mark.slow
def test_processes_of_their_own_give_the_same_vectors(root: Path, data: Path, tmp_path: Path) -> None:
    cut_in_half(root / "sub-03" / "anat" / "sub-03_T1w.nii.gz")
    again(root, data)
    shutil.copytree(data, tmp_path / "other")
    one, two = rebuild(data, ToyEncoder()), rebuild(tmp_path / "other", ToyEncoder(), workers=2)
    assert (one.encoded, [r.code for r in one.refused]) == (two.encoded, [r.code for r in two.refused])
    first, second = Index.open(data), Index.open(tmp_path / "other")
    for row in range(1, 5):
        assert np.array_equal(first.vectors(Kind.SERIES, row)[1], second.vectors(Kind.SERIES, row)[1])


@pytest.mark.parametrize(
    ("harm", "code"),
    [
        (cut_in_half, {"truncated"}),
        (write_with_nan, {"non_finite"}),
        (write_singular, {"singular_affine"}),
        (lambda path: write_scan(path, shape=(20, 22, 3)), {"too_few_slices"}),
        (Path.unlink, {"missing"}),
    ],
)
def test_one_bad_scan_is_listed_and_the_rest_goes_on(
    root: Path, data: Path, harm: Callable[[Path], object], code: set[str]
) -> None:
    bad = root / "sub-02" / "anat" / "sub-02_T1w.nii.gz"
    harm(bad)
    if bad.exists():
        refused_at_ingest = {one.code for one in ingest(root, data, reports=root / "reports.tsv").refused}
    else:
        refused_at_ingest = set()
    summary = rebuild(data, ToyEncoder())
    codes = refused_at_ingest | {one.code for one in summary.refused}
    assert codes == code
    assert all("sub-02" in one.item and str(root) not in one.message for one in summary.refused)
    assert Index.open(data).counts[Kind.SERIES] == 7
    assert verify(data) == ((), ())


def test_a_refused_scan_is_tried_again_when_it_changed_or_with_full(root: Path, data: Path) -> None:
    bad = root / "sub-02" / "anat" / "sub-02_T1w.nii.gz"
    good = bad.read_bytes()
    cut_in_half(bad)
    again(root, data)
    encoder = Counting()
    assert [one.code for one in rebuild(data, encoder).refused] == ["truncated"]
    assert encoder.series == 7
    told: list[int] = []
    standing = rebuild(data, encoder, progress=lambda *about: told.append(about[0]))
    assert [one.code for one in standing.refused] == ["truncated"]
    assert told == []
    rebuild(data, encoder, full=True, progress=lambda *about: told.append(about[0]))
    assert told[-1] == 24
    bad.write_bytes(good)
    again(root, data)
    mended = rebuild(data, encoder)
    assert (mended.refused, mended.encoded) == ((), 1)
    assert Index.open(data).counts[Kind.SERIES] == 8


def test_a_file_that_changed_since_ingest_is_not_mistaken_for_the_old_one(root: Path, data: Path) -> None:
    write_scan(root / "sub-02" / "anat" / "sub-02_T1w.nii.gz", seed=5, shape=(24, 22, 18))
    assert [one.code for one in rebuild(data, ToyEncoder()).refused] == ["changed_since_ingest"]
    again(root, data)
    assert rebuild(data, ToyEncoder()).refused == ()


def test_vectors_that_are_not_finite_are_kept_out(data: Path) -> None:
    class Broken(ToyEncoder):
        def encode_series(self, volume: Volume):
            encoding = super().encode_series(volume)
            if volume.sequence == "FLAIR":
                encoding.embedding[:] = np.nan
            return encoding

    summary = rebuild(data, Broken())
    assert {one.code for one in summary.refused} == {"bad_vector"}
    assert Index.open(data).counts[Kind.SERIES] == 4


def test_a_slab_is_marked_and_a_series_of_unknown_sequence_is_kept(root: Path, data: Path) -> None:
    write_scan(root / "sub-02" / "anat" / "sub-02_T2w.nii.gz", shape=(40, 40, 10), spacing=3.0)
    write_scan(root / "sub-02" / "anat" / "sub-02_mystery.nii.gz")
    again(root, data)
    assert rebuild(data, ToyEncoder()).refused == ()
    with CaseStore.open(data, read_only=True) as store:
        case = store.examination(key_of(data, "sub-02"))
        thumbnails = [store.thumbnail(case.key, one.number) for one in case.series]
    assert case.partial
    assert {one.name: one.partial for one in case.series} == {
        "sub-02_FLAIR": False,
        "sub-02_T1w": False,
        "sub-02_T2w": True,
        "sub-02_mystery": False,
    }
    assert [picture is not None for picture in thumbnails] == [one.sequence is not None for one in case.series]


def test_a_sequence_without_a_network_is_kept_and_said_and_nobodys_fault(root: Path, data: Path) -> None:
    class OnlyT1(Counting):
        sequences = (MRSequence.T1W,)

    encoder = OnlyT1()
    summary = rebuild(data, encoder)
    assert (summary.refused, encoder.series) == ((), 4)
    assert any("4 series" in note for note in summary.notes)
    assert rebuild(data, encoder).encoded == 0
    with CaseStore.open(data, read_only=True) as store:
        assert {one.code for one in store.refused()} == {"no_network"}
        assert len(store.examination(key_of(data, "sub-02")).series) == 2


def test_thumbnails_are_small_grey_pictures(root: Path, data: Path, tmp_path: Path) -> None:
    rebuild(data, ToyEncoder())
    with CaseStore.open(data, read_only=True) as store:
        picture = store.thumbnail(key_of(data, "sub-02"), 1)
    (tmp_path / "t.png").write_bytes(picture or b"")
    with Image.open(tmp_path / "t.png") as image:
        assert image.mode == "L"
        assert max(image.size) == 256
        assert not image.info
        assert image.getextrema()[1] > 200


def test_a_thumbnail_lies_above_the_orbits_and_shows_the_right_on_the_left() -> None:
    voxels = np.zeros((60, 60, 80), np.float32)
    voxels[10:50, 10:50, 5:75] = 100.0
    voxels[40:50, 30:50, 46] = 1000.0  # front right, 56 mm below the top of 70 slices of 2 mm
    image = Image.open(BytesIO(thumbnail(Volume(voxels, np.diag([2.0, 2.0, 2.0, 1.0]), None))))
    pixels = np.asarray(image)
    brightest = np.argwhere(pixels > 240).mean(axis=0) / pixels.shape
    assert brightest[0] < 0.5
    assert brightest[1] < 0.5


def test_one_frame_of_a_four_dimensional_series_is_taken_and_said(root: Path, data: Path) -> None:
    path = write_scan(root / "sub-02" / "dwi" / "sub-02_dwi.nii.gz", shape=(20, 22, 18, 3))
    path.with_name("sub-02_dwi.bval").write_text("0 900 2000\n")
    again(root, data)
    assert rebuild(data, ToyEncoder()).refused == ()
    with CaseStore.open(data, read_only=True) as store:
        case = store.examination(key_of(data, "sub-02"))
        series = next(one for one in case.series if one.sequence == "DWI")
        again_read = read_stored_series(store, case.key, series.number)
    assert any("frame 1" in note or "1 of 3" in note or "volume" in note for note in series.notes)
    assert again_read.voxels.shape == series.shape == (20, 22, 18)
    assert np.array_equal(again_read.voxels, read_volume(path, frame=1).voxels)
    assert read_series(path, None, "x").voxels.max() == read_volume(path, frame=0).voxels.max()


@pytest.mark.shared
def test_the_shared_slabs_are_marked(shared_mri: Path, tmp_path: Path) -> None:
    small = tmp_path / "bids"
    small.mkdir()
    shutil.copy(shared_mri / "dataset_description.json", small)
    for name in ("sub-antspilist1", "sub-antspilist25", "sub-antspilist55", "sub-fnndscSAGanon"):
        shutil.copytree(shared_mri / name, small / name)
    ingest(small, tmp_path / "data")
    summary = rebuild(tmp_path / "data", ToyEncoder())
    assert summary.refused == ()
    with CaseStore.open(tmp_path / "data", read_only=True) as store:
        partial = [case.participant for case in store.examinations(range(9)).values() if case.partial]
    assert partial == ["sub-antspilist1", "sub-antspilist25", "sub-antspilist55"]


def test_series_of_an_unknown_sequence_are_named_at_ingest(tmp_path: Path) -> None:
    root = write_bids(tmp_path / "named")
    write_scan(root / "sub-01" / "anat" / "sub-01_mystery.nii.gz")
    notes = " ".join(ingest(str(root), tmp_path / "data").notes)
    assert "1 series are kept but cannot be searched by scan" in notes
    assert "sub-01/anat/sub-01_mystery.nii.gz" in notes
