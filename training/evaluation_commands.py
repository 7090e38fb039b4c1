"""The commands `evaluate ...`: figures with intervals and baselines, as Markdown, JSON or one HTML file.

What a search, a report check and a suggestion are, the front door hands in: this room knows nothing of the floors
above the indexer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.command_options import AsJson, BundleFolder, Dataset, Html, PlainGroup, Plot, TextFolder
from training.evaluated_data import NO_DATA, EvaluatedData
from training.evaluation_chapters import about, calibration_chapters
from training.evaluation_html import Chapter
from training.evaluation_making import (
    all_data,
    assertions_chapter,
    deidentification_chapter,
    evidence_chapter,
    evidence_data,
    expected_minutes,
    in_turn,
    networks_data,
    report_check_chapters,
    reports_data,
    retrieval_chapter,
    retrieval_data,
    suggestions_chapter,
    text_chapter,
    triage_chapter,
    usual_deidentification,
    usual_triage,
    vision_chapters,
)

if TYPE_CHECKING:
    from encoders.bundle import Bundle
    from encoders.sequences import MRSequence
    from training.evaluation_report_check import OpenCheck
    from training.evaluation_retrieval import OpenSearcher
    from training.evaluation_suggestions import Suggest

Sequences = Annotated[
    str | None, typer.Option(help="MR sequences of the examinations, separated by commas; without it, all.")
]


def evaluation(open_searcher: OpenSearcher, open_check: OpenCheck, suggest: Suggest) -> typer.Typer:
    """The command group `evaluate`."""
    evaluate = typer.Typer(help="Figures with intervals and baselines.", no_args_is_help=True, cls=PlainGroup)

    @evaluate.command("text")
    def text(text: TextFolder = None, bundle: BundleFolder = None, html: Html = None, as_json: AsJson = False) -> None:
        """NeuroBERT on kept-back text: matching, concepts, presence over absence, spelling."""
        _publish([text_chapter(_needed(text, "--text"), bundle)], html, as_json, bundle, EvaluatedData(text=text))

    @evaluate.command("assertions")
    def assertions(text: TextFolder = None, html: Html = None, as_json: AsJson = False) -> None:
        """What report sentences say of findings, against labels: present, absent, uncertain, historical, ..."""
        _publish([assertions_chapter(_needed(text, "--text"))], html, as_json, data=EvaluatedData(text=text))

    @evaluate.command("deidentification")
    def deidentification(
        text: TextFolder = None,
        lines: Annotated[int, typer.Option(min=1, help="Lines of each template.")] = 200,
        seed: Annotated[int, typer.Option(min=0, help="Seed of names, addresses and numbers.")] = 1,
        html: Html = None,
        as_json: AsJson = False,
    ) -> None:
        """Planted identifiers that remain in reports, and words that are taken out wrongly."""
        _publish([deidentification_chapter(text, lines, seed)], html, as_json, data=EvaluatedData(text=text))

    @evaluate.command("vision")
    def vision(
        dataset: Dataset = None,
        phantoms: Annotated[int, typer.Option(min=20, help="How many kept-back phantoms.")] = 200,
        bundle: BundleFolder = None,
        html: Html = None,
        as_json: AsJson = False,
    ) -> None:
        """The networks on kept-back phantoms and, with a dataset, on real scans."""
        _publish(vision_chapters(phantoms, dataset, bundle), html, as_json, bundle, networks_data(phantoms, dataset))

    @evaluate.command("retrieval")
    def retrieval(
        dataset: Dataset = None, bundle: BundleFolder = None, html: Html = None, as_json: AsJson = False
    ) -> None:
        """Words to case and scan to case, on a dataset or on a cohort of kept-back phantoms."""
        _publish([retrieval_chapter(dataset, bundle, open_searcher)], html, as_json, bundle, retrieval_data(dataset))

    @evaluate.command("evidence")
    def evidence(
        dataset: Dataset = None,
        phantoms: Annotated[int, typer.Option(min=20, help="How many kept-back phantoms, without a dataset.")] = 100,
        bundle: BundleFolder = None,
        html: Html = None,
        as_json: AsJson = False,
    ) -> None:
        """What words, sentences, reports, scans, assertions and expansion bring to a text search."""
        made = [evidence_chapter(dataset, phantoms, bundle, open_searcher)]
        _publish(made, html, as_json, bundle, evidence_data(phantoms, dataset))

    @evaluate.command("report-check")
    def report_check(
        phantoms: Annotated[int, typer.Option(min=4, help="How many kept-back phantoms.")] = 60,
        dataset: Dataset = None,
        bundle: BundleFolder = None,
        html: Html = None,
        as_json: AsJson = False,
    ) -> None:
        """How often reports are flagged that are right, and with an error of each kind; also on a dataset's cases."""
        made = report_check_chapters(phantoms, dataset, bundle, open_check)
        _publish(made, html, as_json, bundle, reports_data(phantoms, dataset))

    @evaluate.command("suggestions")
    def suggestions(
        phantoms: Annotated[int, typer.Option(min=4, help="How many kept-back phantoms.")] = 200,
        bundle: BundleFolder = None,
        html: Html = None,
        as_json: AsJson = False,
    ) -> None:
        """How many suggested findings are there, and whether the sides that are named are right."""
        _publish([suggestions_chapter(phantoms, bundle, suggest)], html, as_json, bundle, networks_data(phantoms))

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
        from training.reading_delay import Department, DepartmentError

        calibration = _calibrated(bundle).calibrations(_sequences(sequences)).get(ABNORMAL)
        if calibration is None or not calibration.told:
            raise typer.BadParameter("it has no threshold for abnormal examinations", param_hint="--bundle")
        try:
            chapter = triage_chapter(calibration, Department(arrivals, capacity, backlog, prevalence, days))
        except DepartmentError as error:
            raise typer.BadParameter(str(error)) from error
        if plot is not None:
            plot.write_bytes(chapter.pictures[0].draw())
        _publish([chapter], html, as_json, bundle)

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
        loaded = _calibrated(bundle)
        parts: list[tuple[str, Callable[[], list[Chapter]]]] = [
            ("vision", lambda: vision_chapters(phantoms, dataset, bundle)),
            ("calibration", lambda: calibration_chapters(loaded)),
            ("triage", lambda: usual_triage(loaded)),
            ("retrieval", lambda: [retrieval_chapter(dataset, bundle, open_searcher)]),
            ("evidence", lambda: [evidence_chapter(dataset, phantoms, bundle, open_searcher)]),
            ("report-check", lambda: report_check_chapters(phantoms, dataset, bundle, open_check)),
            ("suggestions", lambda: [suggestions_chapter(phantoms, bundle, suggest)]),
            ("deidentification", lambda: usual_deidentification(text)),
        ]
        if text is not None:
            parts.insert(0, ("text", lambda: [text_chapter(text, bundle)]))
            parts.insert(1, ("assertions", lambda: [assertions_chapter(text)]))
        _publish(
            in_turn(parts, expected_minutes(phantoms, dataset is not None)),
            html,
            as_json,
            bundle,
            all_data(phantoms, dataset, text),
        )

    return evaluate


def _publish(
    chapters: list[Chapter],
    html: Path | None,
    as_json: bool,
    bundle: Path | None = None,
    data: EvaluatedData = NO_DATA,
) -> None:
    if html is not None:
        import encoders
        from training.evaluation_html import limits_of, write_html

        loaded = encoders.load(bundle)
        write_html(html, chapters, {**about(loaded), **data.to_dict()}, limits_of(loaded.folder / "MODEL_CARD.md"))
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
