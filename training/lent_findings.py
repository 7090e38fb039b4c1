"""What the findings head of a network knows, lent to its answer: along each finding's direction among the texts.

The head is trained on findings, the last layer fitted to reports, of which one finding among many is a small part. So
a share of the head's verdict is added along what parts the sentences that state a finding from those that deny it.
Both are linear in what the network pools, and so is their sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from encoders.findings import Finding
from training.phantoms.facts import FINDINGS
from training.vision_loop import EncodeTexts

LENT = 0.5  # of what the answer varies along a finding's direction by itself; the damping leaves four fifths of that
DAMPING = 0.1  # of the directions' own power: findings that texts hardly tell apart are not driven apart

Array = NDArray[np.float32]


def finding_directions(findings: Sequence[Finding], encode_texts: EncodeTexts) -> dict[str, Array]:
    """Of each finding that networks have a head for, the difference (D,) of stating and denying sentences."""
    return {
        finding.name: encode_texts(finding.present).mean(axis=0) - encode_texts(finding.absent).mean(axis=0)
        for finding in findings
        if finding.name in FINDINGS
    }


def lend_findings(
    layer: tuple[Array, Array], features: Array, state: Mapping[str, Tensor], directions: Mapping[str, Array]
) -> tuple[Array, Array]:
    """The last layer, weight (D, P) and bias (D,), with what the head of `state` says of the findings.

    `features` (N, P) are those of the layer's fit: by them the head's deviations are made the answer's own.
    """
    weight, bias = layer
    rows = [FINDINGS.index(name) for name in directions]
    head, offset = (state[f"findings_head.{part}"].numpy()[rows] for part in ("weight", "bias"))
    along = np.stack(list(directions.values())).astype(np.float64)  # (F, D)
    said, answered = features @ head.T + offset, (features @ weight.T + bias) @ along.T
    scale = LENT * answered.std(axis=0) / np.maximum(said.std(axis=0), 1e-6)
    power = along @ along.T
    apart = along.T @ np.linalg.inv(power + DAMPING * np.trace(power) / len(power) * np.eye(len(power)))
    lent = apart * scale
    return (weight + lent @ head).astype(np.float32), (bias + lent @ (offset - said.mean(axis=0))).astype(np.float32)
