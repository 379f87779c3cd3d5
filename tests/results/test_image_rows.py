"""The tables of images have one row per structure, and one per object."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from bundle.results.image_rows import IMAGES, OBJECTS
from bundle.results.result_tables import write_table

LESION = {"area_px": 12, "area_share": 0.5, "box": [1, 2, 3, 4], "regions": 1, "mean_probability": 0.9}
CASE = {"case": "x", "input": "x.png", "shape": [4, 6], "labels": {"lesion": LESION, "none": {"volume_mm3": 1.0}}}


def rows(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_structure_has_size_area_and_box(tmp_path: Path) -> None:
    write_table(IMAGES, tmp_path, [CASE])
    (row,) = rows(tmp_path / "images.csv")
    assert (row["structure"], row["width"], row["height"], row["area_percent"]) == ("lesion", "6", "4", "50")
    assert (row["box_x"], row["box_height"], row["perimeter_px"]) == ("1", "4", "")


def test_objects_have_a_table_even_where_none_is_found(tmp_path: Path) -> None:
    write_table(OBJECTS, tmp_path, [{**CASE, "objects": {"count": 0}}])
    assert rows(tmp_path / "objects.csv") == []
    write_table(OBJECTS, tmp_path, [{**CASE, "objects": {"measured": [{"object": 1, "area_px": 7}]}}])
    (row,) = rows(tmp_path / "objects.csv")
    assert (row["case"], row["object"], row["area_px"], row["box_x"]) == ("x", "1", "7", "")
