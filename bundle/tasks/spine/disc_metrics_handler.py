"""Handler of the metrics of disc labeling: per case and level as CSV, with statistics as JSON."""

from __future__ import annotations

import csv
import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
from ignite.engine import Events
from monai.engines import Workflow

from bundle.metrics.bootstrap import format_interval
from bundle.utils.processes import gather_cases

from .disc_metrics import LEVEL_METRICS, DiscComparison, compare_discs
from .disc_statistics import summarize_discs
from .discs.disc_points import from_array
from .discs.levels import level_name
from .original_disc_metrics import OriginalErrors, original_errors, original_summary

logger = logging.getLogger(__name__)

COUNTS = (
    "references",
    "predictions",
    "false_negatives",
    "false_positives",
    "shift",
    "off_by_one",
    "level_right",
    "reversed",
    "referenced",
    "predicted",
    "identified",
    "identified_far",
    "matched_level",
)
"""Metrics of a case or level that are integers."""
LOGGED = (
    "identification_rate",
    "distance_median_mm",
    "false_negative_rate",
    "false_positive_rate",
    "level_right",
    "off_by_one",
)
"""Statistics that are logged."""


@dataclass(frozen=True)
class _Exam:
    case: str
    group: str
    comparison: DiscComparison
    original: OriginalErrors


class DiscMetrics:
    """Compare the discs ``discs`` with the points ``points`` in every case of an evaluator.

    A case has ``discs``, a list of :class:`bundle.tasks.spine.discs.Disc`, or ``predicted_points``, and ``points``,
    each an array ``(n, 4)`` of value, R, A and S in mm; optionally ``subset``, the group of its statistics, and
    ``complete`` (default True), whether the points are all discs in view (see
    :func:`bundle.tasks.spine.compare_discs`).

    Attached under a name, like a MONAI key metric, it sets that metric to the identification rate over all discs, and
    also the metrics ``distance_median_mm`` and ``level_right``. With a folder, it writes ``metrics.csv`` (one row per
    case and level) and ``metrics.json``: statistics with 95 % intervals over all cases and by group, the metrics of the
    original evaluation, and the metrics of every case. Failed cases are skipped; they are listed in ``summary.json``.

    Args:
        output_dir: folder to write to; created if missing. None writes nothing, and computes no intervals.
        tolerance_mm: distance below which a disc is detected.
        reach_mm: distance below which a prediction is assigned to a disc.
        in_plane: measure these two distances in the sagittal plane, not in space.
        pixel_mm: pixel size of the original metrics.

    Examples:
        >>> from monai.engines import Evaluator
        >>> cases = [{"case": "a", "discs": [], "points": np.array([[20, 0.0, 0.0, 0.0]])}]
        >>> evaluator = Evaluator("cpu", [cases], iteration_update=lambda _, batch: batch)
        >>> DiscMetrics().attach(evaluator, "identification_rate")
        >>> evaluator.run()
        >>> evaluator.state.metrics["identification_rate"]
        0.0
    """

    def __init__(
        self,
        *,
        output_dir: str | Path | None = None,
        tolerance_mm: float = 5.0,
        reach_mm: float = 20.0,
        in_plane: bool = False,
        pixel_mm: float = 1.0,
    ) -> None:
        self.output_dir = None if output_dir is None else Path(output_dir)
        self.options: dict[str, Any] = {"tolerance_mm": tolerance_mm, "reach_mm": reach_mm, "in_plane": in_plane}
        self.pixel_mm = pixel_mm
        self.exams: list[_Exam] = []

    def attach(self, engine: Workflow, name: str) -> None:
        """Follow ``engine`` and set its metric ``name`` after every epoch."""
        engine.add_event_handler(Events.EPOCH_STARTED, lambda _: self.exams.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._update)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._compute, name)

    def statistics(self) -> dict[str, Any]:
        """Return the statistics of all exams as ``summary``, by group as ``groups``, and the original metrics."""
        groups = sorted({exam.group for exam in self.exams} - {""})
        return {
            "summary": summarize_discs([exam.comparison for exam in self.exams]),
            "groups": {
                group: summarize_discs([exam.comparison for exam in self.exams if exam.group == group])
                for group in groups
            },
            "original": original_summary([exam.original for exam in self.exams]),
        }

    def _update(self, engine: Workflow) -> None:
        for batch, output in zip(engine.state.batch, engine.state.output, strict=True):
            item = {**batch, **output}
            case, discs, points = str(item["case"]), _entry(item, "discs"), np.asarray(_entry(item, "points"))
            comparison = compare_discs(discs, points, complete=bool(item.get("complete", True)), **self.options)
            original = original_errors(discs, points, pixel_mm=self.pixel_mm)
            self.exams.append(_Exam(case, str(item.get("subset") or item.get("group") or ""), comparison, original))

    def _compute(self, engine: Workflow, name: str) -> None:
        self.exams = gather_cases(self.exams, lambda exam: exam.case)
        rows = [row for exam in self.exams for row in exam.comparison.levels.values()]
        distances = _defined(row["distance_mm"] for row in rows)
        engine.state.metrics[name] = _mean(_defined(row["identified"] for row in rows))
        engine.state.metrics["distance_median_mm"] = float(np.median(distances)) if distances else math.nan
        engine.state.metrics["level_right"] = _mean(
            _defined(exam.comparison.metrics["level_right"] for exam in self.exams)
        )
        if self.output_dir is not None and idist.get_rank() == 0:
            statistics = self.statistics()
            for group, summary in {"all": statistics["summary"], **statistics["groups"]}.items():
                values = ", ".join(f"{metric} {format_interval(summary[metric], digits=3)}" for metric in LOGGED)
                logger.info("%s (%d exams, %d discs): %s", group, summary["exams"], summary["discs"], values)
            self._write(self.output_dir, statistics)

    def _write(self, folder: Path, statistics: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "metrics.csv", "w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, ["case", "group", "level", "name", *LEVEL_METRICS])
            writer.writeheader()
            for exam in self.exams:
                writer.writerows({"case": exam.case, "group": exam.group, **row} for row in _level_rows(exam))
        cases = [
            {
                "case": exam.case,
                "group": exam.group,
                "metrics": _for_json(exam.comparison.metrics),
                "levels": list(_level_rows(exam)),
            }
            for exam in self.exams
        ]
        content = {**self.options, "pixel_mm": self.pixel_mm, **_for_json(statistics), "cases": cases}
        (folder / "metrics.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _entry(item: Mapping[str, Any], key: str) -> Any:
    if key == "discs" and "predicted_points" in item:
        return from_array(np.asarray(item["predicted_points"]), source=item["case"])
    if key not in item:
        transform = {"discs": "DecodeDiscsd to the postprocessing", "points": "LoadDiscPointsd to the preprocessing"}[
            key
        ]
        raise ValueError(f"case {item['case']} has no {key!r} for DiscMetrics; add bundle.tasks.spine.{transform}.")
    return item[key]


def _level_rows(exam: _Exam) -> list[dict[str, Any]]:
    return [
        {"level": value, "name": level_name(value), **_for_json(row)} for value, row in exam.comparison.levels.items()
    ]


def _for_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values for JSON: NaN as None, counts as integers, other numbers to four decimal places."""
    result: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            result[name] = _for_json(value)
        elif math.isnan(value):
            result[name] = None
        else:
            result[name] = int(value) if name in COUNTS else round(value, 4)
    return result


def _defined(values: Any) -> list[float]:
    return [value for value in values if not math.isnan(value)]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan
