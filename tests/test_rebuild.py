"""Rebuild: only what is new or changed, nothing lost by a kill, one bad scan stops nobody; and removal."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from datasets import cut_in_half, write_bids, write_scan, write_singular, write_with_nan
from PIL import Image
from toy_encoder import ToyEncoder

from encoders.volume import Volume, read_volume
from indexer import generation_files
from indexer.case_store import CaseStore
from indexer.cases import CaseMissing
from indexer.generations import GenerationError, Index, Kind
from indexer.ingest import ingest
from indexer.rebuild import rebuild
from indexer.removal import remove_cases
from indexer.schema import StoreError
from indexer.series_files import read_series, read_stored_series
from indexer.thumbnails import thumbnail
from indexer.verification import verify
from indexer.writer_lock import LockedError, writer_lock


class Counting(ToyEncoder):
    """The toy, that counts what it is given."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name)
        self.series = 0
        self.texts = 0

    def encode_series(self, volume: Volume):
        self.series += 1
        return super().encode_series(volume)

    def encode_texts(self, texts):
        self.texts += len(texts)
        return super().encode_texts(texts)

    def score(self, embedding, point=None):
        return ()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_bids(tmp_path / "bids")


@pytest.fixture
def data(root: Path, tmp_path: Path) -> Path:
    """Ingested with reports, not yet indexed: 4 examinations, 8 series, 4 reports, 12 sentences."""
    ingest(root, tmp_path / "data", reports=root / "reports.tsv")
    return tmp_path / "data"


def again(root: Path, data: Path) -> None:
    ingest(root, data, reports=root / "reports.tsv")


def key_of(data: Path, participant: str) -> str:
    with CaseStore.open(data, read_only=True) as store:
        found = [case.key for case in store.examinations(range(20)).values() if case.participant == participant]
    return found[0]


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


# Kills and locks


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Dying(ToyEncoder):
    """Is killed when it is given its sixth series."""

    def encode_series(self, volume: Volume):
        self.left = getattr(self, "left", 5) - 1
        if self.left < 0:
            die()
        return super().encode_series(volume)


def run_and_be_killed(work: Callable[[], object]) -> None:
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL


def test_a_rebuild_that_was_killed_goes_on_where_it_was(data: Path) -> None:
    run_and_be_killed(lambda: rebuild(data, Dying()))
    encoder = Counting()
    summary = rebuild(data, encoder)
    assert encoder.series == 4  # eight, less the four that were committed
    assert encoder.texts == 0
    assert summary.encoded + summary.reused == 24
    assert verify(data) == ((), ())


@pytest.mark.parametrize("step", ["write_faiss", "sync_folder", "read_manifest", "switch", "prune"])
def test_a_kill_while_a_generation_is_made_leaves_the_old_one_serving(
    root: Path, data: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = rebuild(data, ToyEncoder()).generation
    write_scan(root / "sub-02" / "anat" / "sub-02_T1w.nii.gz", seed=88)
    again(root, data)
    with monkeypatch.context() as patch:
        patch.setattr(generation_files, step, die)
        run_and_be_killed(lambda: rebuild(data, ToyEncoder()))
    serving = Index.open(data)
    assert serving.notes == ()
    assert serving.name == first or step == "prune"
    summary = rebuild(data, Counting())
    assert Index.open(data).name == summary.generation
    assert not list((data / generation_files.FOLDER).glob(".building-*"))
    assert verify(data) == ((), ())


def test_a_generation_that_fails_its_check_is_set_aside(
    data: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = rebuild(data, ToyEncoder()).generation

    def fail(self: Index) -> None:
        raise GenerationError("It does not find itself.")

    monkeypatch.setattr(Index, "self_test", fail)
    with pytest.raises(GenerationError):
        rebuild(data, ToyEncoder(), full=True)
    monkeypatch.undo()
    assert Index.open(data).name == first
    assert len(generation_files.bad_names(data)) == 1
    assert rebuild(data, ToyEncoder(), full=True).switched


def test_a_full_disk_leaves_the_old_generation_serving(data: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = rebuild(data, ToyEncoder()).generation

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(generation_files, "write_faiss", full)
    with pytest.raises(OSError, match="No space"):
        rebuild(data, ToyEncoder(), full=True)
    monkeypatch.undo()
    assert Index.open(data).name == first
    assert rebuild(data, ToyEncoder(), full=True).switched


def test_two_rebuilds_at_once_are_refused_and_no_store_is_said(data: Path, tmp_path: Path) -> None:
    with writer_lock(data), pytest.raises(LockedError, match=str(os.getpid())):
        rebuild(data, ToyEncoder())
    with pytest.raises(StoreError) as caught:
        rebuild(tmp_path / "nowhere", ToyEncoder())
    assert caught.value.code == "store_missing"
    assert not (tmp_path / "nowhere").exists()


def test_a_store_without_series_or_reports_can_be_indexed(tmp_path: Path) -> None:
    write_scan(tmp_path / "bids" / "sub-1" / "anat" / "sub-1_mystery.nii.gz")
    ingest(tmp_path / "bids", tmp_path / "data")
    rebuild(tmp_path / "data", ToyEncoder())
    index = Index.open(tmp_path / "data")
    assert set(index.counts.values()) == {0}
    assert index.search(Kind.SERIES, np.ones((1, 64), np.float32), 10) == ((),)


# Removal


def test_a_removed_case_is_in_no_generation(root: Path, data: Path) -> None:
    rebuild(data, ToyEncoder())
    rebuild(data, ToyEncoder(), full=True)
    key = key_of(data, "sub-02")
    with CaseStore.open(data, read_only=True) as store:
        row = store.id_of(key)
    vector = Index.open(data).vectors(Kind.SERIES, row)[1]
    stored = vector[0].astype(np.float16).tobytes()
    assert any(stored in path.read_bytes() for path in data.rglob("*") if path.is_file())
    summary = remove_cases(data, [key])
    assert len(summary.generations) == 2
    for name in generation_files.names(data):
        index = Index.open_generation(data, name)
        assert row not in {found.examination for kind in Kind for found in index.search(kind, vector[:1], 100)[0]}
        assert index.counts[Kind.SERIES] == 6
    assert Index.open(data).notes == ()
    assert not any(stored in path.read_bytes() for path in data.rglob("*") if path.is_file())
    with CaseStore.open(data, read_only=True) as store, pytest.raises(CaseMissing):
        store.examination(key)
    encoder = Counting()
    assert rebuild(data, encoder).encoded == 0
    assert verify(data) == ((), ())


def test_an_unknown_key_removes_nothing(data: Path) -> None:
    rebuild(data, ToyEncoder())
    with pytest.raises(CaseMissing):
        remove_cases(data, [key_of(data, "sub-02"), "nothing"])
    assert Index.open(data).counts[Kind.SERIES] == 8
    with CaseStore.open(data, read_only=True) as store:
        assert store.counts().examinations == 4


def test_a_removal_that_was_killed_is_finished_by_the_next_rebuild(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rebuild(data, ToyEncoder())
    key = key_of(data, "sub-02")
    with monkeypatch.context() as patch:
        patch.setattr(generation_files, "write_generation", die)
        run_and_be_killed(lambda: remove_cases(data, [key]))
    with CaseStore.open(data, read_only=True) as store, pytest.raises(CaseMissing):
        store.examination(key)
    rebuild(data, ToyEncoder())
    assert [Index.open_generation(data, name).counts[Kind.SERIES] for name in generation_files.names(data)] == [6, 6]


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
