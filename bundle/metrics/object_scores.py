"""Metrics of single objects, such as cells, over many images."""

from __future__ import annotations

from typing import Any

import numpy as np

from bundle.utils.processes import gather_cases

from .bootstrap import mean_interval
from .instances import object_metrics, separate_objects

OBJECT_METRICS = ("panoptic_quality", "recognition_quality", "segmentation_quality", "object_iou", "count_error")


class ObjectScores:
    """Collect the metrics of the objects of images one by one; summarize them.

    Touching objects of prediction and reference are separated alike, by
    :func:`bundle.metrics.instances.separate_objects`, since masks of cells often do not separate them.

    Attributes:
        rows: one per image, with ``"case"``, those of :func:`bundle.metrics.instances.object_metrics`, and
            ``"count_error"``, how many objects too many or too few there are.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def clear(self) -> None:
        """Remove all images."""
        self.rows = []

    def gather(self) -> None:
        """Take over the images of all processes, see :func:`bundle.utils.processes.gather_cases`."""
        self.rows = gather_cases(self.rows, lambda row: str(row["case"]))

    def add(self, case: str, pred: np.ndarray, label: np.ndarray) -> None:
        """Add an image.

        Args:
            case: its name.
            pred: predicted class numbers ``(H, W)``; every class is part of an object.
            label: class numbers of the reference; negative pixels are background in both.
        """
        counted = label >= 0
        found, wanted = separate_objects((pred > 0) & counted), separate_objects(label > 0)
        metrics = object_metrics(found, wanted)
        error = abs(metrics["objects"] - metrics["reference_objects"])
        self.rows.append({"case": case, **metrics, "count_error": error})

    def summary(self) -> dict[str, dict[str, float | int]]:
        """Return, by metric, the mean over images with its 95 % interval; images without a value do not count."""
        return {metric: mean_interval([row[metric] for row in self.rows]) for metric in OBJECT_METRICS}
