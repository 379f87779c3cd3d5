"""Handler of the metrics of classified images: scores as CSV, statistics, calibration and curves as JSON."""

from __future__ import annotations

import csv
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Events
from monai.engines import Workflow

from bundle.metrics.bootstrap import format_interval
from bundle.metrics.calibration import calibrated, fit_temperature, logits_of, reliability
from bundle.metrics.classification_metrics import (
    balanced_accuracy_interval,
    binary_intervals,
    choose_threshold,
    thresholds_by_name,
)
from bundle.metrics.ranking import ScoreCounts
from bundle.utils.parse_bool import parse_bool
from bundle.utils.processes import gather_cases
from bundle.utils.write_json import write_json

logger = logging.getLogger(__name__)

CURVES = "curves.json"
"""File of the curves in the output folder; :class:`bundle.tasks.classification.CurvePlots` draws it."""


class ClassificationMetrics:
    """Compare the probabilities ``pred`` ``(C,)`` with ``label`` ``(C,)``, 1 or 0 for every class, of all images.

    Each class is evaluated against the rest, so an image may have several classes or none.

    Attached under a name, like a MONAI key metric, it sets that metric to the mean area under the ROC curve (AUC) over
    classes, and also ``auc_<class>``. With a folder, it writes ``metrics.csv`` (one row per image and class),
    ``metrics.json`` (the statistics of every class with 95 % intervals, and the rows) and ``curves.json``, the points
    of the ROC, precision-recall and reliability curves. Failed images are skipped; they are listed in ``summary.json``.

    Args:
        class_names: names of the classes, in the order of ``pred``.
        output_dir: folder to write to; created if missing. None writes nothing, and computes no intervals.
        thresholds: probability above which an image is positive, one for all classes or by name.
        calibrate: also fit, for every class with positives and negatives, the temperature for the logits of these
            probabilities, and choose the threshold of the calibrated probabilities. Only for validation images; the
            values are logged and are ``"calibration"`` in ``metrics.json``.
        exclusive: every image has exactly one class, as in ISIC 2018 Task 3. ``metrics.json`` then also has the metric
            of that challenge, the balanced accuracy of the most probable class.

    Raises:
        ValueError: when there is no class, a name is repeated, a threshold is missing or outside [0, 1), or
            ``calibrate`` or ``exclusive`` is neither true nor false.

    Examples:
        >>> from monai.engines import Evaluator
        >>> scores = [(0.9, 1), (0.2, 0), (0.4, 1)]
        >>> batches = [[{"case": str(p), "pred": torch.tensor([p]), "label": torch.tensor([y])}] for p, y in scores]
        >>> evaluator = Evaluator("cpu", batches, iteration_update=lambda _, batch: batch)
        >>> ClassificationMetrics(["melanoma"]).attach(evaluator, "auc")
        >>> evaluator.run()
        >>> evaluator.state.metrics["auc"]
        1.0
    """

    def __init__(
        self,
        class_names: Sequence[str],
        *,
        output_dir: str | Path | None = None,
        thresholds: float | Mapping[str, float] = 0.5,
        calibrate: bool | str = False,
        exclusive: bool | str = False,
    ) -> None:
        self.class_names = list(class_names)
        if not self.class_names or len(set(self.class_names)) < len(self.class_names):
            raise ValueError(f"class_names must be one or more different names, got {self.class_names}.")
        self.output_dir = None if output_dir is None else Path(output_dir)
        self.thresholds = thresholds_by_name(self.class_names, thresholds)
        self.calibrate, self.exclusive = parse_bool("calibrate", calibrate), parse_bool("exclusive", exclusive)
        self.rows: list[dict[str, Any]] = []

    def attach(self, engine: Workflow, name: str) -> None:
        """Follow ``engine`` and set its metric ``name`` after every epoch."""
        engine.add_event_handler(Events.EPOCH_STARTED, lambda _: self.rows.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._update)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._compute, name)

    def _update(self, engine: Workflow) -> None:
        count = len(self.class_names)
        for batch, output in zip(engine.state.batch, engine.state.output, strict=True):
            case = str(batch["case"])
            pred, label = (torch.as_tensor(output[key]).detach().cpu().flatten().tolist() for key in ("pred", "label"))
            if len(pred) != count or len(label) != count:
                raise ValueError(f"{case}: {count} classes have {len(pred)} predictions and {len(label)} labels.")
            if not all(0 <= value <= 1 for value in pred):
                raise ValueError(
                    f"{case}: 'pred' holds {pred}, which are not probabilities; add "
                    "bundle.tasks.classification.ComputeClassProbabilityd to the postprocessing."
                )
            for name, value, reference in zip(self.class_names, pred, label, strict=True):
                positive = int(value > self.thresholds[name])
                self.rows.append(
                    {"case": case, "class": name, "probability": value, "label": int(reference), "positive": positive}
                )

    def _scores(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return probabilities and labels of a class."""
        rows = [row for row in self.rows if row["class"] == name]
        return np.array([row["probability"] for row in rows], dtype=float), np.array([row["label"] for row in rows])

    def _compute(self, engine: Workflow, name: str) -> None:
        self.rows = gather_cases(self.rows, lambda row: row["case"])
        areas = {each: ScoreCounts.of(*self._scores(each)).auc() for each in self.class_names}
        for each, area in areas.items():
            engine.state.metrics[f"auc_{each}"] = area
        defined = [area for area in areas.values() if not math.isnan(area)]
        engine.state.metrics[name] = sum(defined) / len(defined) if defined else math.nan
        if self.output_dir is not None and idist.get_rank() == 0:
            self.write(self.output_dir)

    def write(self, folder: Path) -> None:
        """Write the files of the rows so far to ``folder``."""
        content: dict[str, Any] = {"thresholds": self.thresholds, "summary": {}}
        for name in self.class_names:
            probability, labels = self._scores(name)
            found = binary_intervals(probability, labels, threshold=self.thresholds[name])
            content["summary"][name] = found
            values = ", ".join(f"{metric} {format_interval(each)}" for metric, each in found.items())
            logger.info("%s (%d of %d images): %s", name, labels.sum(), len(labels), values)
        if self.exclusive and self.rows:
            content["balanced_accuracy"] = self._balanced_accuracy()
        if self.calibrate:
            content["calibration"] = {name: self._calibration(name) for name in self.class_names}
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "metrics.csv", "w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, ["case", "class", "probability", "label", "positive"])
            writer.writeheader()
            writer.writerows(self.rows)
        write_json(folder / "metrics.json", {**content, "cases": self.rows})
        curves = {name: curves_of(*self._scores(name), self.thresholds[name]) for name in self.class_names}
        write_json(folder / CURVES, curves)

    def _balanced_accuracy(self) -> dict[str, float | int]:
        """Return the balanced accuracy of the most probable class."""
        probability, labels = (
            np.stack(arrays, axis=1) for arrays in zip(*map(self._scores, self.class_names), strict=True)
        )
        several = np.flatnonzero(labels.sum(axis=1) != 1)
        if len(several):
            case = self.rows[several[0] * len(self.class_names)]["case"]
            raise ValueError(f"{case}: has {labels[several[0]].sum()} classes; set exclusive to false.")
        found = balanced_accuracy_interval(probability, labels.argmax(axis=1))
        logger.info("balanced accuracy of the most probable class: %s", format_interval(found))
        return found

    def _calibration(self, name: str) -> dict[str, float] | None:
        """Return temperature and threshold of a class, and the calibration error before and after."""
        probability, labels = self._scores(name)
        if len(np.unique(labels)) < 2:
            logger.warning("%s is not calibrated: it needs positives and negatives.", name)
            return None
        temperature = fit_temperature(logits_of(probability), labels)
        calibrated_scores = calibrated(probability, temperature)
        found = {
            "temperature": temperature,
            "threshold": choose_threshold(calibrated_scores, labels),
            "calibration_error_before": ScoreCounts.of(probability, labels).calibration_error(),
            "calibration_error_after": ScoreCounts.of(calibrated_scores, labels).calibration_error(),
        }
        logger.info("%s, calibration: %s", name, ", ".join(f"{key} {value:.4f}" for key, value in found.items()))
        return found


def pool_scores(
    runs: Sequence[str | Path],
    class_names: Sequence[str],
    *,
    output_dir: str | Path,
    thresholds: float | Mapping[str, float] = 0.5,
    calibrate: bool | str = False,
    exclusive: bool | str = False,
) -> None:
    """Evaluate the images of several evaluations together, such as the folds of a cross-validation.

    Writes the files of :class:`ClassificationMetrics`. Temperatures and thresholds are then chosen on images that the
    networks were not trained on.

    Args:
        runs: folders of evaluations, with ``metrics.csv``.
        class_names: names of the classes.
        output_dir: folder to write to; created if missing.
        thresholds: as for :class:`ClassificationMetrics`; those of the evaluations are ignored.
        calibrate: as for :class:`ClassificationMetrics`.
        exclusive: as for :class:`ClassificationMetrics`.

    Raises:
        ValueError: when there is no run, a run has no such file or other classes, or two have an image in common.
    """
    if isinstance(runs, str) or not runs:
        raise ValueError(f"runs must be a list of folders of evaluations, got {runs!r}; pass --runs \"['DIR', ...]\".")
    options: dict[str, Any] = {"thresholds": thresholds, "calibrate": calibrate, "exclusive": exclusive}
    pooled = ClassificationMetrics(class_names, **options)
    seen: dict[str, Path] = {}
    for folder in map(Path, runs):
        rows = _read_rows(folder / "metrics.csv", pooled)
        for case in dict.fromkeys(row["case"] for row in rows):
            if case in seen:
                raise ValueError(f"{folder}: has {case}, which is also in {seen[case]}; pass every run once.")
            seen[case] = folder
        pooled.rows += rows
    logger.info("%d images of %d evaluations", len(seen), len(runs))
    pooled.write(Path(output_dir))


def _read_rows(path: Path, pooled: ClassificationMetrics) -> list[dict[str, Any]]:
    """Read the rows of an evaluation; the decisions are recomputed."""
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            found = list(csv.DictReader(stream))
        rows = [(row["case"], row["class"], float(row["probability"]), int(row["label"])) for row in found]
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(f"{path}: is not a table of an evaluation ({error!r}); pass its output_dir.") from error
    classes = [name for _, name, _, _ in rows]
    if classes != pooled.class_names * (len(rows) // len(pooled.class_names)):
        raise ValueError(f"{path}: has the classes {', '.join(dict.fromkeys(classes))}, not {pooled.class_names}.")
    return [
        {
            "case": case,
            "class": name,
            "probability": value,
            "label": label,
            "positive": int(value > pooled.thresholds[name]),
        }
        for case, name, value, label in rows
    ]


def curves_of(probability: np.ndarray, labels: np.ndarray, threshold: float) -> dict[str, Any]:
    """Return the points of the curves of one class, and the rates at the threshold, for JSON.

    Args:
        probability: one per image.
        labels: 1 for a positive, 0 for a negative.
        threshold: probability above which an image is positive.

    Returns:
        ``roc`` with ``false_positive_rate`` and ``true_positive_rate``; ``precision_recall`` with ``precision`` and
        ``recall``; ``reliability``, see :func:`bundle.metrics.reliability`; ``operating_point`` with the rates at the
        threshold; ``auc``, ``average_precision``, ``positives`` and ``negatives``.
    """
    counts = ScoreCounts.of(probability, labels)
    false_rate, true_rate, steps = counts.roc()
    precision, recall, _ = counts.precision_recall()
    operating = int((steps > threshold).sum()) - 1
    return {
        "roc": {"false_positive_rate": false_rate.tolist(), "true_positive_rate": true_rate.tolist()},
        "precision_recall": {"precision": precision.tolist(), "recall": recall.tolist()},
        "reliability": reliability(probability, labels),
        "operating_point": {
            "threshold": threshold,
            "false_positive_rate": float(false_rate[operating]),
            "true_positive_rate": float(true_rate[operating]),
            "precision": float(precision[operating - 1]) if operating else math.nan,
        },
        "auc": counts.auc(),
        "average_precision": counts.average_precision(),
        "positives": int(counts.positives.sum()),
        "negatives": int(counts.negatives.sum()),
    }
