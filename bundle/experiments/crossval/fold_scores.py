"""Scores of cases as the evaluations of the tasks write them, and their statistics over cases."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bundle.metrics.bootstrap import mean_interval
from bundle.metrics.classification_metrics import binary_intervals

Scores = dict[str, Any]
"""``rows``, one per case and structure, with ``case``, ``structure`` and the metrics; ``thresholds`` of classes."""

Interval = dict[str, float | int]
Summary = dict[str, dict[str, Interval]]

MEAN = "mean"
"""The mean over the structures of a case."""
CASE = "case"
"""Structure of the rows where a task scores cases, not structures."""
PROBABILITY = "probability"
NAMES = ("case", "structure", "class", "group", "levels", "metrics")


def read_scores(path: Path) -> Scores:
    """Read the ``metrics.json`` of an evaluation.

    Rows may be flat, with a ``structure`` or a ``class``, or have a mapping ``metrics``; only numbers are kept.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    return {"rows": [_row(item) for item in content["cases"]], "thresholds": content.get("thresholds")}


def summarize(scores: Sequence[Scores]) -> Summary:
    """Return mean, 95 % interval and number of cases by structure and metric.

    Probabilities of classes are pooled: their metrics, such as the area under the ROC curve, are of all cases with a
    label together.

    Args:
        scores: scores of disjoint sets of cases.
    """
    rows = with_means([row for part in scores for row in part["rows"]])
    result: Summary = {}
    for structure in dict.fromkeys(row["structure"] for row in rows):
        own = [row for row in rows if row["structure"] == structure]
        if PROBABILITY in own[0]:
            result[structure] = _summarize_class(own, scores[0]["thresholds"][structure])
        else:
            result[structure] = {metric: mean_interval(_values(own, metric)) for metric in metrics_of(own)}
    return result


def mean_of_key(scores: Scores) -> tuple[str, float]:
    """Return the name of the first metric and its mean over cases and structures; NaN where it is not defined."""
    if not scores["rows"]:
        return "score", math.nan
    if PROBABILITY in scores["rows"][0]:
        return "auc", _mean([found["auc"]["mean"] for found in summarize([scores]).values()])
    metric = metrics_of(scores["rows"])[0]
    return metric, _mean(_values(scores["rows"], metric))


def paired(scores: Scores, reference: Scores) -> Summary:
    """Return mean and 95 % interval of the differences, case by case, of two scorings of the same cases."""
    rows, other_rows = with_means(scores["rows"]), with_means(reference["rows"])
    other = {(row["case"], row["structure"]): row for row in other_rows}
    result: Summary = {}
    for structure in dict.fromkeys(row["structure"] for row in rows):
        own = [row for row in rows if row["structure"] == structure]
        pairs = [(row, other[row["case"], structure]) for row in own if (row["case"], structure) in other]
        result[structure] = {
            metric: mean_interval([_value(a, metric) - _value(b, metric) for a, b in pairs])
            for metric in metrics_of([a for a, _ in pairs])
        }
    return result


def with_means(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Add rows with the means over the structures of every case, where there are several; probabilities have none."""
    structures = {row["structure"] for row in rows}
    if len(structures) < 2 or PROBABILITY in rows[0]:
        return list(rows)
    cases: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        cases.setdefault(row["case"], []).append(row)
    means = [
        {"case": case, "structure": MEAN, **{metric: _mean(_values(own, metric)) for metric in metrics_of(own)}}
        for case, own in cases.items()
    ]
    return [*rows, *means]


def metrics_of(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the metrics of rows."""
    return list(dict.fromkeys(name for row in rows for name in row if name not in NAMES))


def _row(item: Mapping[str, Any]) -> dict[str, Any]:
    structure = item.get("structure", item.get("class", CASE))
    values = item.get("metrics", {name: value for name, value in item.items() if name not in NAMES})
    numbers = {name: value for name, value in values.items() if value is None or isinstance(value, int | float)}
    return {"case": item["case"], "structure": structure, **numbers}


def _summarize_class(rows: Sequence[Mapping[str, Any]], threshold: float) -> dict[str, Interval]:
    known = [row for row in rows if row["label"] is not None]
    found = binary_intervals([row[PROBABILITY] for row in known], [row["label"] for row in known], threshold=threshold)
    return {metric: {"mean": values["value"], **_rest(values)} for metric, values in found.items()}


def _rest(values: Mapping[str, float | int]) -> Interval:
    return {name: values[name] for name in ("low", "high", "n")}


def _values(rows: Sequence[Mapping[str, Any]], metric: str) -> list[float]:
    return [_value(row, metric) for row in rows]


def _value(row: Mapping[str, Any], metric: str) -> float:
    value = row.get(metric)
    return math.nan if value is None else float(value)


def _mean(values: Sequence[float]) -> float:
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan
