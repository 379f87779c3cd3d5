"""A table of the results in a folder, with rows per image, such as one per structure, updated after every image."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.engines import Workflow

from bundle.inference import RunSummary
from bundle.inference.result_tables import ResultTable
from bundle.utils.atomic_write import atomic_write

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


class ImageTable:
    """A CSV file that is updated after every image.

    Rows of an earlier run in the same folder are kept until their image is processed again. A file with other columns
    is replaced.

    Args:
        path: file to write; its folder is created if missing.
        columns: columns of the table, ``"case"`` first; None for those of structures.
    """

    def __init__(self, path: str | Path, columns: Sequence[str] | None = None) -> None:
        self.path = Path(path)
        self.columns = COLUMNS if columns is None else tuple(columns)
        self._rows: dict[str, list[dict[str, str]]] | None = None

    def put(self, case: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the rows of a case, with the columns of the table except ``"case"``; missing values are empty."""
        rows_by_case = self._read() if self._rows is None else self._rows
        self._rows = rows_by_case
        is_update = case in rows_by_case
        rows_by_case[case] = [{name: _text(row.get(name)) for name in self.columns} | {"case": case} for row in rows]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if is_update or not self.path.is_file():
            with atomic_write(self.path) as file:
                self._write(file, [row for each in rows_by_case.values() for row in each], header=True)
        else:
            self._write(self.path, rows_by_case[case], header=False)

    def _read(self) -> dict[str, list[dict[str, str]]]:
        if not self.path.is_file():
            return {}
        with open(self.path, newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            rows = list(reader)
        if tuple(reader.fieldnames or ()) != self.columns:
            self.path.unlink()
            return {}
        rows_by_case: dict[str, list[dict[str, str]]] = {}
        for row in rows:
            rows_by_case.setdefault(row["case"], []).append(row)
        return rows_by_case

    def _write(self, file: Path, rows: Sequence[Mapping[str, str]], *, header: bool) -> None:
        with open(file, "w" if header else "a", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, self.columns)
            if header:
                writer.writeheader()
            writer.writerows(rows)


def _text(value: Any) -> str:
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
    return [{name: _text(row.get(name)) for name in columns} | {"case": case["case"]} for row in rows]


IMAGES = ResultTable(
    TABLE,
    lambda case: _texts(case, structure_rows(case), COLUMNS),
    list,
    lambda case: bool(structure_rows(case)),
)
"""The table of structures, as it is derived from the results in a folder."""

OBJECTS = ResultTable(
    OBJECT_TABLE,
    lambda case: _texts(case, object_rows(case), OBJECT_COLUMNS),
    lambda names: list(OBJECT_COLUMNS),
    lambda case: "objects" in case,
)
"""The table of objects, as it is derived from the results in a folder."""


class ImageTables:
    """Write ``images.csv`` and ``objects.csv`` at the end of a run, from all results in the folder.

    While a single process runs, :class:`.SaveMaskd` updates the files after every image.

    Args:
        output_dir: folder of the results.
        summary: summary of the run, attached before this handler.
    """

    def __init__(self, output_dir: str | Path, *, summary: RunSummary) -> None:
        self.output_dir, self.summary = Path(str(output_dir)), summary

    def attach(self, engine: Workflow) -> None:
        """Write the tables at the end of a run of ``engine``."""
        for table in (IMAGES, OBJECTS):
            self.summary.add_table(table, self.output_dir, engine)
