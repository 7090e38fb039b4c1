"""The commands `evaluate ...`: figures with intervals and baselines, as Markdown, JSON or one HTML file.

What a search, a report check and a suggestion are, the front door hands in: this room knows nothing of the floors
above the indexer.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.command_options import AsJson, BundleFolder, Dataset, Html, PlainGroup, Plot, TextFolder, processors, tell
from training.evaluation_chapters import about, calibration_chapters, confusion_of, tiles_of
from training.evaluation_html import Chapter

if TYPE_CHECKING:
    from encoders.bundle import Bundle
    from encoders.sequences import MRSequence
    from training.evaluation_report_check import OpenCheck
    from training.evaluation_retrieval import OpenSearcher
    from training.evaluation_suggestions import Suggest

KEPT_BACK_SEED = 9_500_000  # phantoms from here on were used for no training and no calibration
REPORTS_SEED = 9_700_000  # and these for no decision on the report check


Sequences = Annotated[
    str | None, typer.Option(help="MR sequences of the examinations, separated by commas; without it, all.")
]


def evaluation(open_searcher: OpenSearcher, open_check: OpenCheck, suggest: Suggest) -> typer.Typer:
    """The command group `evaluate`."""
    evaluate = typer.Typer(help="Figures with intervals and baselines.", no_args_is_help=True, cls=PlainGroup)

    @evaluate.command("text")
    def text(text: TextFolder = None, bundle: BundleFolder = None, html: Html = None, as_json: AsJson = False) -> None:
        """NeuroBERT on kept-back text: matching, concepts, presence over absence, spelling."""
        _publish([_text_chapter(_needed(text, "--text"), bundle)], html, as_json, bundle)

    @evaluate.command("assertions")
    def assertions(text: TextFolder = None, html: Html = None, as_json: AsJson = False) -> None:
        """What report sentences say of findings, against labels: present, absent, uncertain, historical, ..."""
        _publish([_assertions_chapter(_needed(text, "--text"))], html, as_json)

    @evaluate.command("deidentification")
    def deidentification(
        text: TextFolder = None,
        lines: Annotated[int, typer.Option(min=1, help="Lines of each template.")] = 200,
        seed: Annotated[int, typer.Option(min=0, help="Seed of names, addresses and numbers.")] = 1,
        html: Html = None,
        as_json: AsJson = False,
    ) -> None:
        """Planted identifiers that remain in reports, and words that are taken out wrongly."""
        _publish([_deidentification_chapter(text, lines, seed)], html, as_json)

    @evaluate.command("vision")
    def vision(
        dataset: Dataset = None,
        phantoms: Annotated[int, typer.Option(min=20, help="How many kept-back phantoms.")] = 200,
        bundle: BundleFolder = None,
        html: Html = None,
        as_json: AsJson = False,
    ) -> None:
        """The networks on kept-back phantoms and, with a dataset, on real scans."""
        _publish(_vision_chapters(phantoms, dataset, bundle), html, as_json, bundle)

    @evaluate.command("retrieval")
    def retrieval(
        dataset: Dataset = None, bundle: BundleFolder = None, html: Html = None, as_json: AsJson = False
    ) -> None:
        """Words to case and scan to case, on a dataset or on a cohort of kept-back phantoms."""
        _publish([_retrieval_chapter(dataset, bundle, open_searcher)], html, as_json, bundle)

    @evaluate.command("evidence")
    def evidence(
        dataset: Dataset = None,
        phantoms: Annotated[int, typer.Option(min=20, help="How many kept-back phantoms, without a dataset.")] = 100,
        bundle: BundleFolder = None,
        html: Html = None,
        as_json: AsJson = False,
    ) -> None:
        """What words, sentences, reports, scans, assertions and expansion bring to a text search."""
        _publish([_evidence_chapter(dataset, phantoms, bundle, open_searcher)], html, as_json, bundle)

    @evaluate.command("report-check")
    def report_check(
        phantoms: Annotated[int, typer.Option(min=4, help="How many kept-back phantoms.")] = 60,
        dataset: Dataset = None,
        bundle: BundleFolder = None,
        html: Html = None,
        as_json: AsJson = False,
    ) -> None:
        """How often reports are flagged that are right, and with an error of each kind; also on a dataset's cases."""
        _publish(_report_check_chapters(phantoms, dataset, bundle, open_check), html, as_json, bundle)

    @evaluate.command("suggestions")
    def suggestions(
        phantoms: Annotated[int, typer.Option(min=4, help="How many kept-back phantoms.")] = 200,
        bundle: BundleFolder = None,
        html: Html = None,
        as_json: AsJson = False,
    ) -> None:
        """How many suggested findings are there, and whether the sides that are named are right."""
        _publish([_suggestions_chapter(phantoms, bundle, suggest)], html, as_json, bundle)

    @evaluate.command("calibration")
    def calibration(
        bundle: BundleFolder = None,
        sequences: Sequences = None,
        plot: Plot = None,
        html: Html = None,
        as_json: AsJson = False,
    ) -> None:
        """How far the calibrated scores of a bundle can be believed, and what its thresholds reach."""
        chapters = calibration_chapters(_calibrated(bundle), _sequences(sequences))
        if plot is not None and not chapters[0].pictures:
            raise typer.BadParameter(f"there is nothing to draw. {chapters[0].table}", param_hint="--plot")
        if plot is not None:
            plot.write_bytes(chapters[0].pictures[0].draw())
        _publish(chapters, html, as_json, bundle)

    @evaluate.command("triage")
    def triage(
        arrivals: Annotated[float, typer.Option(help="Examinations that arrive a day.")] = 60.0,
        capacity: Annotated[int, typer.Option(help="Examinations that are read a day.")] = 60,
        backlog: Annotated[int, typer.Option(help="Unread examinations at the start.")] = 1_680,
        prevalence: Annotated[float, typer.Option(help="Share of abnormal examinations.")] = 0.5,
        days: Annotated[int, typer.Option(help="Days to look at.")] = 90,
        sequences: Sequences = None,
        bundle: BundleFolder = None,
        plot: Plot = None,
        html: Html = None,
        as_json: AsJson = False,
    ) -> None:
        """Reporting delays by reading order, in a simulated department with the bundle's measured scores."""
        from encoders.findings import ABNORMAL
        from training.reading_delay import Department, DepartmentError, delays_table, draw_delays, simulate

        calibration = _calibrated(bundle).calibrations(_sequences(sequences)).get(ABNORMAL)
        if calibration is None or not calibration.told:
            raise typer.BadParameter("it has no threshold for abnormal examinations", param_hint="--bundle")
        try:
            department = Department(arrivals, capacity, backlog, prevalence, days)
        except DepartmentError as error:
            raise typer.BadParameter(str(error)) from error
        figures = simulate(calibration, department)
        if plot is not None:
            draw_delays(figures, plot)
        figures = {**figures, "department": asdict(department)} if as_json else figures
        table = "" if as_json else delays_table(figures)
        _publish([Chapter("Reporting delays by reading order", table, figures)], html, as_json, bundle)

    @evaluate.command("all")
    def everything(
        dataset: Dataset = None,
        text: TextFolder = None,
        phantoms: Annotated[int, typer.Option(min=20, help="How many kept-back phantoms.")] = 200,
        bundle: BundleFolder = None,
        html: Html = None,
        as_json: AsJson = False,
    ) -> None:
        """Everything above that the given data allow."""
        chapters = [] if text is None else [_text_chapter(text, bundle), _assertions_chapter(text)]
        chapters += _vision_chapters(phantoms, dataset, bundle)
        chapters += calibration_chapters(_calibrated(bundle))
        chapters.append(_retrieval_chapter(dataset, bundle, open_searcher))
        chapters.append(_evidence_chapter(dataset, phantoms, bundle, open_searcher))
        chapters += _report_check_chapters(phantoms, dataset, bundle, open_check)
        chapters.append(_suggestions_chapter(phantoms, bundle, suggest))
        _publish(chapters, html, as_json, bundle)

    return evaluate


def _text_chapter(text: Path, bundle: Path | None) -> Chapter:
    import encoders
    from training.evaluation_tables import text_table
    from training.evaluation_text import evaluate_text

    figures = evaluate_text(encoders.load(bundle).neurobert, text)
    return Chapter("NeuroBERT on kept-back text", text_table(figures), figures)


def _assertions_chapter(text: Path) -> Chapter:
    from training.evaluation_assertions import assertions_table, evaluate_assertions

    figures = evaluate_assertions(text)
    return Chapter("Assertions in report sentences", assertions_table(figures), figures)


def _deidentification_chapter(text: Path | None, lines: int, seed: int) -> Chapter:
    from training.evaluation_deidentification import deidentification_table, evaluate_deidentification

    figures = evaluate_deidentification(lines, seed, text)
    return Chapter("De-identification of report text", deidentification_table(figures), figures)


def _vision_chapters(phantoms: int, dataset: Path | None, bundle: Path | None) -> list[Chapter]:
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


def _retrieval_chapter(dataset: Path | None, bundle: Path | None, open_searcher: OpenSearcher) -> Chapter:
    import encoders
    from training.evaluation_retrieval import evaluate_retrieval, retrieval_table
    from training.phantoms.cohort import write_cohort

    with tempfile.TemporaryDirectory(prefix="neurorecall-") as folder:
        if dataset is None:
            dataset = Path(folder) / "cohort"
            write_cohort(dataset, cases=100, seed=KEPT_BACK_SEED)
        found = evaluate_retrieval(dataset, Path(folder), encoders.load(bundle), open_searcher, tell)
    told = "A scan of each diagnosis, and the cases of other people that were retrieved for it, with their scores."
    pictures = (*confusion_of(found.scans.confusion), *tiles_of(found.tiles, told))
    figures = {name: value for name, value in asdict(replace(found, tiles=())).items() if name != "tiles"}
    return Chapter("Retrieval", retrieval_table(found), figures, pictures)


def _evidence_chapter(dataset: Path | None, phantoms: int, bundle: Path | None, open_searcher: OpenSearcher) -> Chapter:
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


def _report_check_chapters(
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


def _suggestions_chapter(phantoms: int, bundle: Path | None, suggest: Suggest) -> Chapter:
    import encoders
    from indexer.progress import reporter
    from training.evaluation_suggestions import evaluate_suggestions, suggestions_table

    with reporter("suggestions") as progress:
        counts = evaluate_suggestions(encoders.load(bundle), suggest, phantoms, KEPT_BACK_SEED, processors(), progress)
    return Chapter("Suggested findings", suggestions_table(counts), asdict(counts))


def _publish(chapters: list[Chapter], html: Path | None, as_json: bool, bundle: Path | None = None) -> None:
    if html is not None:
        import encoders
        from training.evaluation_html import limits_of, write_html

        loaded = encoders.load(bundle)
        write_html(html, chapters, about(loaded), limits_of(loaded.folder / "MODEL_CARD.md"))
    if as_json:
        typer.echo(json.dumps({chapter.title: chapter.figures for chapter in chapters}, default=str))
        return
    for chapter in chapters:
        typer.echo(f"\n## {chapter.title}\n\n{chapter.table}")


def _needed(folder: Path | None, option: str) -> Path:
    if folder is None:
        raise typer.BadParameter("a folder is needed", param_hint=option)
    return folder


def _calibrated(bundle: Path | None) -> Bundle:
    """A bundle for which something was measured."""
    import encoders

    loaded = encoders.load(bundle)
    if loaded.calibration_set is None:
        raise typer.BadParameter(
            "it is not calibrated; calibrate it with `neurorecall train calibrate`", param_hint="--bundle"
        )
    return loaded


def _sequences(names: str | None) -> tuple[MRSequence, ...] | None:
    from encoders.sequences import SequenceError, parse_sequence

    try:
        return None if names is None else tuple(parse_sequence(name) for name in names.split(","))
    except SequenceError as error:
        raise typer.BadParameter(str(error), param_hint="--sequences") from error
