"""How often the report check flags reports that are right, and reports with an error of each kind put in.

On kept-back phantoms, with errors of `report_errors`, and on the reported examinations of a dataset, where errors are
another person's report, sides that are exchanged, and what can be put into a written text. What a check is, is handed
in: training knows nothing of the search floor.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from encoders.bundle import Bundle, Encoder
from encoders.calibration import wilson_interval
from encoders.sequences import MRSequence
from encoders.volume import Volume
from training.calibration import worker_bundle
from training.worker_processes import process_pool

# A check of any report against one examination, which is encoded once.
OpenCheck = Callable[[Encoder, Sequence[Volume]], Callable[[str], Any]]
SEQUENCES = (MRSequence.T1W, MRSequence.T2W, MRSequence.FLAIR, MRSequence.DWI)
OWN = "its own (false alarms)"
OTHER, MIRRORED = "another person's, another diagnosis", "its own, sides exchanged"
_SIDE = re.compile(r"\b(left|right)\b", re.IGNORECASE)
TEXT = "by its text alone"
# The kinds of flag, as a reader of the figures would name them, by those of a check's statements.
_FLAGS = {"denied": "denied", "unmentioned": "not mentioned", "stated": "stated", "side": "side"}
FLAGS = (*_FLAGS.values(), TEXT)
Outcome = dict[str, frozenset[str]]  # kind of report: the kinds of flag that it got


@dataclass(frozen=True, slots=True)
class FlaggedShare:
    """Of n reports of a kind: how many are flagged at all, and how many by each of FLAGS; 95 % Wilson intervals."""

    n: int
    flagged: float
    interval: tuple[float, float]
    by_flag: dict[str, tuple[float, tuple[float, float]]]


def evaluate_report_check(
    bundle: Bundle,
    open_check: OpenCheck,
    examinations: int,
    seed: int,
    workers: int,
    progress: Callable[[int, int], None],
) -> dict[str, FlaggedShare]:
    """Check phantoms of seeds from `seed` on with their own report and with each kind of error."""
    outcomes: list[Outcome] = []
    with process_pool(workers) as pool:
        check = partial(_check_phantom, bundle.folder, open_check)
        for outcome in pool.map(check, range(seed, seed + examinations), chunksize=4):
            outcomes.append(outcome)
            progress(len(outcomes), examinations)
    return _shares(outcomes)


def evaluate_report_check_on(
    dataset: Path, bundle: Bundle, open_check: OpenCheck, folder: Path, seed: int = 0
) -> dict[str, FlaggedShare]:
    """Check the reported examinations of a BIDS dataset, ingested into `folder`; errors are drawn from `seed` on."""
    from indexer.case_store import CaseStore
    from indexer.cases import CaseFilter
    from indexer.ingest import ingest
    from indexer.series_files import read_stored_series
    from training.report_errors import errors_in

    ingest(str(dataset), folder, reports=dataset / "reports.tsv")
    outcomes: list[Outcome] = []
    with CaseStore.open(folder, read_only=True) as store:
        cases = list(store.examinations(store.matching(CaseFilter(reported=True)).tolist()).values())
        for number, case in enumerate(cases):
            known = [one.number for one in case.series if one.sequence in bundle.sequences]
            if not known or case.report is None:
                continue
            check = open_check(bundle, [read_stored_series(store, case.key, one) for one in known])
            texts = {OWN: case.report.text}
            after = (*cases[number + 1 :], *cases[:number])
            other = next((one for one in after if one.diagnosis != case.diagnosis and one.report is not None), None)
            if other is not None and other.report is not None:
                texts[OTHER] = other.report.text
            if _SIDE.search(case.report.text):
                texts[MIRRORED] = _SIDE.sub(_exchanged, case.report.text)
            texts |= errors_in(case.report, seed + number)
            outcomes.append({kind: _flags(check(text)) for kind, text in texts.items()})
    return _shares(outcomes)


def report_check_table(figures: dict[str, FlaggedShare], what: str) -> str:
    """The figures as Markdown; `what` says of which examinations."""
    lines = [f"| report of {what} | n | flagged | {' | '.join(FLAGS)} |", "|---" * (3 + len(FLAGS)) + "|"]
    for kind, one in figures.items():
        cells = [_cell(*one.by_flag[flag]) if flag == TEXT else f"{one.by_flag[flag][0]:.1%}" for flag in FLAGS]
        lines.append(f"| {kind} | {one.n} | {_cell(one.flagged, one.interval)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _check_phantom(folder: Path, open_check: OpenCheck, seed: int) -> Outcome:
    from training.phantoms.contrast import scan
    from training.phantoms.pathology import make_phantom
    from training.phantoms.reports import write_report
    from training.report_errors import ERRORS

    phantom = make_phantom(seed)
    volumes = [scan(phantom, sequence, seed) for sequence in SEQUENCES]
    check = open_check(worker_bundle(folder), volumes)
    outcome = {OWN: _flags(check(write_report(phantom.facts, seed).text))}
    for kind, error in ERRORS.items():
        text = error(phantom.facts, seed)
        if text is not None:
            outcome[kind] = _flags(check(text))
    return outcome


def _flags(check: Any) -> frozenset[str]:
    flags = {_FLAGS[statement.kind] for statement in check.statements}
    flags |= {_FLAGS["unmentioned"]} if check.unmentioned else set()
    return frozenset(flags | {TEXT} if check.contradictions else flags)


def _shares(outcomes: Sequence[Outcome]) -> dict[str, FlaggedShare]:
    figures = {}
    for kind in dict.fromkeys(kind for outcome in outcomes for kind in outcome):
        found = [outcome[kind] for outcome in outcomes if kind in outcome]
        by_flag = {flag: _share([flag in flags for flags in found]) for flag in FLAGS}
        figures[kind] = FlaggedShare(len(found), *_share([bool(flags) for flags in found]), by_flag)
    return figures


def _share(flagged: Sequence[bool]) -> tuple[float, tuple[float, float]]:
    return sum(flagged) / len(flagged), wilson_interval(sum(flagged), len(flagged))


def _exchanged(found: re.Match[str]) -> str:
    word = found.group()
    other = "right" if word.lower() == "left" else "left"
    return other.capitalize() if word[0].isupper() else other


def _cell(share: float, interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{share:.1%} ({low:.1%}-{high:.1%})"
