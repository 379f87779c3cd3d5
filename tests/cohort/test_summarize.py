"""The summary of a folder has the tables of the task of its results."""

from __future__ import annotations

import csv
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from helpers.finished_run import write_run

from bundle.cohort.summarize import summarize
from bundle.results.result_folder import Counts
from bundle.review import write_report
from bundle.utils.write_json import write_json

MASK = {
    "value": 1,
    "area_px": 4,
    "area_share": 0.04,
    "box": [1, 2, 2, 2],
    "regions": 1,
    "perimeter_px": 8.0,
    "border_irregularity": 1.0,
    "mean_probability": 0.9,
}


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def write(folder: Path, name: str, **content: Any) -> None:
    write_json(folder / f"{name}.json", {"case": name, "input": f"in/{name}.png", **content})


def test_volumes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "bundle")
    folder = write_run(tmp_path / "out", volumes=False)
    write(folder, "zfailed", error="BadInputError", message="it is bad")
    assert summarize(folder) == Counts(3, 1)
    assert f"3 cases completed, 1 failed; summary in {folder / 'summary.json'}" in caplog.text
    assert [(row["case"], row["front_volume_mm3"], row["error"]) for row in rows(folder / "volumes.csv")] == [
        ("case000", "100.0", ""),
        ("case001", "101.0", ""),
        ("case002", "102.0", ""),
        ("zfailed", "", "BadInputError"),
    ]
    assert sorted(path.name for path in folder.glob("*.csv")) == ["volumes.csv"]
    write_report(folder)
    assert "it is bad" in (folder / "report.html").read_text(encoding="utf-8")


def test_masks_and_objects(tmp_path: Path) -> None:
    measured = [{"object": 1, "area_px": 4, "center_x": 1.5, "center_y": 2.5}]
    objects = {"count": 1, "median_area_px": 4.0, "measured": measured}
    write(tmp_path, "a", shape=[10, 10], labels={"cell": MASK}, objects=objects)
    write(tmp_path, "b", shape=[10, 10], labels={"cell": {**MASK, "area_share": 0.0, "box": None}}, objects={})
    summarize(tmp_path)
    first, second = rows(tmp_path / "images.csv")
    assert (first["case"], first["area_percent"], first["box_width"]) == ("a", "4", "2")
    assert (second["case"], second["area_percent"], second["box_x"]) == ("b", "0", "")
    assert [(row["case"], row["center_x"]) for row in rows(tmp_path / "objects.csv")] == [("a", "1.5")]
    assert sorted(path.name for path in tmp_path.glob("*.csv")) == ["images.csv", "objects.csv"]


def test_classes(tmp_path: Path) -> None:
    write(tmp_path, "a", classes={"melanoma": {"probability": 0.25, "threshold": 0.5, "positive": False}})
    write(tmp_path, "b", error="E", message="bad")
    assert summarize(str(tmp_path)) == Counts(1, 1)
    assert rows(tmp_path / "predictions.csv") == [
        {"case": "a", "input": "in/a.png", "melanoma": "0.250000", "melanoma_positive": "0"}
    ]
    assert json.loads((tmp_path / "summary.json").read_text())["failures"][0]["case"] == "b"
