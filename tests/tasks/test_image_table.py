"""ImageTable holds one row per image and structure, of this run and of earlier ones."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from bundle.results.image_rows import COLUMNS
from bundle.tasks.images.image_table import ImageTable


def rows(path: Path) -> list[tuple[str, str, str]]:
    with open(path, newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        assert tuple(reader.fieldnames or ()) == COLUMNS
        return [(row["case"], row["structure"], row["area_px"]) for row in reader]


def lesion(area: int) -> list[dict[str, object]]:
    return [{"structure": "lesion", "area_px": area}]


def test_rows_are_in_the_order_of_the_images(tmp_path: Path) -> None:
    table = ImageTable(tmp_path / "new" / "a.csv")
    table.put("one", lesion(3))
    table.put("two, too", [{"structure": "a", "area_px": 1}, {"structure": "b", "area_px": 2}])
    assert rows(table.path) == [("one", "lesion", "3"), ("two, too", "a", "1"), ("two, too", "b", "2")]


def test_rows_of_earlier_runs_are_kept_until_the_image_is_processed_again(tmp_path: Path) -> None:
    for case, area in (("one", 3), ("two", 4)):
        ImageTable(tmp_path / "a.csv").put(case, lesion(area))
    ImageTable(tmp_path / "a.csv").put("one", lesion(5))
    assert rows(tmp_path / "a.csv") == [("one", "lesion", "5"), ("two", "lesion", "4")]
    assert list(tmp_path.iterdir()) == [tmp_path / "a.csv"]


def test_a_file_of_other_columns_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("case,dice\none,0.5\n")
    ImageTable(tmp_path / "a.csv").put("two", lesion(4))
    assert rows(tmp_path / "a.csv") == [("two", "lesion", "4")]


def test_numbers_are_short_and_missing_values_are_empty(tmp_path: Path) -> None:
    ImageTable(tmp_path / "a.csv").put(
        "one", [{"structure": "lesion", "area_percent": 100 / 3, "border_irregularity": math.nan, "box_x": None}]
    )
    with open(tmp_path / "a.csv", newline="", encoding="utf-8") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["area_percent"], row["border_irregularity"], row["box_x"]) == ("33.3333", "", "")
