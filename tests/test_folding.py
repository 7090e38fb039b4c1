"""One examination that was stored twice is one hit, whatever its files are called and however they are packed."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from search_cases import CASES, scan_of, write_dataset
from toy_encoder import ToyEncoder

from encoders.volume import read_volume
from indexer.cases import CaseFilter
from indexer.ingest import ingest
from indexer.rebuild import rebuild
from search_api.engine import SearchEngine

GLIOMA = CASES[4]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("folding") / "dataset")


@pytest.fixture(scope="module")
def engine(dataset: Path) -> Iterator[SearchEngine]:
    """The archive, and a second source that holds one of its examinations again and a new one that shares no scan."""
    again, data = dataset.parent / "again", dataset.parent / "data"
    for sequence in ("FLAIR", "T1w"):
        original = scan_of(dataset, GLIOMA, sequence)
        for person in ("copy", "other"):
            folder = again / f"sub-{person}" / "anat"
            folder.mkdir(parents=True, exist_ok=True)
            target = folder / f"sub-{person}_{sequence}.nii.gz"
            if person == "copy":
                target.write_bytes(gzip.compress(gzip.decompress(original.read_bytes()), 1))
            else:
                shutil.copyfile(scan_of(dataset, CASES[5 if sequence == "FLAIR" else 6], sequence), target)
    (again / "dataset_description.json").write_text('{"Name": "again", "BIDSVersion": "1.10.0"}')
    lines = ["participant_id\tfindings\timpression", "sub-copy\tFrontal mass.\tGlioma.", "sub-other\tA cyst.\tCyst."]
    (again / "reports.tsv").write_text("\n".join(lines) + "\n")
    for root in (dataset, again):
        ingest(str(root), data, reports=root / "reports.tsv")
    rebuild(data, ToyEncoder())
    with SearchEngine.open(data, ToyEncoder()) as opened:
        yield opened


def test_a_copy_is_folded_under_its_better_ranked_twin(engine: SearchEngine) -> None:
    answer = engine.search(text="glioma", k=50)
    assert (answer.total, answer.folded) == (len(CASES) + 2, 1)
    assert len(answer.hits) == answer.total - answer.folded
    folded = [hit for hit in answer.hits if hit.copies]
    assert len(folded) == 1
    people = {folded[0].examination.participant, engine.case(folded[0].copies[0]).examination.participant}
    assert people == {f"sub-{GLIOMA.participant}", "sub-copy"}


def test_a_scan_finds_the_examination_once_and_pages_stay_whole(engine: SearchEngine, dataset: Path) -> None:
    scans = [read_volume(scan_of(dataset, GLIOMA, sequence)) for sequence in ("FLAIR", "T1w")]
    whole = engine.search(scans=scans, k=50)
    assert whole.hits[0].score > 0.999
    assert whole.hits[0].copies
    assert whole.hits[1].score < 0.999
    pages = [engine.search(scans=scans, k=4, page=page) for page in range(1, 6)]
    assert [hit.key for page in pages for hit in page.hits] == [hit.key for hit in whole.hits]


def test_a_filter_that_leaves_one_of_them_shows_it(engine: SearchEngine) -> None:
    answer = engine.search(text="glioma", filters=CaseFilter(source="again"))
    assert (answer.total, answer.folded) == (2, 0)
    assert "sub-copy" in {hit.examination.participant for hit in answer.hits}


def test_more_like_this_leaves_the_copies_of_the_example_out(engine: SearchEngine) -> None:
    hit = next(hit for hit in engine.search(text="glioma", k=50).hits if hit.copies)
    others = engine.search(like=hit.key, k=50).hits
    assert not {hit.key, *hit.copies} & {other.key for other in others}


def test_examinations_that_share_scans_by_chance_stay_apart(engine: SearchEngine) -> None:
    keys = [hit.key for hit in engine.search(text="cyst", k=50).hits]
    assert sum(engine.case(key).examination.participant == "sub-other" for key in keys) == 1
