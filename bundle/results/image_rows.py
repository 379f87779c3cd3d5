"""Rows of the tables of images: one per structure, and one per object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .result_tables import ResultTable

COLUMNS = (
    "case",
    "structure",
    "input",
    "width",
    "height",
    "area_px",
    "area_percent",
    "box_x",
    "box_y",
    "box_width",
    "box_height",
    "regions",
    "perimeter_px",
    "border_irregularity",
    "mean_probability",
)
"""Columns of the table of structures."""

OBJECT_COLUMNS = (
    "case",
    "object",
    "area_px",
    "center_x",
    "center_y",
    "box_x",
    "box_y",
    "box_width",
    "box_height",
)
"""Columns of the table of single objects, such as cells."""

TABLE = "images.csv"

OBJECT_TABLE = "objects.csv"


def text_of(value: Any) -> str:
    """Return a value as it stands in a table."""
    if value is None or value != value:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def structure_rows(case: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of the structures of an image from its JSON."""
    labels: Mapping[str, Mapping[str, Any]] = case.get("labels", {})
    return [_structure_row(case, name, measures) for name, measures in labels.items() if "area_share" in measures]


def object_rows(case: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of the objects of an image from its JSON."""
    return list(case["objects"].get("measured", ())) if "objects" in case else []


def _structure_row(case: Mapping[str, Any], name: str, measures: Mapping[str, Any]) -> dict[str, Any]:
    box = measures["box"] or [None] * 4
    return {
        **measures,
        "structure": name,
        "input": case["input"],
        "height": case["shape"][0],
        "width": case["shape"][1],
        "area_percent": 100 * measures["area_share"],
        **dict(zip(("box_x", "box_y", "box_width", "box_height"), box, strict=True)),
    }


def _texts(case: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> list[dict[str, Any]]:
    return [{name: text_of(row.get(name)) for name in columns} | {"case": case["case"]} for row in rows]


IMAGES = ResultTable(
    TABLE,
    lambda case: _texts(case, structure_rows(case), COLUMNS),
    list,
    lambda case: bool(structure_rows(case)),
    COLUMNS[1],
)
"""The table of structures, as it is derived from the results in a folder."""

OBJECTS = ResultTable(
    OBJECT_TABLE,
    lambda case: _texts(case, object_rows(case), OBJECT_COLUMNS),
    lambda names: list(OBJECT_COLUMNS),
    lambda case: "objects" in case,
    OBJECT_COLUMNS[1],
)
"""The table of objects, as it is derived from the results in a folder."""
