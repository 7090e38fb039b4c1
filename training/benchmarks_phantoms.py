"""How fast phantom examinations are made: six series, preprocessed for the networks, lesion labels and a report.

Run `python -m training.benchmarks_phantoms`; `make bench` prints it among the others.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from encoders.preprocess import Preprocessing
from training.vision_examples import NETWORKS, ExampleFolder

SEED = 9_900_000
EXAMINATIONS = 30


@dataclass(frozen=True, slots=True)
class PhantomRate:
    """Seconds an examination: median, least and most of `n`; what they were painted on."""

    median: float
    least: float
    most: float
    n: int
    device: str


def measure(examinations: int = EXAMINATIONS) -> PhantomRate:
    """Make examinations one after another on one thread, or on the GPU where there is one."""
    torch.set_num_threads(1)
    seconds = []
    with tempfile.TemporaryDirectory(prefix="neurorecall-") as folder:
        examples = ExampleFolder(Path(folder), ("ventricles", "tumour"), Preprocessing())
        examples.make(SEED - 1)  # reads the anatomy maps
        for seed in range(SEED, SEED + examinations):
            began = time.perf_counter()
            examples.make(seed)
            seconds.append(time.perf_counter() - began)
    device = "GPU" if torch.cuda.is_available() else "one CPU thread"
    return PhantomRate(float(np.median(seconds)), min(seconds), max(seconds), examinations, device)


def line(rate: PhantomRate) -> str:
    """The rate as a sentence."""
    return (
        f"{1 / rate.median:.2f} phantom examinations of {len(NETWORKS)} series a second on {rate.device} "
        f"(median of {rate.n}: {rate.median:.2f} s, {rate.least:.2f}-{rate.most:.2f})"
    )


if __name__ == "__main__":
    sys.stdout.write(line(measure()) + "\n")
