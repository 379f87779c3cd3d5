"""Metrics of an evaluation: per case and structure as CSV, with their statistics as JSON."""

from __future__ import annotations

import csv
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Events
from monai.engines import Workflow

from bundle.legacy.original_segmentation_metrics import ORIGINAL_SEGMENTATION_METRICS, original_segmentation_metrics
from bundle.metrics.bootstrap import mean_interval
from bundle.metrics.segmentation_metrics import (
    METRICS,
    VOLUMES,
    Structures,
    case_metrics,
    compared_masks,
    structure_volumes,
)
from bundle.utils.label_names import structures_of
from bundle.utils.parse_bool import parse_bool
from bundle.utils.processes import gather_cases
from bundle.utils.write_json import write_json

logger = logging.getLogger(__name__)


class CaseMetrics:
    """Compare ``pred`` with ``label`` in every case of an evaluator.

    Each is a label map, of one channel, or has a mask a structure; structures may overlap. Attached under a name, as a
    MONAI key metric is, it sets that metric to the mean Dice over cases and structures. At the end it writes
    ``metrics.csv`` (a row per case and structure, with both volumes) and ``metrics.json`` (the same, means with 95 %
    bootstrap intervals, and the false negatives and positives of every structure). Failed cases are skipped; they
    stand in ``summary.json``.

    Args:
        label_names: label value of every structure by its name; several values for a region, ``{"whole": [1, 2]}``. The
            background, 0, is not a structure.
        output_dir: folder to write to; created when missing. None writes nothing.
        tolerance_mm: tolerance of the normalized surface distance (NSD).
        unmatched_mm: distance to score for a false negative or positive; None excludes it from the means.
        original: add the metrics as the original project defines them, under names of their own, see
            :func:`bundle.legacy.original_segmentation_metrics`.
    """

    def __init__(
        self,
        label_names: Structures,
        *,
        output_dir: str | Path | None = None,
        tolerance_mm: float = 1.0,
        unmatched_mm: float | None = None,
        original: bool | str = False,
    ) -> None:
        self.label_names, self.tolerance_mm, self.unmatched_mm = (
            structures_of(label_names),
            tolerance_mm,
            unmatched_mm,
        )
        self.original = parse_bool("original", original)
        self.metrics = (*METRICS, *ORIGINAL_SEGMENTATION_METRICS) if self.original else METRICS
        self.output_dir = None if output_dir is None else Path(output_dir)
        self.rows: list[dict[str, Any]] = []

    def attach(self, engine: Workflow, name: str) -> None:
        """Follow ``engine`` and set its metric ``name`` after every epoch."""
        engine.add_event_handler(Events.EPOCH_STARTED, lambda _: self.rows.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._update)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._compute, name)

    def statistics(self) -> dict[str, dict[str, dict[str, float | int]]]:
        """Return mean, interval and number of cases by structure and metric."""
        return {
            name: {metric: mean_interval([row[metric] for row in rows]) for metric in self.metrics}
            for name, rows in self._by_structure().items()
        }

    def false_negatives(self) -> dict[str, int]:
        """Return the number of cases in which a structure of the reference was not predicted at all."""
        return {
            name: sum(row["dice"] == 0 and not math.isnan(row["rvd"]) for row in rows)
            for name, rows in self._by_structure().items()
        }

    def false_positives(self) -> dict[str, int]:
        """Return the number of cases in which a structure was predicted that the reference does not have."""
        return {
            name: sum(row["dice"] == 0 and math.isnan(row["rvd"]) for row in rows)
            for name, rows in self._by_structure().items()
        }

    def _by_structure(self) -> dict[str, list[dict[str, Any]]]:
        return {name: [row for row in self.rows if row["structure"] == name] for name in self.label_names}

    def _update(self, engine: Workflow) -> None:
        for batch, output in zip(engine.state.batch, engine.state.output, strict=True):
            pred, label = (_map_or_masks(output[key].as_tensor().cpu()) for key in ("pred", "label"))
            spacing = np.linalg.norm(np.asarray(output["label"].affine)[:3, :3], axis=0).tolist()
            found = case_metrics(
                pred,
                label,
                self.label_names,
                spacing,
                tolerance_mm=self.tolerance_mm,
                unmatched_mm=self.unmatched_mm,
            )
            if self.original:
                masks, true = compared_masks(pred, label, self.label_names)
                for name, metrics in found.items():
                    metrics.update(original_segmentation_metrics(masks[name], true[name]))
            volumes = structure_volumes(pred, label, self.label_names, math.prod(spacing))
            self.rows += [
                {"case": batch["case"], "structure": name, **values, **volumes[name]} for name, values in found.items()
            ]

    def _compute(self, engine: Workflow, name: str) -> None:
        self.rows = gather_cases(self.rows, lambda row: row["case"])
        dice = [row["dice"] for row in self.rows if not math.isnan(row["dice"])]
        engine.state.metrics[name] = sum(dice) / len(dice) if dice else math.nan
        if idist.get_rank() > 0:
            return
        statistics = self.statistics()
        for structure, metrics in statistics.items():
            values = ", ".join(f"{metric} {_format(value)}" for metric, value in metrics.items())
            logger.info("%s (%d cases): %s", structure, metrics["dice"]["n"], values)
        for event, counts in (("false negative", self.false_negatives()), ("false positive", self.false_positives())):
            text = ", ".join(f"{structure} in {count} cases" for structure, count in counts.items() if count)
            if text:
                logger.warning("%s: %s", event, text)
        if self.output_dir is not None:
            self._write(self.output_dir, statistics)

    def _write(self, folder: Path, statistics: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "metrics.csv", "w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, ["case", "structure", *self.metrics, *VOLUMES])
            writer.writeheader()
            writer.writerows(self.rows)
        content = {
            "tolerance_mm": self.tolerance_mm,
            "unmatched_mm": self.unmatched_mm,
            "summary": statistics,
            "false_negatives": self.false_negatives(),
            "false_positives": self.false_positives(),
            "cases": self.rows,
        }
        write_json(folder / "metrics.json", content)


def _map_or_masks(values: torch.Tensor) -> torch.Tensor:
    """Return a label map ``(D, H, W)``, or masks ``(C, D, H, W)``."""
    return values[0] if len(values) == 1 else values


def _format(values: Mapping[str, float | int]) -> str:
    return f"{values['mean']:.4f} [{values['low']:.4f}, {values['high']:.4f}]"
