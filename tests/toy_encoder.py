"""The tests' encoder: words and voxels to vectors by hashing and averaging, without torch or trained weights.

Texts that share words lie near each other, volumes that look alike too. Nothing relates the two, so a test of text
against scans needs the real bundle.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from encoders.bundle import EncodingError, SeriesEncoding
from encoders.calibration import OperatingPoint
from encoders.findings import Finding, FindingScore
from encoders.sequences import MRSequence
from encoders.volume import Volume

BLOCKS = (6, 6, 6)
SLAB_MM = 40.0


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def _direction(word: str, dim: int) -> NDArray[np.float32]:
    seed = int.from_bytes(hashlib.sha256(word.encode("utf-8", "replace")).digest()[:8], "little")
    return np.random.default_rng(seed).standard_normal(dim).astype(np.float32)


class ToyEncoder:
    """Deterministic; `name` and `dim` make another encoder_id."""

    encoder_id = "toy-64"
    preprocessing_id = "block means"
    dim = 64
    sequences: tuple[MRSequence, ...] = tuple(MRSequence)
    findings: tuple[Finding, ...] = (
        Finding("abnormal", "abnormal examination", ("an abnormality",), ("normal study",)),
        Finding("hydrocephalus", "hydrocephalus", ("there is hydrocephalus",), ("no hydrocephalus",)),
    )

    def __init__(self, name: str | None = None, dim: int | None = None) -> None:
        if name is not None or dim is not None:
            self.dim = dim or type(self).dim
            self.encoder_id = f"{name or 'toy'}-{self.dim}"

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            vectors[row] = 0.01 * _direction("", self.dim)
            for word in re.findall(r"\w+", text.casefold()):
                vectors[row] += _direction(word.rstrip("s"), self.dim)
            vectors[row] = _unit(vectors[row])
        return vectors

    def encode_series(self, volume: Volume) -> SeriesEncoding:
        if volume.sequence is None:
            raise EncodingError("unknown_sequence", "The MR sequence of this series is not known.", "Name it.")
        height = volume.voxels.shape[2] * volume.spacing[2]
        means = [
            float(block.mean())
            for plane in np.array_split(volume.voxels, BLOCKS[0], axis=0)
            for row in np.array_split(plane, BLOCKS[1], axis=1)
            for block in np.array_split(row, BLOCKS[2], axis=2)
        ]
        values = np.asarray(means, np.float32)
        values = (values - values.mean()) / max(float(values.std()), 1e-6)
        projection = np.random.default_rng(7).standard_normal((len(values), self.dim)).astype(np.float32)
        # Half of it is the MR sequence: scans of one sequence look more alike than scans of one person.
        embedding = _unit(values @ projection) + _unit(_direction(volume.sequence, self.dim))
        partial = height < SLAB_MM
        return SeriesEncoding(_unit(embedding), partial, 0.3 if partial else 1.0, ())

    def encode_examination(self, volumes: Sequence[Volume]) -> NDArray[np.float32]:
        encodings = [self.encode_series(volume).embedding for volume in volumes]
        return self.fuse(np.stack(encodings), [volume.sequence for volume in volumes if volume.sequence])

    def fuse(self, embeddings: NDArray[np.float32], sequences: Sequence[MRSequence]) -> NDArray[np.float32]:
        assert embeddings.shape == (len(sequences), self.dim)
        return _unit(embeddings.sum(axis=0))

    @property
    def scoring_id(self) -> str:
        return self.encoder_id

    def score_series(
        self, embeddings: NDArray[np.float32], sequences: Sequence[MRSequence], point: OperatingPoint | None = None
    ) -> tuple[FindingScore, ...]:
        embedding = self.fuse(embeddings, sequences)
        return tuple(
            FindingScore(finding.name, finding.title, self._score(finding, embedding), None, False, None, None)
            for finding in self.findings
        )

    def reading_order(self, embeddings: NDArray[np.float32], sequences: Sequence[MRSequence]) -> float:
        return self._score(self.findings[0], self.fuse(embeddings, sequences))

    def _score(self, finding: Finding, embedding: NDArray[np.float32]) -> float:
        present, absent = (self.encode_texts(texts).mean(axis=0) for texts in (finding.present, finding.absent))
        return float(1.0 / (1.0 + np.exp(-4.0 * float(embedding @ (present - absent)))))
