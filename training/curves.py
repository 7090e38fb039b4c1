"""The losses of a training run as a picture, one panel a stage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from training.text_loop import StageResult

_SMOOTHED_OVER = 20  # steps


def draw_curves(stages: Sequence[StageResult], path: Path) -> bool:
    """Write a PNG; False, and nothing written, where matplotlib is not installed or nothing was trained."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return False
    if not stages:
        return False
    figure = Figure(figsize=(4.5 * len(stages), 3.2), layout="constrained")
    for place, stage in enumerate(stages, 1):
        axes = figure.add_subplot(1, len(stages), place)
        losses = np.array(stage.losses)
        axes.plot(losses, linewidth=0.6, alpha=0.4)
        width = min(_SMOOTHED_OVER, len(losses))
        smooth = np.convolve(losses, np.ones(width) / width, mode="valid")
        axes.plot(np.arange(len(smooth)) + width - 1, smooth)
        axes.set(title=f"{stage.name.replace('_', ' ')}, {stage.seconds / 60:.0f} min", xlabel="step", ylabel="loss")
    FigureCanvasAgg(figure)
    figure.savefig(path)
    return True
