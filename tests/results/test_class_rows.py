"""The table of predictions has the probabilities of all classes, and then the decisions."""

from __future__ import annotations

from pathlib import Path

from bundle.results.class_rows import PREDICTIONS_TABLE
from bundle.results.result_tables import write_table

CLASSES = {"a": {"probability": 0.25, "positive": False}, "b": {"probability": 0.75, "positive": True}}


def test_a_failed_image_has_no_row(tmp_path: Path) -> None:
    write_table(PREDICTIONS_TABLE, tmp_path, [{"case": "x", "input": "x.png", "classes": CLASSES}, {"case": "y"}])
    lines = (tmp_path / "predictions.csv").read_text().splitlines()
    assert lines == ["case,input,a,b,a_positive,b_positive", "x,x.png,0.250000,0.750000,0,1"]


def test_without_classes_there_is_no_table(tmp_path: Path) -> None:
    write_table(PREDICTIONS_TABLE, tmp_path, [{"case": "y", "labels": {}}])
    assert not (tmp_path / "predictions.csv").exists()
