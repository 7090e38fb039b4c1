"""`make bench`: every benchmark in one run, printed, and written as tables with the machine and the date."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import encoders
from training import benchmarks_encoding, benchmarks_index, benchmarks_phantoms, benchmarks_search


def machine() -> str:
    """What the figures were measured on, as far as the system tells."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        names = [
            line.split(":", 1)[1].strip()
            for line in information.read_text("utf-8").splitlines()
            if "model name" in line
        ]
        model = names[0] if names else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    day = datetime.now(UTC).date().isoformat()
    return f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB, Python {platform.python_version()}, {day}"


def tables(encoding: dict[str, Any], index: dict[str, Any], search: dict[str, Any], phantoms: str) -> str:
    """All figures as Markdown."""
    ratio, seconds, peaks = encoding["ratio"], encoding["seconds"], encoding["peak_mib"]
    ours, plain, heat = seconds["ours"], seconds["plain"], encoding["explained"]
    return f"""Measured on {machine()}, by `make bench`.

| what | NeuroRecall | plain way, same run | ratio |
|---|---|---|---|
| read, preprocess and encode a 1 mm T1w of 256³, one thread, median of {encoding["rounds"]} rounds (least to most) | {ours["median"]:.2f} s ({ours["min"]:.2f}-{ours["max"]:.2f}), peak {peaks["ours"]:.0f} MiB | {plain["median"]:.2f} s ({plain["min"]:.2f}-{plain["max"]:.2f}), peak {peaks["plain"]:.0f} MiB (nibabel, MONAI Spacing, DenseNet121 fp32) | {ratio["median"]:.1f} times faster ({ratio["min"]:.1f}-{ratio["max"]:.1f}) |
| heat map of a sentence over the same volume, read from its file, one thread | {heat["median"]:.2f} s ({heat["min"]:.2f}-{heat["max"]:.2f}) | | |
| text query over {search["cases"]:,} cases, 1,000,000 sentences: the whole HTTP call, warm, {search["queries"]} calls | p50 {search["http_p50"]:.0f} ms, p95 {search["http_p95"]:.0f} ms | p50 {search["baseline_p50"]:.0f} ms, p95 {search["baseline_p95"]:.0f} ms (FAISS flat and FTS5 alone: no fusion, no evidence, no HTTP) | {search["ratio_p50"]:.1f} times the baseline at p50 |
| rebuild of that index from stored vectors | {index["rebuild_seconds"]:.0f} s, peak {index["rebuild_peak_mib"]:.0f} MiB | | |

{phantoms}.
"""  # noqa: E501  a row of a table is a line


def main() -> None:
    """Run everything; `--quick` uses a thousandth of the cases, to see that it runs."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--data", type=Path, required=True, help="where the synthetic cases are kept")
    parser.add_argument("--out", type=Path, required=True, help="the Markdown file to write")
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    cases = benchmarks_index.CASES // 1000 if asked.quick else benchmarks_index.CASES
    encoding = benchmarks_encoding.run(rounds=1 if asked.quick else 5)
    sys.stdout.write(benchmarks_encoding.report(encoding) + "\n")
    index = asdict(benchmarks_index.measure(asked.data, cases, encoders.load().encoder_id))
    sys.stdout.write(f"{index}\n")
    search = asdict(benchmarks_search.measure(asked.data))
    sys.stdout.write(f"{search}\n")
    phantoms = benchmarks_phantoms.line(benchmarks_phantoms.measure(3 if asked.quick else 30))
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(tables(encoding, index, search, phantoms), "utf-8")
    sys.stdout.write(asked.out.read_text("utf-8"))


if __name__ == "__main__":
    main()
