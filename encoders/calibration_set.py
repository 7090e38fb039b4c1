"""The examinations that a bundle's thresholds are chosen and measured on, and the calibration of any set of networks.

Kept are the embeddings of their series and what is true of each, so that the scaling, the thresholds and their figures
are those of just the kinds of MR sequence that an examination has: a haemorrhage in T1w alone is another matter than
with T2* beside it. No network was trained on them; how they are made is left to `training.calibration`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.calibration import (
    Calibration,
    CalibrationError,
    OperatingPoint,
    ScoreSet,
    logistic,
    parse_operating_point,
)
from encoders.calibration_fit import choose_shares, fit_platt, network_shares
from encoders.findings import ABNORMAL
from encoders.seen_sides import SeenSides, SideVotes

FILE = "calibration.safetensors"
LEAST_EACH = 8  # with and without a finding, in each half: fewer choose no threshold and measure none

log = logging.getLogger(__name__)
RawScores = Callable[[NDArray[np.float32]], NDArray[np.float32]]  # embeddings (N, D) to scores (F, N)


@dataclass(frozen=True, slots=True)
class CalibrationSet:
    """Series of N examinations: `vectors` (S, D) unit, their `examinations` (S,) 0..N-1, their `networks` (S,).

    `present` says of each finding whether each examination has it, (N,). The first half of the examinations weigh the
    networks, fit the scaling and choose the thresholds, the second half measure them. `points` are the findings'
    operating points; `sides` are of the same series and examinations, where these are known.
    """

    vectors: NDArray[np.float32]
    examinations: NDArray[np.int32]
    networks: NDArray[np.uint8]
    present: Mapping[str, NDArray[np.bool_]]
    points: Mapping[str, OperatingPoint]
    data: str
    date: str
    sides: SeenSides | None = None

    @property
    def data_hash(self) -> str:
        """SHA-256 of all that thresholds are computed from, in a fixed order: vectors, what they are of, what is true.

        Findings are taken by name; vectors as half floats, as they are kept. Operating points are no part of it.
        """
        names = sorted(self.present)
        digest = hashlib.sha256(json.dumps([self.vectors.shape, self.count, names]).encode())
        kept = [self.vectors.astype("<f2"), self.examinations.astype("<i4"), self.networks.astype("u1")]
        kept += [self.present[name].astype("u1") for name in names]
        if self.sides is not None:
            digest.update(json.dumps(self.sides.findings).encode())
            kept += [self.sides.seen, self.sides.true]
        for array in kept:
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    @property
    def count(self) -> int:
        """How many examinations there are."""
        return int(self.examinations.max()) + 1 if len(self.examinations) else 0

    def fused(
        self, networks: frozenset[int], weights: Sequence[float]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Rows (M,) of the examinations that have a series of each of the networks, and those series fused, (M, D)."""
        chosen, rows = self._with_all(networks)
        sums = np.zeros((self.count, self.vectors.shape[1]), np.float32)
        share = np.asarray(weights, np.float32)[self.networks[chosen]]
        np.add.at(sums, self.examinations[chosen], self.vectors[chosen] * share[:, None])
        found = sums[rows]
        return rows, found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)

    def side_votes(self, networks: frozenset[int], allowed: float) -> SideVotes | None:
        """How many of these networks must agree on a side, to be wrong in a share `allowed` of examinations at most.

        Chosen on the first half and measured on the second; None where no number keeps that, or sides are not known.
        """
        chosen, rows = self._with_all(networks)
        choosing = rows < self.count // 2
        if self.sides is None or not choosing.any():
            return None
        for votes in range(1, len(networks) + 1):
            wrong, _ = self.sides.wrong(self.examinations, chosen, rows[choosing], votes)
            if wrong <= allowed * choosing.sum():
                return SideVotes(votes, *self.sides.wrong(self.examinations, chosen, rows[~choosing], votes))
        return None

    def _with_all(self, networks: frozenset[int]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Which series (S,) are of the networks, and the rows of the examinations that have one of each."""
        chosen = np.isin(self.networks, list(networks))
        has = np.zeros((self.count, 1 + max((*networks, *self.networks.tolist()), default=0)), np.bool_)
        has[self.examinations, self.networks] = True
        return chosen, np.flatnonzero(has[:, list(networks)].all(axis=1))

    def series_scores(self, networks: frozenset[int], raw: NDArray[np.float32]) -> NDArray[np.float64]:
        """Raw scores (F, M, K) of the examinations with all of the K networks, of those (F, S) of all series."""
        _, rows = self._with_all(networks)
        scores = np.zeros((len(raw), self.count, 1 + int(self.networks.max())), np.float64)
        counts = np.zeros(scores.shape[1:])
        for series, place in enumerate(zip(self.examinations, self.networks, strict=True)):
            scores[:, *place] += raw[:, series]
            counts[place] += 1
        columns = sorted(networks)
        return np.asarray(scores[:, rows][:, :, columns] / counts[rows][:, columns])

    def calibrations(
        self,
        names: Sequence[str],
        networks: frozenset[int],
        weights: Sequence[float],
        raw_scores: RawScores,
        *,
        fused: bool = False,
    ) -> dict[str, Calibration]:
        """The calibration of each finding for examinations of just these networks; few examples give a finding none.

        Parameters
        ----------
        names : the findings in the order of `raw_scores`
        weights : of every network of the bundle in a fusion
        fused : of the score of the series' fused vector, not of a weighed sum of their scores
        """
        _, rows = self._with_all(networks)
        if not len(rows):
            return {}
        choosing = rows < self.count // 2
        if fused:
            scores = raw_scores(self.fused(networks, weights)[1]).astype(np.float64)[:, :, None]
        else:
            scores = self.series_scores(networks, raw_scores(self.vectors))
        usual = network_shares(weights, sorted(networks))
        found: dict[str, Calibration] = {}
        for name, by_network in zip(names, scores, strict=True):
            if name not in self.present or name not in self.points:
                continue
            labels = self.present[name][rows]
            halves = (labels[choosing], labels[~choosing])
            if min(int(side.sum()) for half in halves for side in (half, ~half)) < LEAST_EACH:
                continue
            shares, apart = choose_shares(by_network[choosing], halves[0], np.ones(1) if fused else usual)
            summed = by_network @ shares
            summed[choosing] = apart
            slope, intercept = fit_platt(summed[choosing], halves[0])
            scaled = np.array([logistic(slope * score + intercept) for score in summed])
            found[name] = Calibration(
                slope=slope,
                intercept=intercept,
                operating_point=self.points[name],
                choosing=_score_set(scaled[choosing], halves[0]),
                measuring=_score_set(scaled[~choosing], halves[1]),
                data=f"{int((~choosing).sum())} {self.data}, {self.date}",
                shares=tuple(shares.tolist()),
            )
        return found

    def normal(self, networks: frozenset[int], weights: Sequence[float]) -> NDArray[np.float32]:
        """The embeddings (M, D) of measuring examinations with all of the networks that are not abnormal."""
        rows, embeddings = self.fused(networks, weights)
        if ABNORMAL not in self.present:
            return embeddings[:0]
        return embeddings[~self.present[ABNORMAL][rows] & (rows >= self.count // 2)]

    def save(self, folder: Path, encoder_id: str) -> None:
        """Write FILE into a bundle's folder, whole or not at all; it goes with the encoder of that id only."""
        from safetensors.numpy import save_file

        names = list(self.points)
        said = {
            "encoder_id": encoder_id,
            "date": self.date,
            "data": self.data,
            "data_sha256": self.data_hash,
            "operating_points": json.dumps({name: str(point) for name, point in self.points.items()}),
        }
        arrays: dict[str, NDArray[Any]] = {
            "vectors": self.vectors.astype(np.float16),
            "examinations": self.examinations,
            "networks": self.networks,
            "present": np.stack([self.present[name] for name in names]).astype(np.uint8),
        }
        if self.sides is not None:
            said["sides"] = json.dumps(self.sides.findings)
            arrays |= {"sides_seen": self.sides.seen, "sides_true": self.sides.true}
        temporary = folder / f"{FILE}.tmp"
        save_file(arrays, temporary, said)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(folder / FILE)


def load_calibration_set(folder: Path, encoder_id: str) -> CalibrationSet | None:
    """Read FILE of a bundle's folder; None where there is none or it is of other weights: nothing is measured then.

    Raises
    ------
    CalibrationError
        it is damaged
    """
    from safetensors import SafetensorError, safe_open

    path = folder / FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, "np") as stored:
            said = stored.metadata() or {}
            points = json.loads(said["operating_points"])
            vectors, examinations, networks, present = (
                stored.get_tensor(name) for name in ("vectors", "examinations", "networks", "present")
            )
            sides = None
            if "sides" in said:
                tables = stored.get_tensor("sides_seen"), stored.get_tensor("sides_true")
                sides = SeenSides(tuple(json.loads(said["sides"])), *tables)
        if not len(vectors) == len(examinations) == len(networks) or len(present) != len(points):
            raise ValueError(f"{len(vectors)} vectors of {len(examinations)} series, {len(points)} findings")
        if sides is not None:
            sides.check(len(vectors), present.shape[1])
        found = CalibrationSet(
            vectors=vectors.astype(np.float32),
            examinations=examinations,
            networks=networks,
            present={name: row.astype(np.bool_) for name, row in zip(points, present, strict=True)},
            points={name: parse_operating_point(text) for name, text in points.items()},
            data=str(said["data"]),
            date=str(said["date"]),
            sides=sides,
        )
        if (told := said.get("data_sha256", found.data_hash)) != found.data_hash:
            raise ValueError(f"data of SHA-256 {found.data_hash}, said to be {told}")
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise CalibrationError(f"Expected calibrated findings in {FILE}, got: {error!r}") from error
    if said["encoder_id"] != encoder_id:
        log.warning(
            "%s is of the encoder %s, not of %s, and is left aside: calibrate the bundle again",
            *(FILE, said["encoder_id"], encoder_id),
        )
        return None
    return found


def _score_set(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> ScoreSet:
    return ScoreSet(np.sort(scores[labels]), np.sort(scores[~labels]))
