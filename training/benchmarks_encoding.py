"""Benchmark: read, preprocess and encode one 1 mm T1w volume, ours against the plain way, in the same run.

The plain way is nibabel -> MONAI Spacing to 1.4 mm and 130³ -> MONAI DenseNet121 in 3-D, fp32, as the published group's
public code does. Each way runs in a process of its own on one thread, the two alternate, and each measures its own peak
memory.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE = 256
PLAIN_SPACING_MM = 1.4
PLAIN_SIDE = 130
EMBEDDING = 384
WAYS = ("ours", "plain")
EXPLAINED = "explained"  # read, and draw a heat map for a sentence
SENTENCE = "There is a tumour in the left temporal lobe."


def run(rounds: int = 5, bundle: Path | None = None) -> dict[str, Any]:
    """Seconds of each way, their ratio in each round (plain / ours), as min, median and max; peak memory in MiB.

    Parameters
    ----------
    bundle : the folder of the encoder; None takes the shipped one
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sub-bench_T1w.nii.gz"
        path.write_bytes(head_file())
        workers = {way: _Worker(way, path, bundle) for way in (*WAYS, EXPLAINED)}
        try:
            for worker in workers.values():
                worker.measure()  # warms up: imports, first touch of memory
            seconds = [[workers[way].measure()["seconds"] for way in WAYS] for _ in range(rounds)]
            peaks = {way: workers[way].measure()["peak_mib"] for way in WAYS}
            explained = [workers[EXPLAINED].measure()["seconds"] for _ in range(rounds)]
        finally:
            for worker in workers.values():
                worker.stop()
    ours, plain = ([row[column] for row in seconds] for column in range(2))
    ratios = [slow / fast for fast, slow in zip(ours, plain, strict=True)]
    return {
        "rounds": rounds,
        "seconds": {"ours": _spread(ours), "plain": _spread(plain)},
        "ratio": _spread(ratios),
        "peak_mib": peaks,
        EXPLAINED: _spread(explained),
    }


def report(result: dict[str, Any]) -> str:
    """The figures of `run` in a few lines for people."""
    seconds, ratio, peaks = result["seconds"], result["ratio"], result["peak_mib"]
    lines = [
        f"read + preprocess + encode a 1 mm T1w of {SIDE}³, one thread each, {result['rounds']} rounds, alternating"
    ]
    for way, title in (("ours", "NeuroRecall"), ("plain", "nibabel, MONAI Spacing, DenseNet121 fp32")):
        spread = seconds[way]
        times = f"{spread['median']:.2f} s ({spread['min']:.2f} to {spread['max']:.2f})"
        lines.append(f"  {title}: {times}, peak {peaks[way]:.0f} MiB")
    lines.append(f"  ratio {ratio['median']:.1f} ({ratio['min']:.1f} to {ratio['max']:.1f})")
    heat = result[EXPLAINED]
    lines.append(f"  heat map of a sentence: {heat['median']:.2f} s ({heat['min']:.2f} to {heat['max']:.2f})")
    return "\n".join(lines)


def head_file() -> bytes:
    """A head-like int16 volume of 256³ at 1 mm as .nii.gz: scalp, skull, folded brain, ventricles, noise everywhere."""
    nibabel = import_module("nibabel")
    grid = np.linspace(-128, 127, SIDE, dtype=np.float32)
    x, y, z = grid[:, None, None], grid[None, :, None], grid[None, None, :]
    rng = np.random.default_rng(7)
    voxels = np.abs(rng.normal(0, 12, (SIDE, SIDE, SIDE)).astype(np.float32))
    head = (x / 80) ** 2 + (y / 98) ** 2 + (z / 88) ** 2
    voxels[head < 1] += 700
    voxels[(x / 74) ** 2 + (y / 92) ** 2 + (z / 82) ** 2 < 1] -= 620
    brain = (x / 68) ** 2 + (y / 85) ** 2 + (z / 70) ** 2
    folds = 90 * np.sin(x / 4) * np.sin(y / 5) * np.sin(z / 4.5)
    voxels = np.where(brain < 1, 420 + folds + rng.normal(0, 25, voxels.shape).astype(np.float32), voxels)
    voxels[(np.abs(x) / 14) ** 2 + (y / 40) ** 2 + (z / 14) ** 2 < 1] = 120
    affine = np.diag((-1.0, 1.0, 1.0, 1.0))
    affine[:3, 3] = (128, -128, -128)
    image = nibabel.Nifti1Image(voxels.astype(np.int16), affine)
    return gzip.compress(bytes(image.to_bytes()), 6)


class _Worker:
    """A process that encodes the same file each time it is asked to."""

    def __init__(self, way: str, path: Path, bundle: Path | None) -> None:
        command = [sys.executable, "-m", "training.benchmarks_encoding", way, str(path)]
        command += [] if bundle is None else ["--bundle", str(bundle)]
        root = Path(__file__).parents[1]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)  # noqa: S603

    def measure(self) -> dict[str, float]:
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("Expected pipes to the benchmark's process")
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        answer: dict[str, float] = json.loads(self._process.stdout.readline())
        return answer

    def stop(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(timeout=60)
        if self._process.stdout is not None:
            self._process.stdout.close()


def _serve(arguments: Sequence[str]) -> None:
    """The worker's side: one line of JSON for each line read."""
    import torch

    parser = argparse.ArgumentParser()
    parser.add_argument("way", choices=(*WAYS, EXPLAINED))
    parser.add_argument("path", type=Path)
    parser.add_argument("--bundle", type=Path)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    made: dict[str, Callable[[], Any]] = {
        "ours": partial(_ours, options.bundle),
        "plain": _plain,
        EXPLAINED: partial(_explained, options.bundle),
    }
    encode = made[options.way]()
    for _ in sys.stdin:
        started = time.perf_counter()
        found = encode(options.path)
        seconds = time.perf_counter() - started
        is_shaped = found.ndim == 3 if options.way == EXPLAINED else found.shape == (EMBEDDING,)
        if not is_shaped or not np.isfinite(found).all():
            raise RuntimeError(f"Expected a finite embedding of {EMBEDDING} or a heat map, got {found.shape}")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        sys.stdout.write(json.dumps({"seconds": seconds, "peak_mib": peak}) + "\n")
        sys.stdout.flush()


def _ours(bundle: Path | None) -> Any:
    import encoders

    encoder = encoders.load(bundle)

    def encode(path: Path) -> NDArray[np.float32]:
        return encoder.encode_series(encoders.read_volume(path)).embedding

    return encode


def _explained(bundle: Path | None) -> Any:
    import encoders
    from encoders.explain import explain_sentences

    encoder = encoders.load(bundle)

    def explain(path: Path) -> NDArray[np.float32]:
        return explain_sentences(encoder, encoders.read_volume(path), [SENTENCE]).heat

    return explain


def _plain() -> Any:
    """The plain way as its users write it; weights do not matter for time."""
    import torch

    nibabel, data = import_module("nibabel"), import_module("monai.data")
    nets, transforms = import_module("monai.networks.nets"), import_module("monai.transforms")
    network = nets.DenseNet121(spatial_dims=3, in_channels=1, out_channels=EMBEDDING).eval()
    spacing = transforms.Spacing(pixdim=(PLAIN_SPACING_MM,) * 3, mode="bilinear")
    orient = transforms.Orientation(axcodes="RAS", labels=(("L", "R"), ("P", "A"), ("I", "S")))
    frame = transforms.ResizeWithPadOrCrop((PLAIN_SIDE,) * 3)
    normalise = transforms.NormalizeIntensity()

    def encode(path: Path) -> NDArray[np.float32]:
        image = nibabel.load(path)
        voxels = data.MetaTensor(
            torch.from_numpy(image.get_fdata(dtype=np.float32))[None], affine=torch.from_numpy(image.affine)
        )
        prepared = normalise(frame(spacing(orient(voxels))))
        with torch.inference_mode():
            embedding = network(torch.as_tensor(prepared)[None].clamp(-1, 5))
        return np.asarray(embedding[0].numpy(), np.float32)

    return encode


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


if __name__ == "__main__":
    _serve(sys.argv[1:])
