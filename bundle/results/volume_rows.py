"""Rows of the table of volumes, one per case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .result_tables import ResultTable

VOLUMES_CSV = "volumes.csv"

COLUMNS = ("volume_mm3", "margin", "entropy", "border_margin", "border_entropy", "components", "border_share")
"""Numbers of every structure; the columns are ``<structure>_<number>``, the volumes of all structures first."""


def _row(case: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a case from its JSON, or from its entry among the skipped cases."""
    labels: Mapping[str, Mapping[str, Any]] = case.get("labels", {})
    return {
        "case": case["case"],
        "input": case.get("input", case.get("file")),
        **case.get("identifiers", {}),
        "error": case.get("error"),
        "remarks": "; ".join(case.get("remarks", ())),
        "flags": "; ".join(case.get("flags", ())),
        **{f"{name}_{column}": labels[name].get(column) for column in COLUMNS for name in labels},
    }


def _rows(case: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [_row(case)]


def _has_volumes(case: Mapping[str, Any]) -> bool:
    return any("volume_mm3" in structure for structure in case.get("labels", {}).values())


def _columns(names: Sequence[str]) -> list[str]:
    """Return the columns of all rows: those of the case, then those of the structures, number by number."""
    fixed = [name for name in names if _rank(name) < 0]
    order = ["case", "input", *(name for name in fixed if name not in ("case", "input", "error", "remarks", "flags"))]
    return [*order, "error", "remarks", "flags", *sorted((name for name in names if _rank(name) >= 0), key=_rank)]


def _rank(name: str) -> int:
    """Return the place of the longest number that a column ends with; -1 for a column of the case."""
    found = [column for column in COLUMNS if name.endswith(f"_{column}")]
    return COLUMNS.index(max(found, key=len)) if found else -1


VOLUMES = ResultTable(VOLUMES_CSV, _rows, _columns, _has_volumes)
"""The table, as it is derived from the results in a folder."""
