"""The commands of training and evaluation: `train neurobert|vision|range|calibrate` and `evaluate ...`.

What a search and a report check are, the front door hands in: this room knows nothing of the floors above the indexer.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from training.evaluation_report_check import CheckReport
    from training.evaluation_retrieval import OpenSearcher

Config = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="TOML file; see training/configs.")]
Out = Annotated[Path, typer.Option(help="Folder of the run: checkpoints, weights, metrics.")]
BundleFolder = Annotated[Path | None, typer.Option("--bundle", help="Folder of a bundle; without it, the shipped one.")]
Dataset = Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="BIDS dataset with real cases.")]
TextFolder = Annotated[
    Path | None, typer.Option("--text", exists=True, file_okay=False, help="Folder of text records.")
]
Html = Annotated[Path | None, typer.Option(help="Also write the report as one self-contained HTML file.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
RANGE_SEED = 8_000_000
KEPT_BACK_SEED = 9_500_000  # phantoms from here on were used for no training and no calibration
FAILED, WRONG_USAGE = 1, 2


@dataclass(frozen=True, slots=True)
class Chapter:
    """One part of an evaluation: a title, its table as Markdown, and the figures behind it."""

    title: str
    table: str
    figures: Any


def register(app: typer.Typer, open_searcher: OpenSearcher, check_report: CheckReport) -> None:
    """Mount `train` and `evaluate`."""
    train = typer.Typer(help="Train parts of a bundle; every run resumes where it was stopped.", no_args_is_help=True)
    train.command("neurobert")(train_neurobert)
    train.command("ablations")(train_ablations)
    train.command("vision")(train_vision)
    train.command("vision-ablations")(train_vision_ablations)
    train.command("carry-over")(train_carry_over)
    train.command("range")(train_range)
    train.command("calibrate")(train_calibrate)
    app.add_typer(train, name="train")
    app.add_typer(_evaluation(open_searcher, check_report), name="evaluate")


def train_neurobert(
    config: Config, text: Annotated[Path, typer.Option(exists=True, help="Folder of text records.")], out: Out
) -> None:
    """Learn the vocabulary, masked language, section matching; write NeuroBERT to OUT/text."""
    from training.neurobert import train

    _log()
    typer.echo(f"NeuroBERT written to {train(config, out, text)}")


def train_ablations(
    config: Config, text: Annotated[Path, typer.Option(exists=True, help="Folder of text records.")], out: Out
) -> None:
    """Train NeuroBERT again and again with one part left out, and print what each part brings."""
    from training.text_ablation import run_ablations
    from training.text_settings import read_config

    _log()
    typer.echo(run_ablations(read_config(config), out, text, _tell))


def train_vision(
    config: Config,
    out: Out,
    neurobert: Annotated[Path | None, typer.Option(help="Folder of NeuroBERT; without it, the shipped one.")] = None,
    name: Annotated[str, typer.Option(help="Name of the bundle.")] = "neurorecall",
    lesion_maps: Annotated[
        Path | None, typer.Option(help="Folder of lesion masks in MNI space, or their file.")
    ] = None,
) -> None:
    """Train one network a kind of MR sequence on phantoms, fit it to NeuroBERT; the bundle is OUT/bundle."""
    from encoders.bundle import PRETRAINED
    from training.vision import load_config
    from training.vision_run import train_bundle

    _log()
    bundle = train_bundle(load_config(config), out, neurobert or PRETRAINED / "text", name, lesion_maps)
    typer.echo(f"Bundle written to {bundle}; calibrate it with `neurorecall train calibrate`")


def train_vision_ablations(config: Config, out: Out, dataset: Dataset = None) -> None:
    """Train one MR sequence's network with ever more of the objective, on the phantoms of a run, and compare."""
    from encoders.bundle import PRETRAINED
    from encoders.findings import load_findings
    from encoders.text import NeuroBERT
    from training.vision import load_config
    from training.vision_ablation import run_ablations

    _log()
    encode = NeuroBERT.load(PRETRAINED / "text").encode
    findings = load_findings(PRETRAINED / "findings.toml")
    typer.echo(run_ablations(load_config(config), out, encode, findings, dataset, _tell))


def train_carry_over(
    neurobert: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder of the new NeuroBERT.")],
    out: Annotated[Path, typer.Option(help="Folder of the new bundle.")],
    bundle: BundleFolder = None,
) -> None:
    """Carry a bundle's networks over to another NeuroBERT without a scan; calibrate the new bundle afterwards."""
    from encoders.bundle import PRETRAINED
    from training.carry_over import carry_over

    carried = carry_over(bundle or PRETRAINED, neurobert, out)
    typer.echo(f"Bundle written to {out}; of the new vectors' variance {carried.explained:.2f} is carried over.")


def train_range(
    examples: Annotated[int, typer.Option(min=40, help="How many phantoms a network, and as many other things.")] = 400,
    bundle: BundleFolder = None,
) -> None:
    """Learn what each network's input looks like, against other things than a brain; writes range.safetensors."""
    import encoders
    from indexer.progress import reporter
    from training.out_of_range import learn_range

    loaded = encoders.load(bundle)
    with reporter("range") as progress:
        rules = learn_range(loaded, RANGE_SEED, examples, _processors(), progress)
    typer.echo(f"{len(rules)} rules written")


def train_calibrate(config: Config, bundle: BundleFolder = None) -> None:
    """Choose and measure the thresholds of findings on kept-back phantoms; writes the bundle's calibration.json."""
    import encoders
    from indexer.progress import reporter
    from training.calibration import calibrate, load_config, write_calibration

    loaded = encoders.load(bundle)
    with reporter("calibrate") as progress:
        document = calibrate(loaded, load_config(config), progress)
    write_calibration(loaded.folder, document)
    typer.echo(f"{len(document['findings'])} findings calibrated")


def _evaluation(open_searcher: OpenSearcher, check_report: CheckReport) -> typer.Typer:
    evaluate = typer.Typer(help="Figures with intervals and baselines.", no_args_is_help=True)

    @evaluate.command("text")
    def text(text: TextFolder = None, bundle: BundleFolder = None, html: Html = None, as_json: AsJson = False) -> None:
        """NeuroBERT on kept-back text: matching, concepts, presence over absence, spelling."""
        _publish([_text_chapter(_needed(text, "--text"), bundle)], html, as_json)

    @evaluate.command("assertions")
    def assertions(text: TextFolder = None, html: Html = None, as_json: AsJson = False) -> None:
        """What report sentences say of findings, against labels: present, absent, uncertain, historical, ..."""
        _publish([_assertions_chapter(_needed(text, "--text"))], html, as_json)

    @evaluate.command("vision")
    def vision(
        dataset: Dataset = None,
        phantoms: Annotated[int, typer.Option(min=20, help="How many kept-back phantoms.")] = 200,
        bundle: BundleFolder = None,
        html: Html = None,
        as_json: AsJson = False,
    ) -> None:
        """The networks on kept-back phantoms and, with a dataset, on real scans."""
        _publish(_vision_chapters(phantoms, dataset, bundle), html, as_json)

    @evaluate.command("retrieval")
    def retrieval(
        dataset: Dataset = None, bundle: BundleFolder = None, html: Html = None, as_json: AsJson = False
    ) -> None:
        """Words to case and scan to case, on a dataset or on a cohort of kept-back phantoms."""
        _publish([_retrieval_chapter(dataset, bundle, open_searcher)], html, as_json)

    @evaluate.command("evidence")
    def evidence(
        dataset: Dataset = None,
        phantoms: Annotated[int, typer.Option(min=20, help="How many kept-back phantoms, without a dataset.")] = 100,
        bundle: BundleFolder = None,
        html: Html = None,
        as_json: AsJson = False,
    ) -> None:
        """What words, sentences, reports, scans, assertions and expansion bring to a text search."""
        _publish([_evidence_chapter(dataset, phantoms, bundle, open_searcher)], html, as_json)

    @evaluate.command("report-check")
    def report_check(
        phantoms: Annotated[int, typer.Option(min=4, help="How many kept-back phantoms.")] = 60,
        bundle: BundleFolder = None,
        html: Html = None,
        as_json: AsJson = False,
    ) -> None:
        """How often reports are flagged that are right, and that belong to another examination."""
        _publish([_report_check_chapter(phantoms, bundle, check_report)], html, as_json)

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
        chapters.append(_retrieval_chapter(dataset, bundle, open_searcher))
        chapters.append(_evidence_chapter(dataset, phantoms, bundle, open_searcher))
        chapters.append(_report_check_chapter(phantoms, bundle, check_report))
        _publish(chapters, html, as_json)

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


def _vision_chapters(phantoms: int, dataset: Path | None, bundle: Path | None) -> list[Chapter]:
    import encoders
    from indexer.progress import reporter
    from training.evaluation_range import evaluate_range, range_table
    from training.evaluation_real import evaluate_real, real_table
    from training.evaluation_vision import evaluate_phantoms, phantoms_table

    loaded = encoders.load(bundle)
    with reporter("phantoms") as progress:
        figures = evaluate_phantoms(loaded, phantoms, KEPT_BACK_SEED, _processors(), progress)
    chapters = [Chapter("Networks on kept-back phantoms", phantoms_table(figures), figures)]
    if dataset is not None:
        with reporter("real scans") as progress:
            real = evaluate_real(loaded, dataset, progress)
        chapters.append(Chapter("Networks on real scans", real_table(real), real))
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
        figures = evaluate_retrieval(dataset, Path(folder), encoders.load(bundle), open_searcher, _tell)
    return Chapter("Retrieval", retrieval_table(figures), asdict(figures))


def _evidence_chapter(dataset: Path | None, phantoms: int, bundle: Path | None, open_searcher: OpenSearcher) -> Chapter:
    import encoders
    from training.evaluation_evidence import evaluate_evidence, evidence_table, without_diagnosis
    from training.phantoms.cohort import write_cohort

    with tempfile.TemporaryDirectory(prefix="neurorecall-") as folder:
        if dataset is None:
            dataset = Path(folder) / "cohort"
            write_cohort(dataset, cases=phantoms, seed=KEPT_BACK_SEED + 1)
            without_diagnosis(dataset)
        figures = evaluate_evidence(dataset, Path(folder), encoders.load(bundle), open_searcher, _tell)
    return Chapter("What each kind of evidence brings", evidence_table(figures), asdict(figures))


def _report_check_chapter(phantoms: int, bundle: Path | None, check_report: CheckReport) -> Chapter:
    import encoders
    from indexer.progress import reporter
    from training.evaluation_report_check import evaluate_report_check, report_check_table

    with reporter("report check") as progress:
        figures = evaluate_report_check(encoders.load(bundle), check_report, phantoms, KEPT_BACK_SEED, progress)
    return Chapter("Report check", report_check_table(figures), asdict(figures))


def _publish(chapters: list[Chapter], html: Path | None, as_json: bool) -> None:
    if html is not None:
        from training.evaluation_html import write_html

        write_html(html, [(chapter.title, chapter.table) for chapter in chapters])
    if as_json:
        typer.echo(json.dumps({chapter.title: chapter.figures for chapter in chapters}, default=str))
        return
    for chapter in chapters:
        typer.echo(f"\n## {chapter.title}\n\n{chapter.table}")


def _processors() -> int:
    return os.cpu_count() or 1


def _needed(folder: Path | None, option: str) -> Path:
    if folder is None:
        raise typer.BadParameter("a folder is needed", param_hint=option)
    return folder


def _tell(line: str) -> None:
    typer.echo(line, err=True)


def _log() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
