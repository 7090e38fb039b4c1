"""Training examples: one phantom in every kind of MR sequence, preprocessed as a scan is, with lesions and report.

Example i is made from seed + i alone, so a resumed or repeated training sees the same ones. They are kept in a folder
(about 7 MB each) that worker processes fill ahead of the training. What is learned is left to `training.vision`.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.preprocess import NetworkInput, Preprocessing, preprocess
from encoders.sequences import MRSequence
from encoders.vision import INTRACRANIAL
from training.phantoms.contrast import scan
from training.phantoms.lesion_maps import load_lesion_maps
from training.phantoms.pathology import Phantom, make_phantom
from training.phantoms.reports import write_report
from training.phantoms.scenario import SHARE_NORMAL, draw_facts
from training.worker_processes import single_threaded

# One network each; where two MR sequences share a network, an example shows one of them.
NETWORKS: tuple[tuple[str, tuple[MRSequence, ...]], ...] = (
    ("t1w", (MRSequence.T1W,)),
    ("t1w_post", (MRSequence.T1W_POST,)),
    ("t2w", (MRSequence.T2W,)),
    ("flair", (MRSequence.FLAIR,)),
    ("dwi", (MRSequence.DWI, MRSequence.ADC)),
    ("t2star", (MRSequence.T2STAR, MRSequence.SWI)),
)
INTENSITY_LEVELS = 255
LESION_SHARE = 0.2  # of a half-resolution cell: from here on the cell carries the lesion's label
INTRACRANIAL_SHARE = 0.5
WAIT_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class ExampleTexts:
    """What is true of a phantom and what is said of it."""

    findings: tuple[str, ...]
    facts: dict[str, Any]
    report: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """One phantom in K kinds: voxels (K, D, H, W) and mask labels (K, D/2, H/2, W/2), 0 for none, else 1 + class.

    What the series does not show has no label.
    """

    voxels: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    texts: ExampleTexts


@dataclass(frozen=True, slots=True)
class ExampleFolder:
    """Examples on disk, made when asked for; `mask_classes` are in order of precedence, the last one wins.

    Of the seeds in `oversampled` only a `share_normal` is normal; `lesion_maps` is a file of phantoms.lesion_maps.
    """

    folder: Path
    mask_classes: tuple[str, ...]
    preprocessing: Preprocessing
    oversampled: range = range(0)
    share_normal: float = SHARE_NORMAL
    lesion_maps: Path | None = None

    def get(self, seed: int, *, patience: float = 0.0) -> Example:
        """The example of a seed; waits `patience` seconds for a worker's before making it here."""
        path = self.folder / f"{seed}.npz"
        until = time.monotonic() + patience
        while not path.exists() and time.monotonic() < until:
            time.sleep(WAIT_SECONDS)
        if not path.exists():
            self.make(seed)
        with np.load(path, allow_pickle=False) as stored:
            return Example(stored["voxels"], stored["labels"], _texts(stored["texts"]))

    def texts(self, seed: int) -> ExampleTexts:
        """The texts alone of an example, which is made where it is not there yet."""
        self.make(seed)
        with np.load(self.folder / f"{seed}.npz", allow_pickle=False) as stored:
            return _texts(stored["texts"])

    def make(self, seed: int) -> None:
        """Make the example of a seed, unless it is there."""
        if not (self.folder / f"{seed}.npz").exists():
            facts = draw_facts(seed, share_normal=self.share_normal) if seed in self.oversampled else draw_facts(seed)
            maps = load_lesion_maps(str(self.lesion_maps)) if self.lesion_maps else None
            # The device that trains also paints; voxels and labels come back as files.
            device = "cuda" if torch.cuda.is_available() else "cpu"
            phantom = make_phantom(seed, facts=facts, lesion_maps=maps, device=device)
            self.write(seed, make_example(phantom, seed, self.mask_classes, self.preprocessing))

    def write(self, seed: int, example: Example) -> None:
        """Keep an example, whole or not at all."""
        path = self.folder / f"{seed}.npz"
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        said = example.texts
        texts = json.dumps([said.findings, said.facts, said.report, said.sentences])
        with temporary.open("wb") as file:
            np.savez(file, voxels=example.voxels, labels=example.labels, texts=np.frombuffer(texts.encode(), np.uint8))
        temporary.replace(path)


@contextmanager
def filling(examples: ExampleFolder, seeds: Sequence[int], workers: int) -> Iterator[Callable[[], None]]:
    """Worker processes make the examples of `seeds`, in order, while the block runs; what it gives waits for them."""
    examples.folder.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_fill, args=(examples, tuple(seeds[worker::workers])), daemon=True)
        for worker in range(workers)
    ]
    with single_threaded():
        for process in processes:
            process.start()

    def filled() -> None:
        for process in processes:
            process.join()

    try:
        yield filled
    finally:
        for process in processes:
            process.terminate()
            process.join()


def make_example(phantom: Phantom, seed: int, mask_classes: Sequence[str], preprocessing: Preprocessing) -> Example:
    """Render a phantom in every kind of MR sequence, preprocess each, and write its report."""
    rng = np.random.default_rng((seed, 0x5E9))
    shares = _shares(phantom, mask_classes)
    least = [INTRACRANIAL_SHARE if name == INTRACRANIAL else LESION_SHARE for name in mask_classes]
    voxels, labels = [], []
    for _, sequences in NETWORKS:
        sequence = sequences[int(rng.integers(len(sequences)))]
        prepared = preprocess(scan(phantom, sequence, seed), preprocessing)
        voxels.append(quantise(prepared.voxels, preprocessing.clip))
        labels.append(_labels_on_grid(shares, phantom, prepared, least))
    report = write_report(phantom.facts, seed)
    prose = f"{report.findings} {report.impression}"
    sentences = tuple(
        dict.fromkeys(part.strip() for part in re.split(r"(?<=[.?!])\s+|\n+", prose) if len(part.strip()) > 3)
    )
    findings = tuple(name for name, present in phantom.facts.labels.items() if present)
    texts = ExampleTexts(findings, phantom.facts.to_dict(), report.text, sentences)
    return Example(np.stack(voxels), np.stack(labels), texts)


def quantise(voxels: NDArray[np.float32], clip: float) -> NDArray[np.uint8]:
    """Network input 0 to `clip` in 255 levels: a quarter of the memory, far below the noise."""
    return np.round(voxels * (INTENSITY_LEVELS / clip)).astype(np.uint8)


def _shares(phantom: Phantom, mask_classes: Sequence[str]) -> list[tuple[int, NDArray[np.float32]]]:
    """Label and share of each class around every point of the phantom, for each class that it has."""
    from scipy.ndimage import uniform_filter

    volumes = (phantom.intracranial if name == INTRACRANIAL else phantom.mask(name) for name in mask_classes)
    masks = ((number, volume.cpu().numpy()) for number, volume in enumerate(volumes, start=1))
    # Mean over about one half-resolution cell, so that sampling a cell's centre gives its share.
    return [(number, uniform_filter(mask.astype(np.float32), size=2)) for number, mask in masks if mask.any()]


def _labels_on_grid(
    shares: Sequence[tuple[int, NDArray[np.float32]]],
    phantom: Phantom,
    prepared: NetworkInput,
    least: Sequence[float],
) -> NDArray[np.uint8]:
    """Labels on the half-resolution grid of one network input."""
    from scipy.ndimage import affine_transform

    half = tuple(side // 2 for side in prepared.voxels.shape)
    # A cell's centre lies between its two grid points.
    cells = np.diag((2.0, 2.0, 2.0, 1.0))
    cells[:3, 3] = 0.5
    to_phantom = np.linalg.inv(phantom.affine) @ prepared.affine @ cells
    labels = np.zeros(half, np.uint8)
    for number, share in shares:
        sampled = affine_transform(share, to_phantom[:3, :3], to_phantom[:3, 3], output_shape=half, order=1)
        labels[sampled >= least[number - 1]] = number
    seen = prepared.voxels.reshape(half[0], 2, half[1], 2, half[2], 2).max(axis=(1, 3, 5)) > 0
    return np.asarray(labels * seen, np.uint8)


def _fill(examples: ExampleFolder, seeds: tuple[int, ...]) -> None:
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    for seed in seeds:
        if parent is None or not parent.is_alive():
            return  # the training was killed
        examples.make(seed)


def _texts(stored: NDArray[np.uint8]) -> ExampleTexts:
    findings, facts, report, sentences = json.loads(stored.tobytes())
    return ExampleTexts(tuple(findings), facts, report, tuple(sentences))
