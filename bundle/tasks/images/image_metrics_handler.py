"""Handler of the metrics of segmented images: per image and structure as CSV, with statistics as JSON."""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Events
from monai.engines import Workflow

from bundle.metrics.bootstrap import format_interval
from bundle.metrics.image_metrics import IMAGE_METRICS, ImageScores
from bundle.metrics.object_scores import ObjectScores
from bundle.utils.check_choice import check_choice
from bundle.utils.parse_bool import parse_bool
from bundle.utils.write_json import write_json

from .mask_decision import MaskDecision

logger = logging.getLogger(__name__)

METRICS = (*IMAGE_METRICS, "mean_iou")
LOGGED = ("dice", "jaccard", "thresholded_jaccard", "mean_iou")
"""Metrics that are logged, if available."""


class ImageMetrics:
    """Compare the probabilities ``pred`` with the class numbers ``label`` in every image of an evaluator.

    Probabilities are ``(1, H, W)`` of one class against the background, or ``(1 + C, H, W)`` with the background
    first, as for :class:`bundle.tasks.images.SaveMaskd`; the label is ``(1, H, W)``.

    Attached under a name, like a MONAI key metric, it sets that metric to the mean of ``key`` over images and
    structures, and also the metrics ``dice``, ``jaccard``, ``thresholded_jaccard`` and ``mean_iou``. With a folder, it
    writes ``metrics.csv`` (one row per image and structure) and ``metrics.json``: the statistics per image and pooled
    over all pixels, which differ, with 95 % intervals, and the metrics of every image. Failed images are skipped; they
    are listed in ``summary.json``.

    Args:
        label_names: value of every structure by its name, 1 to C; None for ``{"lesion": 1}``.
        output_dir: folder to write to; created if missing. None writes nothing, and computes no intervals.
        threshold: probability above which a pixel belongs to a single class; of several classes, the most probable one
            is used.
        region_confidence: least mean probability of a region; less certain regions are background.
        single_region: evaluate only the largest region of every class with its holes filled.
        key: metric whose mean per image is the key metric.
        objects: also compare single objects, such as cells: ``"objects"`` in ``metrics.json``, see
            :class:`bundle.metrics.object_scores.ObjectScores`. Only with a folder.

    Raises:
        ValueError: when the values do not count from 1, a probability is outside [0, 1), or ``key`` is not a metric.

    Examples:
        >>> from monai.engines import Evaluator
        >>> case = {"case": "a", "pred": torch.full((1, 8, 8), 0.9), "label": torch.ones(1, 8, 8)}
        >>> evaluator = Evaluator("cpu", [[case]], iteration_update=lambda _, batch: batch)
        >>> ImageMetrics().attach(evaluator, "mean_dice")
        >>> evaluator.run()
        >>> evaluator.state.metrics["mean_dice"]
        1.0
    """

    def __init__(
        self,
        label_names: Mapping[str, int] | None = None,
        *,
        output_dir: str | Path | None = None,
        threshold: float = 0.5,
        region_confidence: float = 0.0,
        single_region: bool | str = False,
        key: str = "dice",
        objects: bool | str = False,
    ) -> None:
        self.objects = ObjectScores() if parse_bool("objects", objects) and output_dir is not None else None
        self.scores = ImageScores(label_names)
        self.decision = MaskDecision(
            self.scores.label_names,
            threshold=threshold,
            region_confidence=region_confidence,
            single_region=single_region,
        )
        check_choice("key", key, METRICS)
        self.output_dir = None if output_dir is None else Path(output_dir)
        self.key = key

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Metrics of every image and structure."""
        return self.scores.rows

    def attach(self, engine: Workflow, name: str) -> None:
        """Follow ``engine`` and set its metric ``name`` after every epoch."""
        for scores in (self.scores, self.objects):
            if scores is not None:
                engine.add_event_handler(Events.EPOCH_STARTED, lambda _, scores=scores: scores.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._update)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._compute, name)

    def _update(self, engine: Workflow) -> None:
        names = self.scores.label_names
        for batch, output in zip(engine.state.batch, engine.state.output, strict=True):
            case = str(batch["case"])
            pred, label = (torch.as_tensor(output[key]).detach().cpu() for key in ("pred", "label"))
            check_probabilities(case, pred, self.decision.channels)
            if pred.shape[1:] != label.shape[1:]:
                raise ValueError(
                    f"{case}: 'pred' is {tuple(pred.shape[1:])} and 'label' {tuple(label.shape[1:])} pixels; resize "
                    "both, or only the image and restore the size of 'pred' by bundle.tasks.images.RestoreImageSized."
                )
            maps = {name: pred[self.decision.channel(value)].float().clamp(0, 1) for name, value in names.items()}
            classes = self.decision.classes(pred.numpy())
            self.scores.add(case, torch.as_tensor(classes), label[0], None if self.output_dir is None else maps)
            if self.objects is not None:
                self.objects.add(case, classes, label[0].numpy())

    def _compute(self, engine: Workflow, name: str) -> None:
        self.scores.gather()
        if self.objects is not None:
            self.objects.gather()
        for metric in LOGGED:
            engine.state.metrics[metric] = self._mean(metric)
        engine.state.metrics[name] = self._mean(self.key)
        if self.output_dir is not None and idist.get_rank() == 0:
            self._write(self.output_dir)

    def _mean(self, metric: str) -> float:
        values = [row[metric] for row in self.rows]
        return float(np.mean(values)) if values else float("nan")

    def _write(self, folder: Path) -> None:
        found: dict[str, Any] = {"per_image": self.scores.per_image(), "pooled": self.scores.pooled()}
        for way, structures in found.items():
            for structure, metrics in structures.items():
                values = ", ".join(f"{each} {format_interval(metrics[each])}" for each in LOGGED if each in metrics)
                logger.info("%s, %s (%d images): %s", structure, way, metrics["dice"]["n"], values)
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "metrics.csv", "w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, ["case", "structure", *METRICS])
            writer.writeheader()
            writer.writerows(self.rows)
        content = {
            "threshold": self.decision.threshold,
            "region_confidence": self.decision.region_confidence,
            "single_region": self.decision.single_region,
            **found,
            "cases": self.rows,
        }
        if self.objects is not None:
            content["objects"] = {"per_image": self.objects.summary(), "cases": self.objects.rows}
            quality = self.objects.summary()["panoptic_quality"]
            logger.info("objects (%d images): panoptic_quality %s", quality["n"], format_interval(quality))
        write_json(folder / "metrics.json", content)


def check_probabilities(case: str, pred: torch.Tensor, channels: int) -> None:
    """Check the number of channels and the values of the probabilities ``(K, H, W)`` of an image.

    Raises:
        ValueError: when there is another number of channels, or values that are not probabilities.
    """
    if pred.ndim != 3 or len(pred) != channels:
        raise ValueError(f"{case}: 'pred' has the shape {tuple(pred.shape)}; ({channels}, H, W) is expected.")
    low, high = (float(value) for value in pred.aminmax())
    if not (low >= -1e-6 and high <= 1 + 1e-6):
        raise ValueError(
            f"{case}: 'pred' holds values from {low:g} to {high:g}, which are not probabilities; add Activationsd with "
            f"{'sigmoid' if channels == 1 else 'softmax'} to the postprocessing."
        )
