"""Metrics of an evaluation of segmented pictures: per picture and structure as CSV, with their statistics as JSON."""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Events
from monai.engines import Workflow

from bundle.metrics.image_metrics import IMAGE_METRICS, ImageScores
from bundle.metrics.outline import one_region
from bundle.utils.parse_bool import parse_bool
from bundle.utils.write_json import write_json

logger = logging.getLogger(__name__)

METRICS = (*IMAGE_METRICS, "mean_iou")
TOLD = ("dice", "jaccard", "thresholded_jaccard", "mean_iou")
"""Metrics that the log tells, of those that there are."""


class ImageMetrics:
    """Compare the probabilities ``pred`` with the class numbers ``label`` in every picture of an evaluator.

    Probabilities are ``(1, H, W)`` of one class against the background, or ``(1 + C, H, W)`` with the background
    first, as :class:`bundle.tasks.images.SaveMaskd` takes them; the label is ``(1, H, W)``.

    Attached under a name, as a MONAI key metric is, it sets that metric to the mean of ``key`` over pictures and
    structures, and the metrics ``dice``, ``jaccard``, ``thresholded_jaccard`` and ``mean_iou`` beside it. With a
    folder, it writes ``metrics.csv`` (a row a picture and structure) and ``metrics.json``: the statistics per picture
    and pooled over all pixels, which are different numbers, with 95 % intervals, and the metrics of every picture.
    Pictures that failed are passed over; they stand in ``summary.json``.

    Args:
        label_names: value of every structure by its name, 1 to C; None for ``{"lesion": 1}``.
        output_dir: folder to write to; made when missing. None writes nothing, and computes no intervals.
        threshold: probability above which a pixel belongs to the one class; of several the largest counts.
        single_region: judge the largest region of every class with its holes filled.
        key: metric whose mean per picture is the key metric.

    Raises:
        ValueError: when the values do not count from 1, the threshold is outside [0, 1), or ``key`` is no metric.
    """

    def __init__(
        self,
        label_names: Mapping[str, int] | None = None,
        *,
        output_dir: str | Path | None = None,
        threshold: float = 0.5,
        single_region: bool | str = False,
        key: str = "dice",
    ) -> None:
        self.scores = ImageScores(label_names)
        names = self.scores.label_names
        if list(names.values()) != list(range(1, len(names) + 1)):
            raise ValueError(f"label_names must count from 1 to {len(names)}, got {names}.")
        if not 0 <= threshold < 1:
            raise ValueError(f"threshold must lie in [0, 1), got {threshold}.")
        if key not in METRICS:
            raise ValueError(f"key must be one of {', '.join(METRICS)}, got {key!r}.")
        self.output_dir = None if output_dir is None else Path(output_dir)
        self.threshold, self.single_region, self.key = threshold, parse_bool("single_region", single_region), key

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Metrics of every picture and structure."""
        return self.scores.rows

    def attach(self, engine: Workflow, name: str) -> None:
        """Follow ``engine`` and set its metric ``name`` after every epoch."""
        engine.add_event_handler(Events.EPOCH_STARTED, lambda _: self.scores.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._update)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._compute, name)

    def _update(self, engine: Workflow) -> None:
        names = self.scores.label_names
        for batch, output in zip(engine.state.batch, engine.state.output, strict=True):
            case = str(batch["case"])
            pred, label = (torch.as_tensor(output[key]).detach().cpu() for key in ("pred", "label"))
            check_probabilities(case, pred, len(names))
            if pred.shape[1:] != label.shape[1:]:
                raise ValueError(
                    f"{case}: 'pred' is {tuple(pred.shape[1:])} and 'label' {tuple(label.shape[1:])} pixels; resize "
                    "both, or only the image and bring 'pred' back by bundle.tasks.images.RestoreImageSized."
                )
            maps = {name: pred[value if len(pred) > 1 else 0].float().clamp(0, 1) for name, value in names.items()}
            self.scores.add(case, self._classes(pred), label[0], maps if self.output_dir is not None else None)

    def _classes(self, pred: torch.Tensor) -> torch.Tensor:
        classes = (pred[0] > self.threshold).to(torch.uint8) if len(pred) == 1 else pred.argmax(0)
        if not self.single_region:
            return classes
        kept = np.zeros(classes.shape, dtype=np.uint8)
        for value in self.scores.label_names.values():
            kept[one_region((classes == value).numpy())] = value
        return torch.as_tensor(kept)

    def _compute(self, engine: Workflow, name: str) -> None:
        for metric in TOLD:
            engine.state.metrics[metric] = self._mean(metric)
        engine.state.metrics[name] = self._mean(self.key)
        if self.output_dir is not None:
            self._write(self.output_dir)

    def _mean(self, metric: str) -> float:
        return float(np.mean([row[metric] for row in self.rows])) if self.rows else float("nan")

    def _write(self, folder: Path) -> None:
        found: dict[str, Any] = {"per_picture": self.scores.per_picture(), "pooled": self.scores.pooled()}
        for way, structures in found.items():
            for structure, metrics in structures.items():
                told = ", ".join(f"{metric} {_tell(metrics[metric])}" for metric in TOLD if metric in metrics)
                logger.info("%s, %s (%d pictures): %s", structure, way, metrics["dice"]["n"], told)
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "metrics.csv", "w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, ["case", "structure", *METRICS])
            writer.writeheader()
            writer.writerows(self.rows)
        content = {"threshold": self.threshold, "single_region": self.single_region, **found, "cases": self.rows}
        write_json(folder / "metrics.json", content)


def check_probabilities(case: str, pred: torch.Tensor, classes: int) -> None:
    """Check the channels and values of the probabilities ``(K, H, W)`` of a picture with ``classes`` classes.

    Raises:
        ValueError: when there are neither one nor ``1 + classes`` channels, or values that are no probabilities.
    """
    channels = 1 if classes == 1 else 1 + classes
    if pred.ndim != 3 or len(pred) != channels:
        raise ValueError(f"{case}: 'pred' has the shape {tuple(pred.shape)}; ({channels}, H, W) is expected.")
    low, high = (float(value) for value in pred.aminmax())
    if not (low >= -1e-6 and high <= 1 + 1e-6):
        raise ValueError(
            f"{case}: 'pred' holds values from {low:g} to {high:g}, which are no probabilities; add Activationsd with "
            f"{'sigmoid' if channels == 1 else 'softmax'} to the postprocessing."
        )


def _tell(values: Mapping[str, float | int]) -> str:
    value = values["mean"] if "mean" in values else values["value"]
    return f"{value:.4f} [{values['low']:.4f}, {values['high']:.4f}]"
