"""How long a text query takes over 100,000 cases: the whole HTTP call, warm, beside a plain baseline in the same run.

The baseline is the query's vector in FAISS's IndexFlatIP (float32) over the same sentences, and its words in an FTS5
table of them, ten of each, in process: no assertions, no filters, no fusion, no evidence, no HTTP. The data directory
is made by `benchmarks_index` with vectors under the shipped bundle's `encoder_id`.
"""

from __future__ import annotations

import argparse
import json
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import encoders
from training import benchmarks_index

QUERIES = (
    "hydrocephalus",
    "left frontal meningioma",
    "no midline shift",
    "haemorrhage",
    "white matter lesions",
    "acute infarct",
    "enhancing nodule",
    "right cerebellar cavernoma",
    "infarct without haemorrhage",
    "microbleeds",
)
ROUNDS = 10
HITS = 10
START_SECONDS = 180.0  # a million vectors are hashed when the server opens them


@dataclass(frozen=True, slots=True)
class SearchFigures:
    """Milliseconds of a warm query, and how many times the baseline's the whole call takes."""

    cases: int
    queries: int
    http_p50: float
    http_p95: float
    baseline_p50: float
    baseline_p95: float
    ratio_p50: float
    ratio_p95: float


def measure(data: Path) -> SearchFigures:
    """Time every query in turn through both ways; the two alternate round by round."""
    import httpx

    bundle = encoders.load()
    with _served(data) as address, httpx.Client(base_url=address, timeout=60.0) as client:
        baseline = _Baseline(data, bundle.encode_texts)

        def ask(text: str) -> None:
            client.get("/api/search", params={"q": text, "k": HITS}).raise_for_status()

        for way in (ask, baseline.search):
            _times(way)
        rounds = [(_times(ask), _times(baseline.search)) for _ in range(ROUNDS)]
        cases = int(client.get("/api/search", params={"q": QUERIES[0]}).json()["total"])
    ours, plain = (np.concatenate([times[way] for times in rounds]) for way in range(2))
    (p50, p95), (plain_p50, plain_p95) = (np.percentile(times, (50, 95)).round(1).tolist() for times in (ours, plain))
    return SearchFigures(
        cases=cases,
        queries=len(ours),
        http_p50=p50,
        http_p95=p95,
        baseline_p50=plain_p50,
        baseline_p95=plain_p95,
        ratio_p50=round(p50 / plain_p50, 2),
        ratio_p95=round(p95 / plain_p95, 2),
    )


def _times(way: Callable[[str], object]) -> NDArray[np.float64]:
    milliseconds = []
    for text in QUERIES:
        began = time.perf_counter()
        way(text)
        milliseconds.append(1000.0 * (time.perf_counter() - began))
    return np.array(milliseconds)


class _Baseline:
    """Vectors and words of all sentences, searched the plain way."""

    def __init__(self, data: Path, encode: Callable[[Sequence[str]], NDArray[np.float32]]) -> None:
        import faiss

        from indexer.case_store import CaseStore
        from indexer.embedding_store import Kind
        from indexer.generations import Index

        self._encode = encode
        faiss.omp_set_num_threads(1)
        self._words = sqlite3.connect(":memory:")
        self._words.execute("CREATE VIRTUAL TABLE sentence USING fts5 (text)")
        index = Index.open(data)
        self._vectors = faiss.IndexFlatIP(index.dim)
        with CaseStore.open(data, read_only=True) as store:
            for batch in store.embeddings.iter_embeddings(Kind.SENTENCE, index.encoder_id):
                self._vectors.add(batch.vectors.astype(np.float32))
            for keys in np.array_split(index.keys(Kind.SENTENCE), max(1, index.counts[Kind.SENTENCE] // 10_000)):
                rows = ((key, sentence.text) for key, sentence in store.sentences(keys.tolist()).items())
                self._words.executemany("INSERT INTO sentence (rowid, text) VALUES (?, ?)", rows)
        self._words.execute("INSERT INTO sentence (sentence) VALUES ('optimize')")

    def search(self, text: str) -> int:
        _, positions = self._vectors.search(self._encode([text]), HITS)
        question = " ".join(f'"{word}"' for word in text.split())
        statement = "SELECT rowid, text FROM sentence WHERE sentence MATCH ? ORDER BY rank LIMIT ?"
        return len(positions[0]) + len(self._words.execute(statement, (question, HITS)).fetchall())


@contextmanager
def _served(data: Path) -> Iterator[str]:
    """The site on a free port of this machine, in a process of its own."""
    import httpx

    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "neurorecall", "serve", "--data", str(data), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and server.poll() is None:
            try:
                if httpx.get(f"{address}/readyz", timeout=5.0).status_code == 200:
                    break
            except httpx.HTTPError:
                pass
            time.sleep(0.2)
        else:
            raise TimeoutError(f"Expected the server to be ready within {START_SECONDS:.0f} s; it was not.")
        yield address
    finally:
        server.terminate()
        server.wait(timeout=60)


def main() -> None:
    """Make the synthetic cases where they are not there yet, and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=benchmarks_index.CASES)
    asked = parser.parse_args()
    if not (asked.data / "CURRENT").exists():
        benchmarks_index.measure(asked.data, asked.cases, encoders.load().encoder_id)
    sys.stdout.write(json.dumps(asdict(measure(asked.data))) + "\n")


if __name__ == "__main__":
    main()
