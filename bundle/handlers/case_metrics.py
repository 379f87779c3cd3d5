"""Metrics of an evaluation: per case and structure as CSV, with their statistics as JSON."""

from __future__ import annotations

import csv
import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Events
from monai.engines import Workflow

from ..metrics import METRICS, case_metrics, mean_interval

logger = logging.getLogger(__name__)


class CaseMetrics:
    """Compare the label map ``pred`` with ``label`` in every case of an evaluator.

    Attached under a name, as a MONAI key metric is, it sets that metric to the mean Dice over cases and structures. At
    the end it writes ``metrics.csv`` (a row a case and structure) and ``metrics.json`` (the same, and means with 95 %
    bootstrap intervals). Cases that failed are passed over; they stand in ``summary.json``.

    Args:
        label_names: value of every structure by its name.
        output_dir: folder to write to; made when missing. None writes nothing.
        tolerance_mm: tolerance of the normalized surface distance (NSD).
    """

    def __init__(
        self, label_names: Mapping[str, int], *, output_dir: str | Path | None = None, tolerance_mm: float = 1.0
    ) -> None:
        self.label_names, self.tolerance_mm = dict(label_names), tolerance_mm
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
            name: {
                metric: mean_interval([row[metric] for row in self.rows if row["structure"] == name])
                for metric in METRICS
            }
            for name in self.label_names
        }

    def _update(self, engine: Workflow) -> None:
        for batch, output in zip(engine.state.batch, engine.state.output, strict=True):
            pred, label = output["pred"], output["label"]
            spacing = np.linalg.norm(np.asarray(label.affine)[:3, :3], axis=0)
            found = case_metrics(
                pred.as_tensor()[0].cpu(),
                label.as_tensor()[0].cpu(),
                self.label_names,
                spacing.tolist(),
                tolerance_mm=self.tolerance_mm,
            )
            self.rows += [{"case": batch["case"], "structure": name, **values} for name, values in found.items()]

    def _compute(self, engine: Workflow, name: str) -> None:
        dice = [row["dice"] for row in self.rows if not math.isnan(row["dice"])]
        engine.state.metrics[name] = sum(dice) / len(dice) if dice else math.nan
        statistics = self.statistics()
        for structure, metrics in statistics.items():
            told = ", ".join(f"{metric} {_tell(values)}" for metric, values in metrics.items())
            logger.info("%s (%d cases): %s", structure, metrics["dice"]["n"], told)
        if self.output_dir is not None:
            self._write(self.output_dir, statistics)

    def _write(self, folder: Path, statistics: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "metrics.csv", "w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, ["case", "structure", *METRICS])
            writer.writeheader()
            writer.writerows(self.rows)
        content = {"tolerance_mm": self.tolerance_mm, "summary": statistics, "cases": self.rows}
        text = json.dumps(_without_nan(content), indent=2)
        (folder / "metrics.json").write_text(text + "\n", encoding="utf-8")


def _tell(values: Mapping[str, float | int]) -> str:
    return f"{values['mean']:.4f} [{values['low']:.4f}, {values['high']:.4f}]"


def _without_nan(value: Any) -> Any:
    """Replace NaN, which JSON has not, by null."""
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
