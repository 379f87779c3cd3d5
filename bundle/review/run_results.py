"""The results of a finished run, read from its folder, the most suspicious case first."""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bundle.inference.reference_numbers import BOTH, LOW, SUSPICIOUS, result_numbers
from bundle.utils.errors import FileError

SUMMARY = "summary.json"
FIGURES = ("_overlay.png", "_overlay.jpg", ".png")
"""Ends of the names of the figures of a case: volumes, images, discs."""

NOT_METRICS = ("case", "structure", "class", "probability", "positive", "volume_mm3")
"""Columns of ``metrics.csv`` that are not metrics, or are in the numbers of the result."""

FEW_DIGITS = 5
"""Significant digits of a number in the page."""


@dataclass
class CaseResult:
    """What the page shows of a case.

    Attributes:
        name: name of the case.
        record: its JSON, or its entry among the skipped cases.
        figure: figure of the case; None for none.
        metrics: metrics by structure, of an evaluation.
    """

    name: str
    record: dict[str, Any]
    figure: Path | None = None
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def problems(self) -> list[str]:
        """What is to be looked at, in words: error, flags, remarks."""
        error = [f"{self.record['error']}: {self.record.get('message', '')}"] if "error" in self.record else []
        return [*error, *self.record.get("flags", ()), *self.record.get("remarks", ())]

    @property
    def state(self) -> str:
        """``"failed"``, ``"flagged"`` or ``"ok"``."""
        if "error" in self.record:
            return "failed"
        is_uncertain = self.record.get("numbering") == "uncertain"
        return "flagged" if self.record.get("flags") or is_uncertain else "ok"

    @property
    def suspicion(self) -> float:
        """Largest suspicious z-score; infinite of a failed case."""
        if "error" in self.record:
            return math.inf
        scores = self.record.get("z_scores", {}).values()
        return max((_suspicious(name, score) for each in scores for name, score in each.items()), default=0.0)

    @property
    def digest(self) -> str:
        """Short digest of the files of the result, by which a rating of another result is told from one of this."""
        content = self.record.get("files") or {"error": self.record.get("error"), "metrics": self.metrics}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def numbers(self) -> dict[str, float]:
        """Return the numbers and metrics of all structures, as ``"structure number"``."""
        measured = {} if "error" in self.record else result_numbers(self.record)
        predicted = self.record.get("predicted_dice", {})
        found: dict[str, float] = {}
        for name in dict.fromkeys([*measured, *predicted, *self.metrics]):
            estimate = {"predicted dice": predicted[name]} if predicted.get(name) is not None else {}
            for number, value in {**estimate, **self.metrics.get(name, {}), **measured.get(name, {})}.items():
                if math.isfinite(value):
                    found[f"{name} {number}".strip()] = float(f"{value:.{FEW_DIGITS}g}")
        return found


@dataclass
class RunResults:
    """A finished run.

    Attributes:
        folder: its folder.
        cases: its cases, the most suspicious first.
        statistics: mean and interval by structure and metric, of an evaluation.
        scored: rows of ``metrics.csv``.
        curves: points of curves by class, of an evaluation of a classification.
    """

    folder: Path
    cases: list[CaseResult]
    statistics: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    scored: list[dict[str, str]] = field(default_factory=list)
    curves: dict[str, Any] = field(default_factory=dict)


def read_run(folder: Path) -> RunResults:
    """Read a run.

    Args:
        folder: output folder of an inference or an evaluation.

    Raises:
        FileError: when the folder has no results.
    """
    if not folder.is_dir():
        raise FileError(folder, "is not a folder", "name the output_dir of an inference or an evaluation")
    summary = _read_json(folder / SUMMARY)
    records = {record["case"]: record for record in _case_records(folder)}
    records |= {record["case"]: record for record in summary.get("failures", ()) if "case" in record}
    rows = _read_rows(folder / "metrics.csv")
    metrics: dict[str, dict[str, dict[str, float]]] = {}
    for row in rows:
        structure = row.get("structure") or row.get("class")
        if structure is not None:
            values = {name: _number(text) for name, text in row.items() if name not in NOT_METRICS}
            kept = {name: value for name, value in values.items() if value is not None}
            metrics.setdefault(row["case"], {})[structure] = kept
    for name in metrics:
        records.setdefault(name, {"case": name})
    if not records:
        raise FileError(folder, "has no results", "name the output_dir of an inference or an evaluation")
    cases = [
        CaseResult(name, record, _figure(folder, record), metrics.get(name, {})) for name, record in records.items()
    ]
    cases.sort(key=lambda case: (-case.suspicion, -len(case.problems), case.name))
    statistics = _statistics(_read_json(folder / "metrics.json"))
    return RunResults(folder, cases, statistics, rows, _read_json(folder / "curves.json"))


def _case_records(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*.json")):
        record = _read_json(path)
        if path.name != SUMMARY and isinstance(record.get("case"), str):
            yield record


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise FileError(path, f"is not JSON ({error})", "run the workflow again, or remove the file") from error
    return content if isinstance(content, dict) else {}


def _read_rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None


def _figure(folder: Path, record: Mapping[str, Any]) -> Path | None:
    """Return the figure of a case: one that its run wrote, not one that an earlier run has left."""
    if "error" in record:
        return None
    names = (f"{record['case']}{end}" for end in FIGURES)
    written = (name for name in names if name in record.get("files", (name,)))
    return next((path for name in written if (path := folder / name).is_file()), None)


def _statistics(content: Mapping[str, Any], title: str = "") -> dict[str, dict[str, dict[str, float]]]:
    """Return the means with intervals of ``metrics.json``, of whatever task, by the names of the blocks they are in."""
    kept = {name: value for name, value in content.items() if _is_interval(value)}
    found = {title.removeprefix("summary ") or "all": kept} if kept else {}
    for name, value in content.items():
        if isinstance(value, dict) and name not in kept:
            found |= _statistics(value, f"{title} {name}".strip())
    return found


def _is_interval(value: Any) -> bool:
    return isinstance(value, dict) and "low" in value and ("mean" in value or "value" in value)


def _suspicious(name: str, score: float) -> float:
    """Return a z-score as far as its side is suspicious."""
    side = SUSPICIOUS[name]
    return abs(score) if side == BOTH else max(-score if side == LOW else score, 0.0)
