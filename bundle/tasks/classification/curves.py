"""Drawn curves of a classification: ROC, precision and recall, and reliability."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ignite.engine import Events
from monai.engines import Workflow

from bundle.utils.atomic_write import atomic_write
from bundle.visualize.overlay import COLORS

from .classification_handler import CURVES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

logger = logging.getLogger(__name__)

LIMITS = (-0.02, 1.02)


class CurvePlots:
    """Draw ``curves.png`` at the end of an evaluation from its metrics.

    Without matplotlib it says so and does nothing; neither does it where no curves were written, as when no picture
    could be used.

    Args:
        output_dir: folder with ``curves.json``, to write to.
    """

    def __init__(self, output_dir: str | Path) -> None:
        self.output_dir = Path(str(output_dir))

    def attach(self, engine: Workflow) -> None:
        """Follow ``engine``."""
        engine.add_event_handler(Events.COMPLETED, lambda _: draw_curves(self.output_dir))


def draw_curves(output_dir: str | Path) -> None:
    """Draw ``curves.png`` beside ``curves.json``, see :class:`CurvePlots`.

    Args:
        output_dir: folder with ``curves.json``, to write to.
    """
    source = Path(str(output_dir)) / CURVES
    if find_spec("matplotlib") is None:
        logger.warning("no plots of the curves: they are drawn with matplotlib; pip install 'keyslice[demo]'")
    elif source.is_file():
        target = source.with_suffix(".png")
        save_curves(json.loads(source.read_text(encoding="utf-8")), target)
        logger.info("curves in %s", target)


def save_curves(curves: Mapping[str, Mapping[str, Any]], path: Path, *, dpi: int = 110) -> None:
    """Write a PNG with the curves of all classes in three panels.

    Points mark the threshold that is used. Dashed lines are those of chance and, in the last panel, of perfect
    calibration; there the size of a point tells how many pictures it stands for.

    Args:
        curves: by class, see :func:`bundle.tasks.classification.classification_handler.curves_of`.
        path: file to write.
        dpi: pixels an inch.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.6), layout="constrained", facecolor="white")
    roc, precision, reliability = figure.subplots(1, 3)
    for number, (name, of_class) in enumerate(curves.items()):
        color = COLORS[number % len(COLORS)]
        _draw_roc(roc, name, of_class, color)
        _draw_precision(precision, name, of_class, color)
        _draw_reliability(reliability, name, of_class, color)
    for panel in (roc, reliability):
        panel.plot([0, 1], [0, 1], "--", color="0.6", linewidth=1)
    titles = {
        "ROC": (roc, "1 - specificity", "sensitivity"),
        "Precision and recall": (precision, "recall (sensitivity)", "precision"),
        "Reliability": (reliability, "mean probability", "share of positives"),
    }
    for title, (panel, horizontal, vertical) in titles.items():
        panel.set(title=title, xlabel=horizontal, ylabel=vertical, xlim=LIMITS, ylim=LIMITS, aspect="equal")
        panel.legend(loc="lower right", fontsize=8)
    with atomic_write(path) as file:
        figure.savefig(file, dpi=dpi, format="png")


def _draw_roc(panel: Axes, name: str, curves: Mapping[str, Any], color: str) -> None:
    points, used = curves["roc"], curves["operating_point"]
    panel.plot(
        _numbers(points["false_positive_rate"]),
        _numbers(points["true_positive_rate"]),
        color=color,
        label=f"{name}: AUC {_number(curves['auc']):.3f}",
    )
    panel.plot(_number(used["false_positive_rate"]), _number(used["true_positive_rate"]), "o", color=color)


def _draw_precision(panel: Axes, name: str, curves: Mapping[str, Any], color: str) -> None:
    points, used = curves["precision_recall"], curves["operating_point"]
    panel.plot(
        _numbers(points["recall"]),
        _numbers(points["precision"]),
        color=color,
        drawstyle="steps-pre",
        label=f"{name}: average precision {_number(curves['average_precision']):.3f}",
    )
    panel.plot(_number(used["true_positive_rate"]), _number(used["precision"]), "o", color=color)
    total = curves["positives"] + curves["negatives"]
    panel.axhline(curves["positives"] / max(total, 1), linestyle="--", color=color, linewidth=1, alpha=0.6)


def _draw_reliability(panel: Axes, name: str, curves: Mapping[str, Any], color: str) -> None:
    bins = curves["reliability"]
    total = sum(each["n"] for each in bins)
    said, happened = ([each[key] for each in bins] for key in ("probability", "share"))
    panel.plot(said, happened, color=color, linewidth=1, label=f"{name}: {total} pictures")
    panel.scatter(said, happened, s=[10 + 200 * each["n"] / total for each in bins], color=color)


def _number(value: float | None) -> float:
    """Return a number as JSON has it, null for NaN."""
    return float("nan") if value is None else value


def _numbers(values: list[float | None]) -> list[float]:
    return [_number(value) for value in values]
