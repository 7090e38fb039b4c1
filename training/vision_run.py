"""A whole training of the sequence networks, from nothing to a bundle: train, fit to NeuroBERT, measure, assemble."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from encoders.bundle import PRETRAINED
from encoders.catalogue import load_findings
from encoders.text import NeuroBERT
from training.assembly import assemble, fusion_weights
from training.phantoms.lesion_maps import load_lesion_maps
from training.vision import train
from training.vision_evaluation import finish
from training.vision_examples import NETWORKS
from training.vision_loop import EncodeTexts
from training.vision_settings import LESION_MAPS, VisionTraining


def train_bundle(
    config: VisionTraining,
    out: Path,
    text: Path,
    name: str,
    lesion_maps: Path | None = None,
    start: Path | None = None,
) -> Path:
    """Train into `out` and put a bundle together in `out`/bundle, with the text encoder of the folder `text`.

    With `lesion_maps`, a folder or file of training.phantoms.lesion_maps, half of the plaques follow those.
    `start` is as `training.vision.train` has it.
    What is finished in `out` is not done again; the last layers are fitted anew, since NeuroBERT may have changed.
    """
    if lesion_maps is not None and not (out / LESION_MAPS).exists():
        out.mkdir(parents=True, exist_ok=True)
        load_lesion_maps(str(lesion_maps)).save(out / LESION_MAPS)
    train(config, out, partial(open_texts, text), start)
    return finish_bundle(config, out, text, name)


def open_texts(text: Path) -> EncodeTexts:
    """The text encoder of a folder."""
    return NeuroBERT.load(text).encode


def finish_bundle(config: VisionTraining, out: Path, text: Path, name: str) -> Path:
    """Fit trained networks to the text encoder, measure them on kept-back phantoms, and put the bundle together."""
    catalogue = PRETRAINED / "findings.toml"
    metrics = finish(config, out, load_findings(catalogue), NeuroBERT.load(text).encode)
    areas = {network: metrics["phantoms"][network]["abnormal"]["text"]["auc"] for network, _ in NETWORKS}
    bundle = out / "bundle"
    bundle.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(catalogue, bundle / "findings.toml")
    assemble(name, text, out, config.network, fusion_weights(areas), bundle)
    return bundle
