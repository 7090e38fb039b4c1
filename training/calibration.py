"""The examinations that a bundle's findings are calibrated on: phantoms that no network learned from, or a site's own.

Phantoms are rendered once for every network, so that any set of MR sequences can be calibrated by those that it has;
a site's are taken with the series that they came with. Half of them weigh the networks, fit the scaling and choose the
thresholds, the other half measure them: see `encoders.calibration_set`.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cache, partial
from itertools import count
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.bundle import Bundle
from encoders.calibration import parse_operating_point
from encoders.calibration_set import FILE, LEAST_EACH, CalibrationSet
from encoders.explain import has_side, side_of
from encoders.findings import ABNORMAL
from encoders.seen_sides import SeenSides
from encoders.sequences import MRSequence, parse_sequence
from indexer.case_store import CaseStore
from indexer.durable import replace_file
from indexer.finding_words import stated_findings
from training.worker_processes import process_pool

MOST_SETS = 6  # of MR sequences that a summary tells of, beside each sequence alone
MOST = 1_000_000_000  # of a seed or a number of phantoms
Progress = Callable[[int, int], None]


class CalibrationConfigError(ValueError):
    """A configuration of calibration that cannot be used."""


class TooFewCases(ValueError):
    """Examinations that "abnormal" cannot be calibrated by, in whichever MR sequences."""


@dataclass(frozen=True, slots=True)
class CalibrationConfig:
    """How many phantoms, from which seed on, in which MR sequences, and the operating points.

    `seed` must lie outside the seeds that the networks were trained on: the model card names those. Of the `sequences`
    of one network a phantom has one.
    """

    seed: int
    examinations: int
    sequences: tuple[MRSequence, ...]
    operating_point: str
    operating_point_abnormal: str
    workers: int


@dataclass(frozen=True, slots=True)
class Scanned:
    """One examination: its series, each the row of its network and its embedding (D,), and the findings it has.

    `seen` is on which side each series shows which findings, `sides` on which side they are; None where not known.
    """

    series: tuple[tuple[int, NDArray[np.float32]], ...]
    findings: frozenset[str]
    seen: tuple[Mapping[str, str], ...] = ()
    sides: Mapping[str, str] | None = None


def load_config(path: Path) -> CalibrationConfig:
    """Read the TOML file; an unknown or a missing key is an error."""
    table = tomllib.loads(path.read_text("utf-8"))
    expected = {field.name for field in fields(CalibrationConfig)}
    if set(table) != expected:
        raise CalibrationConfigError(f"Expected the keys {sorted(expected)} in {path.name}, got {sorted(table)}")
    for key, least in (("seed", 0), ("examinations", 4 * LEAST_EACH), ("workers", 1)):
        if type(table[key]) is not int or not least <= table[key] <= MOST:
            raise CalibrationConfigError(f"Expected {key} in {path.name} of {least} to {MOST:,}, got {table[key]!r}")
    names = table["sequences"]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise CalibrationConfigError(f"Expected a list of names of MR sequences in {path.name}, got {names!r}")
    table["sequences"] = tuple(parse_sequence(name) for name in names)
    for key in ("operating_point", "operating_point_abnormal"):
        parse_operating_point(str(table[key]))
    return CalibrationConfig(**table)


def phantom_set(bundle: Bundle, config: CalibrationConfig, progress: Progress) -> CalibrationSet:
    """Phantom examinations in every kind of MR sequence, encoded by the bundle in processes of their own."""
    seeds = [config.seed + number for number in range(config.examinations)]
    made: list[Scanned] = []
    with process_pool(config.workers) as pool:
        for one in pool.map(partial(_scan_phantom, bundle.folder, config), seeds, chunksize=4):
            made.append(one)
            progress(len(made), len(seeds))
    return _calibration_set(bundle, config, made, f"phantom examinations, seeds from {seeds[len(seeds) // 2]}")


def site_set(bundle: Bundle, config: CalibrationConfig, data: Path) -> CalibrationSet:
    """The reported examinations of a data directory; what a report states of a finding is taken for the truth.

    People stay whole: all examinations of one are in the same half, give or take the one in the middle.

    Raises
    ------
    CalibrationConfigError
        the data directory holds no vectors of this bundle and reports beside them
    """
    with CaseStore.open(data, read_only=True) as store:
        series = store.embeddings.reported(bundle.encoder_id)
        people = store.participants(series)
        ids = sorted(series, key=lambda row: (hashlib.sha256(people[row].encode()).digest(), row))
        reports = {row: one.report for row, one in store.examinations(ids).items()}
    if not ids:
        raise CalibrationConfigError(
            f"Expected reported examinations encoded by {bundle.encoder_id}, found none; run neurorecall rebuild first"
        )
    made = []
    for row in ids:
        report = reports[row]
        stated = frozenset(stated_findings(report)) if report else frozenset()
        made.append(Scanned(tuple((bundle.network_of(name), vector) for name, vector in series[row]), stated))
    return _calibration_set(bundle, config, made, "reported examinations of this site, truth by their reports")


def not_yet_encoded(bundle: Bundle, data: Path) -> int:
    """How many series of a data directory the bundle has still to encode."""
    with CaseStore.open(data, read_only=True) as store:
        return len(store.embeddings.pending_series(bundle.encoder_id))


@dataclass(frozen=True, slots=True)
class CalibratedSet:
    """Of examinations with these MR sequences: how many findings are calibrated, and how many of these can be told."""

    sequences: tuple[str, ...]
    examinations: int
    calibrated: int
    told: int
    abnormal: bool

    def __str__(self) -> str:
        told = f", of which {self.told} can be told from their absence" if self.calibrated else ""
        findings = "1 finding is" if self.calibrated == 1 else f"{self.calibrated} findings are"
        return f"{' + '.join(self.sequences)}, {self.examinations} examinations: {findings} calibrated{told}"


def calibrated_sets(bundle: Bundle, examined: CalibrationSet) -> tuple[CalibratedSet, ...]:
    """What can be calibrated for each MR sequence alone, and for the sets that most examinations came with.

    Raises
    ------
    TooFewCases
        "abnormal" for none of them
    """
    trial = Bundle(bundle.folder)  # so that the given one keeps its own thresholds
    trial.calibration_set = examined
    come_with: Counter[frozenset[int]] = Counter(
        frozenset(examined.networks[examined.examinations == row].tolist()) for row in range(examined.count)
    )
    singles = [frozenset({network}) for network in sorted({*examined.networks.tolist()})]
    found = []
    for networks in dict.fromkeys((*singles, *(one for one, _ in come_with.most_common(MOST_SETS)))):
        sequences = [bundle.entries[network].sequences[0] for network in sorted(networks)]
        calibrations = trial.calibrations(sequences)
        having = sum(count for one, count in come_with.items() if networks <= one)
        told = sum(one.told for one in calibrations.values())
        names = tuple(map(str, sequences))
        found.append(CalibratedSet(names, having, len(calibrations), told, ABNORMAL in calibrations))
    if not any(one.abnormal for one in found):
        labels, got = examined.present.get(ABNORMAL), f"{examined.count} that are all abnormal, or all normal"
        if labels is not None:
            got = f"{int(labels.sum())} abnormal and {int((~labels).sum())} normal in all"
        raise TooFewCases(
            f"Expected at least {LEAST_EACH} abnormal and {LEAST_EACH} normal examinations with the same MR sequences"
            f" in each half of those that are calibrated by, got {got}; nothing was written"
        )
    return tuple(found)


def keep_earlier(folder: Path) -> Path | None:
    """A copy of the calibration that a folder has, beside it under a number of its own; None where it has none."""
    current = folder / FILE
    if not current.is_file():
        return None
    kept = next(path for number in count(1) if not (path := folder / f"{FILE}.{number}.bak").exists())
    replace_file(kept, current.read_bytes())
    return kept


def _calibration_set(bundle: Bundle, config: CalibrationConfig, made: Sequence[Scanned], data: str) -> CalibrationSet:
    """Of every finding that some examinations have and some have not."""
    points: dict[str, str] = {}
    present: dict[str, NDArray[np.bool_]] = {}
    for finding in bundle.findings:
        labels = np.array([finding.name in one.findings for one in made])
        if labels.any() and not labels.all():
            is_abnormal = finding.name == ABNORMAL
            points[finding.name] = config.operating_point_abnormal if is_abnormal else config.operating_point
            present[finding.name] = labels
    sides = [one.sides for one in made if one.sides is not None]
    rows = [(row, network, vector) for row, one in enumerate(made) for network, vector in one.series]
    return CalibrationSet(
        vectors=np.stack([vector for _, _, vector in rows]),
        examinations=np.array([row for row, _, _ in rows], np.int32),
        networks=np.array([network for _, network, _ in rows], np.uint8),
        present=present,
        points={name: parse_operating_point(point) for name, point in points.items()},
        data=data,
        date=datetime.now(UTC).date().isoformat(),
        sides=SeenSides.of([seen for one in made for seen in one.seen], sides) if len(sides) == len(made) else None,
    )


@cache
def worker_bundle(folder: Path) -> Bundle:
    """The bundle of a worker process, read once."""
    torch.set_num_threads(1)
    return Bundle(folder)


def _scan_phantom(folder: Path, config: CalibrationConfig, seed: int) -> Scanned:
    from training.phantoms.contrast import scan
    from training.phantoms.pathology import make_phantom

    bundle, phantom, rng = worker_bundle(folder), make_phantom(seed), np.random.default_rng(seed)
    # What has masks, each lesion once: a kind of a finding lies where that does.
    placed = [one for one in bundle.findings if one.kind_of is None and has_side(one)]
    series: list[tuple[int, NDArray[np.float32]]] = []
    seen: list[dict[str, str]] = []
    for network, entry in enumerate(bundle.entries):
        offered = [sequence for sequence in config.sequences if sequence in entry.sequences]
        if offered:
            sequence = offered[int(rng.integers(len(offered)))]
            volume = scan(phantom, sequence, seed)
            encoded = bundle.encode_series(volume)
            series.append((network, encoded.embedding))
            sides = {finding.name: side_of(finding, encoded.lesions) for finding in placed if encoded.in_range}
            seen.append({name: side for name, side in sides.items() if side is not None})
    one_sided = phantom.facts.one_sided
    true = {finding.name: one_sided[finding.name] for finding in placed if finding.name in one_sided}
    return Scanned(tuple(series), phantom.facts.findings, tuple(seen), true)
