"""Puts a bundle together: NeuroBERT, the sequence networks and the findings' prompts into the folder that ships."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from encoders.manifest import FORMAT
from encoders.preprocess import Preprocessing
from encoders.sequences import MRSequence
from encoders.vision import VisionConfig
from training.vision_examples import NETWORKS

# No network was trained for proton density: the nearest in contrast stands in, and says so in the notes.
SUBSTITUTES = {MRSequence.PDW: MRSequence.T2W}
LEAST_WEIGHT = 0.1  # a network at chance still has a say, or an examination of that series alone would have none


class AssemblyError(ValueError):
    """Parts that do not make a bundle."""


def assemble(
    name: str, text: Path, vision: Path, config: VisionConfig, weights: Mapping[str, float], out: Path
) -> None:
    """Write `bundle.json`, `text/` and `vision/` below `out`; findings, calibration and model card there are kept.

    Parameters
    ----------
    text : folder written by NeuroBERT.save
    vision : folder with one safetensors file a network, named as in NETWORKS
    weights : how much each network counts in a fusion, by name
    """
    missing = [network for network, _ in NETWORKS if not (vision / f"{network}.safetensors").is_file()]
    if missing or not (text / "model.safetensors").is_file():
        raise AssemblyError(f"Expected a text encoder and {len(NETWORKS)} networks, missing: {missing or 'text'}")
    (out / "vision").mkdir(parents=True, exist_ok=True)
    if text.resolve() != (out / "text").resolve():
        shutil.copytree(text, out / "text", dirs_exist_ok=True)
    for network, _ in NETWORKS:
        shutil.copyfile(vision / f"{network}.safetensors", out / "vision" / f"{network}.safetensors")
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "name": name,
        "preprocessing": Preprocessing().to_dict(),
        "vision": config.to_dict(),
        "networks": [
            {"file": f"vision/{network}.safetensors", "sequences": list(sequences), "weight": weights[network]}
            for network, sequences in NETWORKS
        ],
        "substitutes": dict(SUBSTITUTES),
    }
    (out / "bundle.json").write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")


def fusion_weights(areas: Mapping[str, float]) -> dict[str, float]:
    """Weights from each network's area under the curve for normal against abnormal on kept-back phantoms.

    >>> fusion_weights({"flair": 0.9, "t1w": 0.5})
    {'flair': 0.8, 't1w': 0.1}
    """
    return {name: round(max(2 * area - 1, LEAST_WEIGHT), 3) for name, area in areas.items()}
