"""200 uploads and 200 searches at once against the server with the shipped encoder, and what is left of them.

With the shipped one, since it is torch's memory and the threads' that would not come back. The figures are printed:
`pytest -s tests/test_load.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from bad_inputs.checking import check_log
from running_service import MULTIPART, SHIPPED, Service, multipart, request, running

import encoders
from indexer.ingest import ingest
from indexer.rebuild import rebuild
from training.phantoms.cohort import write_cohort

pytestmark = pytest.mark.slow
MEBIBYTE = 1024**2
UPLOADS = SEARCHES = 200
WARM_UP, SCANS = 24, 4
ALLOWED = {200, 429, 503}
QUIET = 12.0  # seconds after which a server that was warmed up is at rest
SETTLING = 30.0  # until what is over must be given back; the least of that time is the figure
WORDS = (
    "hydrocephalus",
    "no midline shift",
    "left frontal glioma",
    "acute infarct",
    "white matter lesions",
    "meningioma",
)


@dataclass(frozen=True, slots=True)
class Answered:
    status: int
    retry_after: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Round:
    """What became of one round; `meanwhile` are searches that were sent one after another while it ran."""

    uploads: tuple[Answered, ...]
    searches: tuple[Answered, ...]
    meanwhile: tuple[Answered, ...]
    seconds: float

    def told(self, name: str) -> str:
        answers: tuple[Answered, ...] = getattr(self, name)
        statuses = ", ".join(
            f"{count} × {status}" for status, count in sorted(Counter(a.status for a in answers).items())
        )
        times = [answer.seconds for answer in answers if answer.status == 200]
        middle, high = np.percentile(times, (50, 95)) if times else (0.0, 0.0)
        return f"{name}: {statuses}; answered 200 in {middle:.2f} s (median), {high:.2f} s (p95)"


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("load")
    write_cohort(folder / "cohort", cases=2, seed=1)
    ingest(str(folder / "cohort"), folder / "data", reports=folder / "cohort" / "reports.tsv")
    rebuild(folder / "data", encoders.load())
    with running(folder / "run", folder / "data", SHIPPED) as service:
        yield service


def test_many_at_once_are_answered_or_told_to_come_back(shipped: Service) -> None:
    scans = sorted(shipped.data.parent.rglob("*_FLAIR.nii.gz")) + sorted(shipped.data.parent.rglob("*_T2w.nii.gz"))
    for scan in scans[:SCANS]:  # one by one, so that each network is loaded
        asyncio.run(_round(shipped, [scan], 1, 1))
    asyncio.run(_round(shipped, scans, WARM_UP, WARM_UP))
    files = set(shipped.temporary.iterdir())
    baseline = _settled(shipped, 0, QUIET)
    found = asyncio.run(_round(shipped, scans, UPLOADS, SEARCHES))
    after = _settled(shipped, baseline, SETTLING)
    print(f"\nin {found.seconds:.1f} s; memory {baseline / MEBIBYTE:.0f} MiB before, {after / MEBIBYTE:.0f} MiB after")
    for name in ("uploads", "searches", "meanwhile"):
        print(found.told(name))
    every = (*found.uploads, *found.searches, *found.meanwhile)
    assert {answer.status for answer in every} <= ALLOWED
    assert all(int(answer.retry_after) > 0 for answer in every if answer.status != 200)
    assert sum(answer.status == 200 for answer in found.uploads) >= 2
    assert all(answer.status == 200 for answer in found.meanwhile)
    assert len(found.meanwhile) >= 3
    assert after <= 1.1 * baseline
    assert set(shipped.temporary.iterdir()) == files
    assert shipped.ask("/api/search?q=glioma").status == 200
    check_log(shipped.log.read_text("utf-8", "replace").replace(f"http://127.0.0.1:{shipped.port}", ""))


async def _round(service: Service, scans: Sequence[Path], uploads: int, searches: int) -> Round:
    bodies = [
        request("/api/search/scan", "POST", MULTIPART, multipart([(scan.name, scan.read_bytes())], {"k": "3"}))
        for scan in scans[:SCANS]
    ]
    began = time.monotonic()
    sent = [asyncio.create_task(_answered(service, bodies[number % len(bodies)])) for number in range(uploads)]
    asked = [asyncio.create_task(_answered(service, _search(number))) for number in range(searches)]
    meanwhile: list[Answered] = []
    while not all(task.done() for task in sent):
        meanwhile.append(await _answered(service, _search(len(meanwhile))))
        await asyncio.sleep(0.1)
    return Round(
        tuple(await asyncio.gather(*sent)),
        tuple(await asyncio.gather(*asked)),
        tuple(meanwhile),
        time.monotonic() - began,
    )


def _search(number: int) -> bytes:
    return request(f"/api/search?q={quote(WORDS[number % len(WORDS)])}")


async def _answered(service: Service, asked: bytes) -> Answered:
    """Send a request and read the answer; an answer that comes early is read though not all was sent."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port, limit=1 << 24)
    writer.write(asked)
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
    await reader.readexactly(int(headers["content-length"]))
    writer.close()
    return Answered(int(head[0].split()[1]), headers.get("retry-after", "0"), time.monotonic() - began)


def _settled(service: Service, enough: int, seconds: float) -> int:
    """The server's memory once it is `enough`, or the least of some seconds."""
    until, least = time.monotonic() + seconds, service.memory()
    while time.monotonic() < until and least > enough:
        time.sleep(0.5)
        least = min(least, service.memory())
    return least
