"""The commands of training: `train neurobert|vision|range|calibrate`; those of `evaluate` are evaluation_commands'.

What a search, a report check and a suggestion are, the front door hands in: this room knows nothing of the floors
above the indexer.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.command_options import BundleFolder, Config, Dataset, Out, PlainGroup, SiteData, processors, tell
from training.evaluation_commands import evaluation

if TYPE_CHECKING:
    from training.evaluation_report_check import OpenCheck
    from training.evaluation_retrieval import OpenSearcher
    from training.evaluation_suggestions import Suggest

RANGE_SEED = 8_000_000


def register(app: typer.Typer, open_searcher: OpenSearcher, open_check: OpenCheck, suggest: Suggest) -> None:
    """Mount `train` and `evaluate`."""
    told = "Train parts of a bundle; every run resumes where it was stopped."
    train = typer.Typer(help=told, no_args_is_help=True, cls=PlainGroup)
    train.command("neurobert")(train_neurobert)
    train.command("ablations")(train_ablations)
    train.command("vision")(train_vision)
    train.command("vision-ablations")(train_vision_ablations)
    train.command("carry-over")(train_carry_over)
    train.command("range")(train_range)
    train.command("calibrate")(train_calibrate)
    app.add_typer(train, name="train")
    app.add_typer(evaluation(open_searcher, open_check, suggest), name="evaluate")


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
    typer.echo(run_ablations(read_config(config), out, text, tell))


def train_vision(
    config: Config,
    out: Out,
    neurobert: Annotated[
        Path | None, typer.Option(exists=True, help="Folder of NeuroBERT; without it, the shipped one.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the bundle; without it, neurorecall.")] = None,
    lesion_maps: Annotated[
        Path | None, typer.Option(exists=True, help="Folder of lesion masks in MNI space, or their file.")
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(exists=True, help="Weights to go on from: a file for the trunk, or a bundle's folder vision."),
    ] = None,
    data: SiteData = None,
    bundle: BundleFolder = None,
) -> None:
    """Train one network a kind of MR sequence on phantoms, fit it to NeuroBERT; the bundle is OUT/bundle.

    With --data the networks of --bundle go on learning from the reported examinations of that data directory instead.
    """
    import encoders
    from encoders.bundle import PRETRAINED
    from indexer.progress import reporter
    from training.site_pairs import train_on_site
    from training.vision_run import train_bundle
    from training.vision_settings import load_config

    _log()
    if data is None:
        text = neurobert or PRETRAINED / "text"
        made = train_bundle(load_config(config), out, text, name or "neurorecall", lesion_maps, start)
    else:
        for given, option in (
            (neurobert, "--neurobert"),
            (name, "--name"),
            (lesion_maps, "--lesion-maps"),
            (start, "--start"),
        ):
            if given is not None:
                raise typer.BadParameter("it does not go with --data, which tunes a whole bundle", param_hint=option)
        with reporter("examinations") as progress:
            made = train_on_site(load_config(config), data, out, encoders.load(bundle), progress)
    typer.echo(f"Bundle written to {made}; calibrate it with `neurorecall train calibrate`")


def train_vision_ablations(config: Config, out: Out, dataset: Dataset = None) -> None:
    """Train one MR sequence's network with ever more of the objective, on the phantoms of a run, and compare."""
    from encoders.bundle import PRETRAINED
    from encoders.catalogue import load_findings
    from encoders.text import NeuroBERT
    from training.vision_ablation import run_ablations
    from training.vision_settings import load_config

    _log()
    encode = NeuroBERT.load(PRETRAINED / "text").encode
    findings = load_findings(PRETRAINED / "findings.toml")
    typer.echo(run_ablations(load_config(config), out, encode, findings, dataset, tell))


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
    examples: Annotated[int, typer.Option(min=40, help="Phantoms; four times as many other things.")] = 120,
    bundle: BundleFolder = None,
) -> None:
    """Learn what each network's input looks like, against other things than a brain; writes range.safetensors."""
    import encoders
    from indexer.progress import reporter
    from training.out_of_range import learn_range

    loaded = encoders.load(bundle)
    with reporter("range") as progress:
        rules = learn_range(loaded, RANGE_SEED, examples, processors(), progress)
    typer.echo(f"{len(rules)} rules written")


def train_calibrate(
    config: Config,
    bundle: BundleFolder = None,
    data: SiteData = None,
    out: Annotated[
        Path | None, typer.Option(file_okay=False, help="Folder to write to, instead of the bundle's own.")
    ] = None,
) -> None:
    """Choose and measure the thresholds of findings; writes the bundle's calibration.safetensors.

    On kept-back phantoms, or with --data on the reported examinations of a data directory that this bundle encoded:
    then --bundle names a copy of the shipped one, which is left as it is. What is replaced is kept beside it.
    """
    import encoders
    from encoders.bundle import PRETRAINED
    from indexer.progress import reporter
    from training.calibration import (
        calibrated_sets,
        keep_earlier,
        load_config,
        not_yet_encoded,
        phantom_set,
        site_set,
    )

    loaded, settings = encoders.load(bundle), load_config(config)
    shipped = loaded.folder.resolve() == PRETRAINED.resolve()
    if data is None:
        with reporter("calibrate") as progress:
            examined = phantom_set(loaded, settings, progress)
    else:
        if shipped and out is None:
            raise typer.BadParameter(
                "the shipped bundle is not calibrated by a site's cases. Make a copy, name it here, and set"
                f" NEURORECALL_BUNDLE to it for all commands: cp -r {PRETRAINED} FOLDER",
                param_hint="--bundle",
            )
        if left := not_yet_encoded(loaded, data):
            tell(f"Warning: {left} series are not encoded yet and do not count; run `neurorecall rebuild` first.")
        examined = site_set(loaded, settings, data)
    found, folder = calibrated_sets(loaded, examined), out or loaded.folder
    folder.mkdir(parents=True, exist_ok=True)
    kept = None if folder.resolve() == PRETRAINED.resolve() else keep_earlier(folder)
    examined.save(folder, loaded.encoder_id)
    typer.echo(f"{examined.count} examinations; by the MR sequences that an examination has:")
    for one in found:
        typer.echo(f"  {one}")
    if kept is not None:
        typer.echo(f"The earlier calibration is kept as {kept.name}")


def _log() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
