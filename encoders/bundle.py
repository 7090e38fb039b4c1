"""A bundle: the folder that holds one complete encoder, and the encoder that is made of it.

The folder has `bundle.json` (name, preprocessing, networks), `text/` (NeuroBERT), `vision/` (one network a kind of MR
sequence), `findings.toml`, `calibration.safetensors` and `MODEL_CARD.md`. Its `encoder_id` names the weights and the
preprocessing; the indexer stores it with every vector and refuses others. How texts and volumes are encoded is left to
`text` and `vision`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.calibration import Calibration, OperatingPoint
from encoders.calibration_fit import network_shares
from encoders.calibration_set import load_calibration_set
from encoders.catalogue import load_findings, own_catalogue
from encoders.findings import AskedScore, Finding, FindingScore, finding_score, raw_scores
from encoders.in_range import FILE as RANGE_FILE
from encoders.in_range import load_rules
from encoders.manifest import BundleError, NetworkEntry, network_entries, read_manifest, weights_hash
from encoders.preprocess import NetworkInput, Preprocessing, preprocess
from encoders.sequences import MRSequence
from encoders.series_encoding import EncodingError, SeriesEncoding
from encoders.text import NeuroBERT
from encoders.vision import SequenceNetwork, VisionConfig, VisionOutput, mask_probabilities, surest_by_side
from encoders.volume import Volume

__all__ = ["Bundle", "BundleError", "Encoder", "EncodingError", "SeriesEncoding", "load"]

SCORING = 3  # how series are scored together; another number scores stored examinations again
PRETRAINED = Path(__file__).parent / "pretrained"


class Encoder(Protocol):
    """What the indexer and the search need of an encoder: the bundle, and the tests' toy."""

    @property
    def encoder_id(self) -> str: ...
    @property
    def scoring_id(self) -> str: ...
    @property
    def preprocessing_id(self) -> str: ...
    @property
    def dim(self) -> int: ...
    @property
    def sequences(self) -> tuple[MRSequence, ...]: ...
    @property
    def findings(self) -> tuple[Finding, ...]: ...
    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]: ...
    def encode_series(self, volume: Volume) -> SeriesEncoding: ...
    def encode_examination(self, volumes: Sequence[Volume]) -> NDArray[np.float32]: ...
    def fuse(self, embeddings: NDArray[np.float32], sequences: Sequence[MRSequence]) -> NDArray[np.float32]: ...
    def score_series(
        self, embeddings: NDArray[np.float32], sequences: Sequence[MRSequence], point: OperatingPoint | None = None
    ) -> tuple[FindingScore, ...]: ...
    def reading_order(self, embeddings: NDArray[np.float32], sequences: Sequence[MRSequence]) -> float: ...


class Bundle:
    """The encoder of a folder. Loaded by `load`; safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        manifest = read_manifest(folder)
        self.folder = folder
        self.name = str(manifest["name"])
        self.preprocessing = Preprocessing.from_dict(manifest["preprocessing"])
        self.preprocessing_id = self.preprocessing.digest()
        self.entries = network_entries(manifest)
        self.substitutes = {MRSequence(key): MRSequence(value) for key, value in manifest["substitutes"].items()}
        self.encoder_id = f"{self.name}-{weights_hash(folder, manifest, self.preprocessing)[:12]}"
        self.network_config = config = VisionConfig.from_dict(manifest["vision"])
        self.finding_names, self.mask_classes = config.findings, config.mask_classes
        self.neurobert = NeuroBERT.load(folder / "text")
        self._networks = {entry.file: _network(folder / entry.file, config) for entry in self.entries}
        self._weights = [entry.weight for entry in self.entries]
        self._range = load_rules(folder / RANGE_FILE)
        self._entry_of = {sequence: entry for entry in self.entries for sequence in entry.sequences}
        self._own = own_catalogue()
        self.findings = load_findings(folder / "findings.toml", self._own)
        self.calibration_set = load_calibration_set(folder, self.encoder_id)
        self._calibrations: dict[tuple[frozenset[int], bool], dict[str, Calibration]] = {}

    @cached_property
    def scoring_id(self) -> str:
        """Names all that decides the findings' scores: encoder, sentences, calibration, and the way of scoring.

        What else a catalogue or a calibration says, such as ids of terms or a date, is no part of it.
        """
        digest = hashlib.sha256(f"{self.encoder_id} {SCORING}".encode())
        prompts = [(finding.name, finding.present, finding.absent) for finding in self.findings]
        digest.update(json.dumps(prompts).encode())
        if self.calibration_set is not None:
            points = {name: str(point) for name, point in self.calibration_set.points.items()}
            digest.update(f"{self.calibration_set.data_hash} {json.dumps(points, sort_keys=True)}".encode())
        return digest.hexdigest()[:16]

    @property
    def dim(self) -> int:
        return self.neurobert.dim

    @property
    def sequences(self) -> tuple[MRSequence, ...]:
        """The MR sequences that a network was trained for, and those that another's network substitutes for."""
        return (*self._entry_of, *self.substitutes)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings (N, D) of texts, unit length."""
        return self.neurobert.encode(texts)

    def encode_series(self, volume: Volume) -> SeriesEncoding:
        """Embedding of one series by the network of its MR sequence.

        Raises
        ------
        EncodingError
            `unknown_sequence` when the volume does not say how it was made, `no_network` when none was trained for it
        """
        entry, notes = self._entry(volume.sequence)
        prepared = preprocess(volume, self.preprocessing)
        output = self._run(entry, prepared)
        # What covers little of the brain the rule cannot judge.
        rule = None if prepared.partial else self._range.get(entry.file)
        in_range = rule is None or rule.holds(output.features[0].numpy())
        halves = surest_by_side(mask_probabilities(output.masks, self.mask_classes))[0].tolist()
        lesions = {name: (left, right) for name, (left, right) in zip(self.mask_classes, halves, strict=True)}
        embedding = _unit(output.embedding[0].numpy())
        return SeriesEncoding(embedding, prepared.partial, prepared.coverage, notes, in_range, lesions)

    def see(self, volume: Volume) -> tuple[VisionOutput, NetworkInput]:
        """All that the network says of one series (a batch of one), and what it saw; raises as encode_series."""
        prepared = preprocess(volume, self.preprocessing)
        return self.see_input(volume, prepared), prepared

    def see_input(self, volume: Volume, prepared: NetworkInput) -> VisionOutput:
        """What the network of a series says of an input that was made of it; raises as encode_series."""
        return self._run(self._entry(volume.sequence)[0], prepared)

    def network_and_input(self, volume: Volume) -> tuple[SequenceNetwork, NetworkInput]:
        """The network of one series' MR sequence, and what it is given; raises as encode_series."""
        entry, _ = self._entry(volume.sequence)
        return self._networks[entry.file], preprocess(volume, self.preprocessing)

    def encode_examination(self, volumes: Sequence[Volume]) -> NDArray[np.float32]:
        """Embedding (D,) of all series of an examination together, unit length."""
        encodings = [self.encode_series(volume).embedding for volume in volumes]
        return self.fuse(np.stack(encodings), [one.sequence for one in volumes if one.sequence is not None])

    def fuse(self, embeddings: NDArray[np.float32], sequences: Sequence[MRSequence]) -> NDArray[np.float32]:
        """One unit vector (D,) of several series (S, D), each weighed by its network's measured reliability."""
        if embeddings.ndim != 2 or embeddings.shape != (len(sequences), self.dim) or not len(sequences):
            raise BundleError(f"Expected embeddings of shape ({len(sequences)}, {self.dim}), got {embeddings.shape}")
        weights = np.array([self._entry(sequence)[0].weight for sequence in sequences], np.float32)
        return _unit(weights @ embeddings)

    def score_series(
        self, embeddings: NDArray[np.float32], sequences: Sequence[MRSequence], point: OperatingPoint | None = None
    ) -> tuple[FindingScore, ...]:
        """Calibrated scores for the series (S, D) of one examination, in the catalogue's order.

        A finding that is not calibrated for examinations with just these `sequences` has no score, and is left out.
        Each finding weighs the series by how well their networks were measured to tell it. Thresholds are those of the
        operating point, or of each finding's own where none is given.
        """
        return self._scores(self.weighed_scores(embeddings, sequences), self.calibrations(sequences), point)

    def score(
        self,
        embedding: NDArray[np.float32],
        point: OperatingPoint | None = None,
        sequences: Sequence[MRSequence] | None = None,
    ) -> tuple[FindingScore, ...]:
        """Calibrated scores for one fused embedding (D,), in the catalogue's order; none of what is not calibrated.

        `sequences` are those that it was made of, None for all. `score_series` tells more.
        """
        if embedding.shape != (self.dim,):
            raise BundleError(f"Expected an embedding of shape ({self.dim},), got {embedding.shape}")
        raw = self.raw_scores(embedding[None])[:, 0]
        return self._scores(raw, self.calibrations(sequences, fused=True), point)

    def _scores(
        self, raw: NDArray[np.float32], calibrations: Mapping[str, Calibration], point: OperatingPoint | None
    ) -> tuple[FindingScore, ...]:
        rows = [row for row in zip(self.findings, raw.tolist(), strict=True) if row[0].name in calibrations]
        return tuple(finding_score(finding, one, calibrations[finding.name], point) for finding, one in rows)

    def reading_order(self, embeddings: NDArray[np.float32], sequences: Sequence[MRSequence]) -> float:
        """The uncalibrated score of "abnormal", to order by, higher first; on no scale with other sequences."""
        return float(self.weighed_scores(embeddings, sequences)[0])

    def weighed_scores(self, embeddings: NDArray[np.float32], sequences: Sequence[MRSequence]) -> NDArray[np.float32]:
        """Uncalibrated scores (F,) of the series (S, D) of one examination, summed by each finding's own weights."""
        if embeddings.shape != (len(sequences), self.dim) or not len(sequences):
            raise BundleError(f"Expected embeddings of shape ({len(sequences)}, {self.dim}), got {embeddings.shape}")
        networks, raw = np.array([self.network_of(one) for one in sequences]), self.raw_scores(embeddings)
        kinds = np.unique(networks)
        means = np.stack([raw[:, networks == kind].mean(axis=1) for kind in kinds], axis=1)
        known, usual = self.calibrations(sequences), network_shares(self._weights, kinds)
        shares = [known[finding.name].shares if finding.name in known else usual for finding in self.findings]
        return np.asarray((means * np.array(shares)).sum(axis=1), np.float32)

    def ask(
        self, embedding: NDArray[np.float32], sentences: Sequence[str], sequences: Sequence[MRSequence] | None = None
    ) -> tuple[AskedScore, ...]:
        """How near an embedding (D,) lies to any sentences, and nearer than how many measured normal examinations.

        `sequences` are those that the embedding was made of, None for all. Raises TextError for a text without words.
        """
        vectors, measured = self.encode_texts(sentences), self.calibration_set
        similarities = (vectors @ embedding).tolist()
        if measured is None:
            return tuple(AskedScore(*pair, None, 0, "") for pair in zip(sentences, similarities, strict=True))
        normal = measured.normal(self.networks_of(sequences), self._weights)
        above = normal @ vectors.T < np.array(similarities, np.float32)
        shares = above.mean(axis=0).tolist() if len(normal) else [None] * len(sentences)
        rest = (len(normal), f"{measured.data}, {measured.date}")
        return tuple(AskedScore(*row, *rest) for row in zip(sentences, similarities, shares, strict=True))

    def calibrations(
        self, sequences: Sequence[MRSequence] | None = None, *, fused: bool = False
    ) -> dict[str, Calibration]:
        """The findings' calibrations for examinations of these MR sequences, None for all that were measured.

        They are of the scores of their series, or with `fused` of the scores of these fused.
        """
        measured, networks = self.calibration_set, self.networks_of(sequences)
        if measured is None:
            return {}
        if (networks, fused) not in self._calibrations:
            names, ways = [finding.name for finding in self.findings], (self._weights, self.raw_scores)
            self._calibrations[networks, fused] = measured.calibrations(names, networks, *ways, fused=fused)
        return self._calibrations[networks, fused]

    def networks_of(self, sequences: Sequence[MRSequence] | None) -> frozenset[int]:
        """The rows in `entries` of the networks that encode these sequences; None for all that were measured."""
        if sequences is not None:
            return frozenset(map(self.network_of, sequences))
        measured = self.calibration_set
        return frozenset() if measured is None else frozenset(int(one) for one in np.unique(measured.networks))

    def network_of(self, sequence: MRSequence) -> int:
        """The row in `entries` of the network that encodes a sequence; raises as encode_series."""
        return self.entries.index(self._entry(sequence)[0])

    def raw_scores(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """Uncalibrated scores (F, N) of embeddings (N, D), for calibration and evaluation."""
        return np.stack([raw_scores(embeddings, present, absent) for present, absent in self._prompts])

    @cached_property
    def _prompts(self) -> tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]:
        """Embeddings of each finding's stating and denying sentences.

        They take a second, so not before something is scored; all in one go, which is twice as fast.
        """
        sets = [texts for finding in self.findings for texts in (finding.present, finding.absent)]
        vectors = self.encode_texts([text for texts in sets for text in texts])
        parts = np.split(vectors, np.cumsum([len(texts) for texts in sets])[:-1])
        return tuple(zip(parts[::2], parts[1::2], strict=True))

    def _run(self, entry: NetworkEntry, prepared: NetworkInput) -> VisionOutput:
        with torch.inference_mode():
            output: VisionOutput = self._networks[entry.file](torch.from_numpy(prepared.voxels)[None, None])
        return output

    def _entry(self, sequence: MRSequence | None) -> tuple[NetworkEntry, tuple[str, ...]]:
        if sequence is None:
            raise EncodingError(
                "unknown_sequence",
                "The MR sequence of this series is not known.",
                f"Name it: {', '.join(self.sequences)}.",
            )
        if sequence in self._entry_of:
            return self._entry_of[sequence], ()
        substitute = self.substitutes.get(sequence)
        if substitute is None:
            raise EncodingError(
                "no_network", f"No network was trained for {sequence}.", f"Encoded are: {', '.join(self.sequences)}."
            )
        return self._entry_of[substitute], (f"{sequence} was encoded by the network for {substitute}.",)


def load(folder: str | Path | None = None) -> Bundle:
    """The bundle of a folder; without one, that of NEURORECALL_BUNDLE, or else the bundle that ships.

    Raises
    ------
    BundleError
        when a file is missing, of another format, or does not fit the others
    """
    return Bundle(Path(folder or os.environ.get("NEURORECALL_BUNDLE") or PRETRAINED))


def _network(path: Path, config: VisionConfig) -> SequenceNetwork:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    network = SequenceNetwork(config)
    try:
        state = {
            name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in load_file(path).items()
        }
        network.load_state_dict(state)
    except (SafetensorError, RuntimeError) as error:
        raise BundleError(f"The weights in {path.name} are damaged or of another shape: {error}") from error
    return network.eval()


def _unit(embedding: NDArray[np.float32]) -> NDArray[np.float32]:
    norm = float(np.linalg.norm(embedding))
    if not np.isfinite(norm) or norm == 0.0:
        raise EncodingError("no_embedding", "This series gave no finite embedding.", "Look at its voxels.")
    return np.asarray(embedding / norm, dtype=np.float32)
