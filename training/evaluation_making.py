"""What each evaluation measures, made into chapters: figures, their tables, and pictures.

The commands are evaluation_commands'; what a chapter's figures are is left to the modules that measure them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from training.command_options import processors, tell
from training.evaluated_data import EvaluatedData, Phantoms
from training.evaluation_chapters import confusion_of, tiles_of
from training.evaluation_html import Chapter
from training.evaluation_pictures import Picture

if TYPE_CHECKING:
    from encoders.bundle import Bundle
    from encoders.calibration import Calibration
    from training.evaluation_report_check import OpenCheck
    from training.evaluation_retrieval import OpenSearcher
    from training.evaluation_suggestions import Suggest
    from training.reading_delay import Department

KEPT_BACK_SEED = 9_500_000  # phantoms from here on were used for no training and no calibration
REPORTS_SEED = 9_700_000  # and these for no decision on the report check
COHORT_CASES = 100  # of a retrieval without a dataset
LINES, LINES_SEED = 200, 1  # of each template of planted identifiers
# Of `evaluate all`, as measured on two processors that had other work besides.
SECONDS_AT_LEAST = 600.0
SECONDS_A_PHANTOM = 40.0  # of one processor
SECONDS_A_CASE = 3.0
SECONDS_OF_DATASET = 600.0


def text_chapter(text: Path, bundle: Path | None) -> Chapter:
    import encoders
    from training.evaluation_tables import text_table
    from training.evaluation_text import evaluate_text

    figures = evaluate_text(encoders.load(bundle).neurobert, text)
    return Chapter("NeuroBERT on kept-back text", text_table(figures), figures)


def assertions_chapter(text: Path) -> Chapter:
    from training.evaluation_assertions import assertions_table, evaluate_assertions

    figures = evaluate_assertions(text)
    return Chapter("Assertions in report sentences", assertions_table(figures), figures)


def deidentification_chapter(text: Path | None, lines: int, seed: int) -> Chapter:
    from training.evaluation_deidentification import deidentification_table, evaluate_deidentification

    figures = evaluate_deidentification(lines, seed, text)
    return Chapter("De-identification of report text", deidentification_table(figures), figures)


def vision_chapters(phantoms: int, dataset: Path | None, bundle: Path | None) -> list[Chapter]:
    import encoders
    from indexer.progress import reporter
    from training.evaluation_range import evaluate_range, range_table
    from training.evaluation_real import real_figures, real_table, see_dataset
    from training.evaluation_vision import evaluate_phantoms, phantoms_table

    loaded = encoders.load(bundle)
    with reporter("phantoms") as progress:
        figures = evaluate_phantoms(loaded, phantoms, KEPT_BACK_SEED, processors(), progress)
    chapters = [Chapter("Networks on kept-back phantoms", phantoms_table(figures), figures)]
    if dataset is not None:
        with reporter("real scans") as progress:
            seen = see_dataset(loaded, dataset, progress)
        real = real_figures(loaded, seen)
        tiles = [item.tile for item in seen if item.tile is not None]
        told = "Where the networks point: the true lesion outlined in green, half of the greatest probability in red."
        chapters.append(Chapter("Networks on real scans", real_table(real), real, tiles_of(tiles, told)))
    with reporter("range") as progress:
        taken = evaluate_range(loaded, phantoms, KEPT_BACK_SEED, dataset, progress)
    return [*chapters, Chapter("What is taken for a brain MRI", range_table(taken), taken)]


def retrieval_chapter(dataset: Path | None, bundle: Path | None, open_searcher: OpenSearcher) -> Chapter:
    import encoders
    from training.evaluation_retrieval import evaluate_retrieval, retrieval_table
    from training.phantoms.cohort import write_cohort

    with tempfile.TemporaryDirectory(prefix="neurorecall-") as folder:
        if dataset is None:
            dataset = Path(folder) / "cohort"
            write_cohort(dataset, cases=COHORT_CASES, seed=KEPT_BACK_SEED)
        found = evaluate_retrieval(dataset, Path(folder), encoders.load(bundle), open_searcher, tell)
    told = "A scan of each diagnosis, and the cases of other people that were retrieved for it, with their scores."
    pictures = (*confusion_of(found.scans.confusion, found.scans.confusion_hits), *tiles_of(found.tiles, told))
    figures = {name: value for name, value in asdict(replace(found, tiles=())).items() if name != "tiles"}
    return Chapter("Retrieval", retrieval_table(found), figures, pictures)


def evidence_chapter(dataset: Path | None, phantoms: int, bundle: Path | None, open_searcher: OpenSearcher) -> Chapter:
    import encoders
    from training.evaluation_evidence import evaluate_evidence, evidence_table, without_diagnosis
    from training.phantoms.cohort import write_cohort

    with tempfile.TemporaryDirectory(prefix="neurorecall-") as folder:
        if dataset is None:
            dataset = Path(folder) / "cohort"
            write_cohort(dataset, cases=phantoms, seed=KEPT_BACK_SEED + 1)
            without_diagnosis(dataset)
        figures = evaluate_evidence(dataset, Path(folder), encoders.load(bundle), open_searcher, tell)
    return Chapter("What each kind of evidence brings", evidence_table(figures), asdict(figures))


def report_check_chapters(
    phantoms: int, dataset: Path | None, bundle: Path | None, open_check: OpenCheck
) -> list[Chapter]:
    import encoders
    from indexer.progress import reporter
    from training.evaluation_report_check import (
        SEQUENCES,
        evaluate_report_check,
        evaluate_report_check_on,
        report_check_table,
    )

    loaded = encoders.load(bundle)
    with reporter("report check") as progress:
        figures = evaluate_report_check(loaded, open_check, phantoms, REPORTS_SEED, processors(), progress)
    table = report_check_table(figures, f"{phantoms} phantom examinations of {', '.join(SEQUENCES)}")
    chapters = [Chapter("Report check", table, {kind: asdict(one) for kind, one in figures.items()})]
    if dataset is not None:
        with tempfile.TemporaryDirectory(prefix="neurorecall-") as folder:
            real = evaluate_report_check_on(dataset, loaded, open_check, Path(folder), REPORTS_SEED)
        table = report_check_table(real, "real examinations, of the MR sequences that each has")
        chapters.append(
            Chapter("Report check on real examinations", table, {kind: asdict(one) for kind, one in real.items()})
        )
    return chapters


def suggestions_chapter(phantoms: int, bundle: Path | None, suggest: Suggest) -> Chapter:
    import encoders
    from indexer.progress import reporter
    from training.evaluation_suggestions import evaluate_suggestions, suggestions_table

    with reporter("suggestions") as progress:
        counts = evaluate_suggestions(encoders.load(bundle), suggest, phantoms, KEPT_BACK_SEED, processors(), progress)
    return Chapter("Suggested findings", suggestions_table(counts), asdict(counts))


def triage_chapter(calibration: Calibration, department: Department) -> Chapter:
    """Reporting delays by reading order."""
    from training.reading_delay import delays_table, draw_delays, simulate

    figures = simulate(calibration, department)
    pictures = (Picture("Mean reporting delay by reading order, with 95 % ranges.", partial(draw_delays, figures)),)
    said = {**figures, "department": asdict(department)}
    return Chapter("Reporting delays by reading order", delays_table(figures), said, pictures)


def usual_triage(bundle: Bundle) -> list[Chapter]:
    """Delays in the usual department; nothing where the bundle does not tell abnormal examinations."""
    from encoders.findings import ABNORMAL
    from training.reading_delay import Department

    calibration = bundle.calibrations().get(ABNORMAL)
    if calibration is None or not calibration.told:
        tell("triage is left out: the bundle has no threshold for abnormal examinations")
        return []
    return [triage_chapter(calibration, Department())]


def usual_deidentification(text: Path | None) -> list[Chapter]:
    """Planted identifiers; nothing where what makes names is not installed."""
    from training.planted_identifiers import FakerMissing

    try:
        return [deidentification_chapter(text, LINES, LINES_SEED)]
    except FakerMissing as error:
        tell(f"deidentification is left out: {error}")
        return []


def in_turn(parts: Sequence[tuple[str, Callable[[], list[Chapter]]]], minutes: float) -> list[Chapter]:
    """The chapters of all parts, one after the other; says how far it is, and at the start about how long it takes."""
    began, chapters = time.monotonic(), []
    tell(f"About {minutes:.0f} minutes on {processors()} processors.")
    for number, (name, make) in enumerate(parts, 1):
        tell(f"{number} of {len(parts)}, {name}, after {(time.monotonic() - began) / 60:.0f} minutes")
        chapters += make()
    tell(f"{(time.monotonic() - began) / 60:.0f} minutes")
    return chapters


def expected_minutes(phantoms: int, with_dataset: bool) -> float:
    """How long everything takes, by what two processors needed; a dataset is taken to be of some 40 examinations."""
    shared = phantoms * SECONDS_A_PHANTOM / processors()
    return (SECONDS_AT_LEAST + shared + (SECONDS_OF_DATASET if with_dataset else COHORT_CASES * SECONDS_A_CASE)) / 60


def networks_data(phantoms: int, dataset: Path | None = None) -> EvaluatedData:
    return EvaluatedData((Phantoms("networks and suggestions", phantoms, KEPT_BACK_SEED),), dataset)


def reports_data(phantoms: int, dataset: Path | None) -> EvaluatedData:
    return EvaluatedData((Phantoms("report check", phantoms, REPORTS_SEED),), dataset)


def retrieval_data(dataset: Path | None) -> EvaluatedData:
    made = (Phantoms("a cohort for retrieval", COHORT_CASES, KEPT_BACK_SEED),)
    return EvaluatedData(() if dataset is not None else made, dataset)


def evidence_data(phantoms: int, dataset: Path | None) -> EvaluatedData:
    made = (Phantoms("a cohort for evidence", phantoms, KEPT_BACK_SEED + 1),)
    return EvaluatedData(() if dataset is not None else made, dataset)


def all_data(phantoms: int, dataset: Path | None, text: Path | None) -> EvaluatedData:
    """What `evaluate all` is made of."""
    parts = (
        networks_data(phantoms),
        reports_data(phantoms, dataset),
        retrieval_data(dataset),
        evidence_data(phantoms, dataset),
    )
    return EvaluatedData(tuple(one for part in parts for one in part.phantoms), dataset, text)
