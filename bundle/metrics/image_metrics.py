"""Metrics of segmented 2D images, per image and pooled over all pixels.

With TP, FP, FN and TN the pixels of one structure: Dice 2TP/(2TP+FP+FN), Jaccard TP/(TP+FP+FN), sensitivity TP/(TP+FN),
specificity TN/(TN+FP), accuracy (TP+TN)/all. Where the denominator is 0 the value is 1, as in the scorer of the ISIC
challenges: two empty masks match completely, and without positives there are no false negatives.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from bundle.utils.label_names import structures_of
from bundle.utils.processes import gather_cases

from .bootstrap import RESAMPLES, mean_interval
from .ranking import ScoreCounts

logger = logging.getLogger(__name__)

POOLED_METRICS = ("dice", "jaccard", "sensitivity", "specificity", "accuracy", "balanced_accuracy")
IMAGE_METRICS = (*POOLED_METRICS, "thresholded_jaccard")
PIXEL_METRICS = ("auc", "average_precision", "calibration_error")

MIN_JACCARD = 0.65
"""Below it the thresholded Jaccard is 0: ISIC 2018 Task 1 (Codella et al., arXiv:1902.03368)."""


def confusion_counts(pred: torch.Tensor, label: torch.Tensor) -> np.ndarray:
    """Return TP, FP, FN and TN of two boolean masks of one shape.

    Raises:
        ValueError: when the shapes differ.
    """
    if pred.shape != label.shape:
        raise ValueError(f"prediction {tuple(pred.shape)} and label {tuple(label.shape)} differ in shape.")
    found, wanted, both = int(pred.sum()), int(label.sum()), int((pred & label).sum())
    return np.array([both, found - both, wanted - both, pred.numel() - found - wanted + both])


def overlap_rates(counts: ArrayLike) -> dict[str, Any]:
    """Return :data:`POOLED_METRICS` of counts ``(..., 4)``, each ``(...)``."""
    tp, fp, fn, tn = np.moveaxis(np.asarray(counts, dtype=float), -1, 0)
    sensitivity, specificity = _rate(tp, tp + fn), _rate(tn, tn + fp)
    return {
        "dice": _rate(2 * tp, 2 * tp + fp + fn),
        "jaccard": _rate(tp, tp + fp + fn),
        "sensitivity": sensitivity,
        "specificity": specificity,
        "accuracy": _rate(tp + tn, tp + fp + fn + tn),
        "balanced_accuracy": (sensitivity + specificity) / 2,
    }


def image_metrics(pred: torch.Tensor, label: torch.Tensor) -> dict[str, float]:
    """Compare two masks ``(H, W)`` of one structure; see :data:`IMAGE_METRICS`.

    Raises:
        ValueError: when the shapes differ.

    Examples:
        >>> pred, label = torch.tensor([[True, True], [False, False]]), torch.tensor([[True, False], [True, False]])
        >>> found = image_metrics(pred, label)
        >>> found["dice"], found["accuracy"]
        (0.5, 0.5)
    """
    return _with_threshold(overlap_rates(confusion_counts(pred, label)))


def mean_iou(pred: torch.Tensor, label: torch.Tensor, classes: int) -> float:
    """Return the mean Jaccard over the background and ``classes`` classes, of those that occur in either map.

    Args:
        pred: class numbers ``(H, W)``.
        label: the same.
        classes: number of classes without the background.

    Raises:
        ValueError: when the shapes differ.

    Examples:
        >>> mean_iou(torch.tensor([[0, 1]]), torch.tensor([[0, 1]]), classes=1)
        1.0
    """
    counts = [confusion_counts(pred == value, label == value) for value in range(classes + 1)]
    return float(_mean_jaccard(np.stack(counts)))


@dataclass(frozen=True)
class _Image:
    case: str
    counts: np.ndarray
    rows: list[dict[str, Any]]
    pixels: dict[str, ScoreCounts]


class ImageScores:
    """Collect the metrics of images one by one; summarize them per image and pooled.

    Args:
        label_names: value of every structure by its name; None for ``{"lesion": 1}``.

    Attributes:
        rows: one per image and structure, with ``"case"``, ``"structure"``, :data:`IMAGE_METRICS` and, of the
            image, ``"mean_iou"``.
    """

    def __init__(self, label_names: Mapping[str, int] | None = None) -> None:
        self.label_names = structures_of(label_names or {"lesion": 1})
        self.clear()

    def clear(self) -> None:
        """Remove all images."""
        self._images: list[_Image] = []

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One per image and structure."""
        return [row for image in self._images for row in image.rows]

    def gather(self) -> None:
        """Take over the images of all processes, see :func:`bundle.utils.processes.gather_cases`."""
        self._images = gather_cases(self._images, lambda image: image.case)

    def add(
        self,
        case: str,
        pred: torch.Tensor,
        label: torch.Tensor,
        probability: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        """Add an image.

        Args:
            case: its name.
            pred: predicted class numbers ``(H, W)``.
            label: true class numbers of the same shape; negative pixels are left out.
            probability: of structures by name, ``(H, W)``, for the metrics of pixels.

        Raises:
            ValueError: when the shapes differ.
        """
        counted = label >= 0
        if not counted.any():
            logger.warning("%s: not scored, since nobody labeled any of its pixels", case)
            return
        if not counted.all() and pred.shape == label.shape:
            pred, label = pred[counted], label[counted]
            probability = {name: values_of[counted] for name, values_of in (probability or {}).items()}
        values = [0, *self.label_names.values()]
        counts = np.stack([confusion_counts(pred == value, label == value) for value in values])
        of_image = {"mean_iou": float(_mean_jaccard(counts))}
        rows = []
        for name, of_structure in zip(self.label_names, counts[1:], strict=True):
            metrics = _with_threshold(overlap_rates(of_structure))
            rows.append({"case": case, "structure": name, **metrics, **of_image})
        pixels = {
            name: ScoreCounts.of_pixels(values_of.cpu().numpy(), (label == self.label_names[name]).cpu().numpy())
            for name, values_of in (probability or {}).items()
        }
        self._images.append(_Image(case, counts, rows, pixels))

    def per_image(self) -> dict[str, dict[str, dict[str, float | int]]]:
        """Return, by structure and metric, the mean over images with its 95 % interval."""
        metrics, rows = (*IMAGE_METRICS, "mean_iou"), self.rows
        return {
            name: {
                metric: mean_interval([row[metric] for row in rows if row["structure"] == name]) for metric in metrics
            }
            for name in self.label_names
        }

    def pooled(self) -> dict[str, dict[str, dict[str, float | int]]]:
        """Return, by structure and metric, the value over all pixels of all images.

        ``low`` and ``high`` are percentiles of a bootstrap over images, NaN for fewer than two. Where probabilities
        were given, :data:`PIXEL_METRICS` follow, without an interval. ``mean_iou`` is over background and structures.
        """
        if not self._images:
            return {}
        counts = np.stack([image.counts for image in self._images])
        samples = self._resampled(counts)
        mean_ious = _interval(float(_mean_jaccard(counts.sum(axis=0))), _mean_jaccard(samples))
        found = {}
        for number, name in enumerate(self.label_names, start=1):
            whole, drawn = overlap_rates(counts.sum(axis=0)[number]), overlap_rates(samples[:, number])
            metrics = {metric: _interval(float(whole[metric]), drawn[metric]) for metric in POOLED_METRICS}
            found[name] = {**metrics, "mean_iou": mean_ious, **self._pixel_metrics(name)}
        return {name: {m: {**v, "n": len(counts)} for m, v in metrics.items()} for name, metrics in found.items()}

    def _resampled(self, counts: np.ndarray) -> np.ndarray:
        """Return the counts ``(samples, classes, 4)`` of images drawn again, no sample for fewer than two."""
        images = len(counts)
        if images < 2:
            return np.empty((0, *counts.shape[1:]))
        weights = np.random.default_rng(0).multinomial(images, [1 / images] * images, size=RESAMPLES)
        return np.tensordot(weights.astype(float), counts.astype(float), axes=1)

    def _pixel_metrics(self, name: str) -> dict[str, dict[str, float]]:
        counts = [image.pixels[name] for image in self._images if name in image.pixels]
        if not counts:
            return {}
        pooled = sum(counts[1:], start=counts[0])
        return {metric: _interval(getattr(pooled, metric)(), []) for metric in PIXEL_METRICS}


def _rate(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Divide; 1 where the whole is 0."""
    return np.divide(part, whole, out=np.ones(np.shape(part)), where=whole > 0)


def _with_threshold(rates: Mapping[str, Any]) -> dict[str, float]:
    values = {name: float(value) for name, value in rates.items()}
    return {**values, "thresholded_jaccard": values["jaccard"] if values["jaccard"] >= MIN_JACCARD else 0.0}


def _mean_jaccard(counts: np.ndarray) -> np.ndarray:
    """Return the mean Jaccard of counts ``(..., classes, 4)`` over the classes that occur; 1 where none does."""
    occurs = counts[..., :3].sum(axis=-1) > 0
    return _rate((overlap_rates(counts)["jaccard"] * occurs).sum(axis=-1), occurs.sum(axis=-1))


def _interval(value: float, samples: ArrayLike) -> dict[str, float]:
    drawn = np.asarray(samples, dtype=float)
    low, high = np.quantile(drawn, [0.025, 0.975]) if len(drawn) else (math.nan, math.nan)
    return {"value": value, "low": float(low), "high": float(high)}
