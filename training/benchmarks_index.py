"""How long an index of 100,000 cases takes: filling the store, making a generation from stored vectors, opening it.

The cases are synthetic: reports of ten sentences put together from words, vectors at random, one series each without
a file. Memory is measured in processes of their own. Queries over it are left to the benchmark of the search floor.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np
from numpy.typing import NDArray

from encoders.findings import Finding, FindingScore
from encoders.sequences import MRSequence
from encoders.volume import Volume

if TYPE_CHECKING:
    from indexer.case_store import CaseStore
    from indexer.cases import Draft

CASES = 100_000
SENTENCES = 10  # a report
DIM = 384
ENCODER_ID = "synthetic-384"
BATCH = 2_000  # cases a transaction
SOURCE = "synthetic"

_FINDINGS = (
    "infarct",
    "haemorrhage",
    "mass",
    "white matter lesion",
    "cyst",
    "enhancing nodule",
    "area of gliosis",
    "meningioma",
    "cavernoma",
    "developmental venous anomaly",
    "lacune",
    "microbleed",
)
_PLACES = ("frontal", "parietal", "temporal", "occipital", "cerebellar", "thalamic", "pontine", "insular", "callosal")
_SIDES = ("left", "right", "bilateral", "midline")
_DENIED = (
    "hydrocephalus",
    "midline shift",
    "restricted diffusion",
    "abnormal enhancement",
    "acute infarct",
    "mass effect",
)


@dataclass(frozen=True, slots=True)
class IndexFigures:
    """Seconds, and mebibytes of resident memory at their peak."""

    cases: int
    sentences: int
    fill_seconds: float
    rebuild_seconds: float
    rebuild_peak_mib: float
    open_seconds: float
    open_peak_mib: float
    database_mib: float
    generation_mib: float


class StoredVectors:
    """An encoder of which nothing is asked: every vector is stored already."""

    encoder_id = ENCODER_ID
    preprocessing_id = ""
    dim = DIM
    sequences = tuple(MRSequence)
    findings: tuple[Finding, ...] = ()

    def __init__(self, encoder_id: str = ENCODER_ID) -> None:
        self.encoder_id = encoder_id

    def encode_texts(self, texts: Sequence[str]) -> NoReturn:
        raise ValueError(f"Expected every vector to be stored, {len(texts)} texts have none.")

    def encode_series(self, volume: Volume) -> NoReturn:
        raise ValueError(f"Expected every vector to be stored, a series of {volume.sequence} has none.")

    def encode_examination(self, volumes: Sequence[Volume]) -> NoReturn:
        raise ValueError(f"Expected every vector to be stored, {len(volumes)} series have none.")

    def fuse(self, embeddings: NDArray[np.float32], sequences: Sequence[MRSequence]) -> NDArray[np.float32]:
        if len(embeddings) != len(sequences):
            raise ValueError(f"Expected {len(sequences)} embeddings, got {len(embeddings)}.")
        fused: NDArray[np.float32] = embeddings.mean(axis=0)
        return fused

    @property
    def scoring_id(self) -> str:
        return ""

    def score_series(
        self, embeddings: NDArray[np.float32], sequences: Sequence[MRSequence], point: object = None
    ) -> tuple[FindingScore, ...]:
        if embeddings.shape != (len(sequences), self.dim) or point is not None:
            raise ValueError(f"Expected embeddings of shape ({len(sequences)}, {self.dim}), got {embeddings.shape}.")
        return ()

    def reading_order(self, embeddings: NDArray[np.float32], sequences: Sequence[MRSequence]) -> float:
        return float(self.fuse(embeddings, sequences)[0])


def fill(data: Path, cases: int = CASES, encoder_id: str = ENCODER_ID, seed: int = 1) -> float:
    """Make a data directory with synthetic cases and all of their vectors; seconds."""
    from indexer.case_store import CaseStore
    from indexer.writer_lock import writer_lock

    started = time.monotonic()
    generator = np.random.default_rng(seed)
    with writer_lock(data), CaseStore.open(data) as store:
        for begin in range(0, cases, BATCH):
            with store.connections.writing():
                for number in range(begin, min(begin + BATCH, cases)):
                    store.put(_draft(number, generator))
                _put_vectors(store, encoder_id, generator)
            store.checkpoint()
    return time.monotonic() - started


def measure(data: Path, cases: int = CASES, encoder_id: str = ENCODER_ID) -> IndexFigures:
    """All figures, over a data directory that is made anew."""
    from indexer import generation_files

    shutil.rmtree(data, ignore_errors=True)
    filled = fill(data, cases, encoder_id)
    rebuilt, opened = (_apart(data, step, encoder_id) for step in ("rebuild", "open"))
    folder = data / generation_files.FOLDER / str(generation_files.current_name(data))
    return IndexFigures(
        cases=cases,
        sentences=cases * SENTENCES,
        fill_seconds=filled,
        rebuild_seconds=rebuilt[0],
        rebuild_peak_mib=rebuilt[1],
        open_seconds=opened[0],
        open_peak_mib=opened[1],
        database_mib=(data / "cases.sqlite").stat().st_size / 2**20,
        generation_mib=sum(path.stat().st_size for path in folder.iterdir()) / 2**20,
    )


def _draft(number: int, generator: np.random.Generator) -> Draft:
    from indexer.cases import Draft, DraftSeries, Section
    from indexer.report_text import make_report

    sequence = tuple(MRSequence)[number % len(MRSequence)]
    name = f"series-{number}"
    report = make_report({Section.FINDINGS: " ".join(_sentences(generator))}, provenance="synthetic")
    return Draft(
        participant=f"sub-{number // 2:06d}",
        session=f"ses-{number % 2 + 1}",
        source=SOURCE,
        series=(DraftSeries(Path(f"/{name}"), name, sequence, (256, 256, 160), (1.0, 1.0, 1.0), digest=name),),
        report=report,
        age=float(generator.integers(18, 95)),
        sex="FM"[number % 2],
        date=(date(2015, 1, 1) + timedelta(days=int(generator.integers(0, 3650)))).isoformat(),
    )


def _sentences(generator: np.random.Generator) -> Iterator[str]:
    denied = generator.permutation(len(_DENIED))
    for place in range(SENTENCES):
        if place % 3 == 2:
            yield f"No {_DENIED[denied[place // 3]]}."
        else:
            finding, where, side = (
                words[int(generator.integers(len(words)))] for words in (_FINDINGS, _PLACES, _SIDES)
            )
            yield f"{side.capitalize()} {where} {finding} of {generator.integers(2, 60)} mm."


def _put_vectors(store: CaseStore, encoder_id: str, generator: np.random.Generator) -> None:
    from indexer.embedding_store import EncodedSeries, Kind

    embeddings = store.embeddings
    for kind in (Kind.REPORT, Kind.SENTENCE):
        for page in embeddings.pending_texts(kind, encoder_id):
            embeddings.put_texts(kind, encoder_id, page, _unit_vectors(len(page), generator))
    series = embeddings.pending_series(encoder_id)
    encoded = [
        EncodedSeries(one, vector, False, (), b"", (256, 256, 160), (1.0, 1.0, 1.0))
        for one, vector in zip(series, _unit_vectors(len(series), generator), strict=True)
    ]
    embeddings.put_series(encoder_id, encoded)


def _unit_vectors(count: int, generator: np.random.Generator) -> NDArray[np.float32]:
    vectors = generator.standard_normal((count, DIM), dtype=np.float32)
    unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _apart(data: Path, step: str, encoder_id: str) -> tuple[float, float]:
    """Seconds and peak MiB of one step in a process of its own."""
    command = [sys.executable, "-m", "training.benchmarks_index", "--data", str(data), "--step", step]
    done = subprocess.run([*command, "--encoder-id", encoder_id], check=True, capture_output=True, text=True)  # noqa: S603
    seconds, peak = json.loads(done.stdout)
    return float(seconds), float(peak)


def _step(data: Path, step: str, encoder_id: str) -> tuple[float, float]:
    from indexer.generations import Index
    from indexer.rebuild import rebuild

    started = time.monotonic()
    if step == "rebuild":
        rebuild(data, StoredVectors(encoder_id))
    else:
        Index.open(data)
    seconds = time.monotonic() - started
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=CASES)
    parser.add_argument("--encoder-id", default=ENCODER_ID)
    parser.add_argument("--step", choices=("all", "rebuild", "open"), default="all")
    asked = parser.parse_args()
    if asked.step == "all":
        answer: object = asdict(measure(asked.data, asked.cases, asked.encoder_id))
    else:
        answer = _step(asked.data, asked.step, asked.encoder_id)
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
