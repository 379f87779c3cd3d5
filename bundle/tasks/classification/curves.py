"""Figures of the curves of a classification: ROC, precision and recall, and reliability."""

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
from bundle.visualize.colors import COLORS

from .classification_handler import CURVES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

logger = logging.getLogger(__name__)

LIMITS = (-0.02, 1.02)


class CurvePlots:
    """Draw ``curves.png`` at the end of an evaluation from its metrics.

    Without matplotlib it logs a warning and does nothing; it also does nothing without curves, as when all images
    failed.

    Args:
        output_dir: folder with ``curves.json``, to write to.
    """

    def __init__(self, output_dir: str | Path) -> None:
        self.output_dir = Path(str(output_dir))

    def attach(self, engine: Workflow) -> None:
        """Follow ``engine``."""
        engine.add_event_handler(Events.COMPLETED, lambda _: draw_curves(self.output_dir))


def draw_curves(output_dir: str | Path) -> None:
    """Draw ``curves.png`` next to ``curves.json``, see :class:`CurvePlots`.

    Args:
        output_dir: folder with ``curves.json``, to write to.
    """
    source = Path(str(output_dir)) / CURVES
    if find_spec("matplotlib") is None:
        logger.warning("no plots of the curves: they are drawn with matplotlib; pip install 'keyslice[demo]'")
    elif source.is_file():
        target = source.with_suffix(".png")
        save_curves(json.loads(source.read_text(encoding="utf-8")), target)
        logger.info("curves written to %s", target)


def save_curves(curves: Mapping[str, Mapping[str, Any]], path: Path, *, dpi: int = 110) -> None:
    """Write a PNG with the curves of all classes in three panels.

    Points show the threshold. Dashed lines show chance and, in the last panel, perfect calibration; there the size of a
    point is the number of its images.

    Args:
        curves: by class, see :func:`bundle.tasks.classification.classification_handler.curves_of`.
        path: file to write.
        dpi: pixels per inch.
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
    points, operating = curves["roc"], curves["operating_point"]
    panel.plot(
        _numbers(points["false_positive_rate"]),
        _numbers(points["true_positive_rate"]),
        color=color,
        label=f"{name}: AUC {_number(curves['auc']):.3f}",
    )
    panel.plot(_number(operating["false_positive_rate"]), _number(operating["true_positive_rate"]), "o", color=color)


def _draw_precision(panel: Axes, name: str, curves: Mapping[str, Any], color: str) -> None:
    points, operating = curves["precision_recall"], curves["operating_point"]
    panel.plot(
        _numbers(points["recall"]),
        _numbers(points["precision"]),
        color=color,
        drawstyle="steps-pre",
        label=f"{name}: average precision {_number(curves['average_precision']):.3f}",
    )
    panel.plot(_number(operating["true_positive_rate"]), _number(operating["precision"]), "o", color=color)
    total = curves["positives"] + curves["negatives"]
    panel.axhline(curves["positives"] / max(total, 1), linestyle="--", color=color, linewidth=1, alpha=0.6)


def _draw_reliability(panel: Axes, name: str, curves: Mapping[str, Any], color: str) -> None:
    bins = curves["reliability"]
    total = sum(each["n"] for each in bins)
    predicted, observed = ([each[key] for each in bins] for key in ("probability", "share"))
    panel.plot(predicted, observed, color=color, linewidth=1, label=f"{name}: {total} images")
    panel.scatter(predicted, observed, s=[10 + 200 * each["n"] / total for each in bins], color=color)


def _number(value: float | None) -> float:
    """Return a number from JSON, NaN for null."""
    return float("nan") if value is None else value


def _numbers(values: list[float | None]) -> list[float]:
    return [_number(value) for value in values]
