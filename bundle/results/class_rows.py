"""Rows of the table of predictions, one per image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .result_tables import ResultTable

PREDICTIONS = "predictions.csv"


def _rows(case: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the row of a case: the probabilities of the classes, and then the decisions."""
    classes: Mapping[str, Mapping[str, Any]] = case.get("classes", {})
    if not classes:
        return []
    probabilities = {name: f"{each['probability']:.6f}" for name, each in classes.items()}
    decisions = {f"{name}_positive": int(each["positive"]) for name, each in classes.items()}
    return [{"case": case["case"], "input": case["input"], **probabilities, **decisions}]


PREDICTIONS_TABLE = ResultTable(PREDICTIONS, _rows, list, lambda case: "classes" in case)
"""The table, as it is derived from the results in a folder."""
