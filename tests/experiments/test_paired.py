"""Two evaluations are compared case by case."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

import numpy as np
import pytest

from bundle.experiments.experiment_options import ExperimentError
from bundle.experiments.paired import compare_evaluations


def write(folder: Path, header: str, *rows: str) -> Path:
    folder.mkdir()
    (folder / "metrics.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder


def segmentation(folder: Path, values: dict[str, float], other: str = "nan") -> Path:
    rows = [f"{case},{name},{dice},{other}" for case, dice in values.items() for name in ("left", "right")]
    return write(folder, "case,structure,dice,hd95_mm", *rows)


def test_differences_are_taken_within_a_case(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    first = segmentation(tmp_path / "a", {"1": 0.9, "2": 0.5, "x": 0.1})
    second = segmentation(tmp_path / "b", {"2": 0.4, "1": 0.8, "y": 0.0})
    content = compare_evaluations(first, second, tmp_path / "out")
    dice = content["metrics"]["mean"]["dice"]
    assert (dice["first"], dice["second"]) == (pytest.approx(0.7), pytest.approx(0.6))
    assert dice["difference"]["mean"] == pytest.approx(0.1)
    assert math.isnan(content["metrics"]["left"]["hd95_mm"]["first"])
    assert (content["cases"], content["only_first"], content["only_second"]) == (2, ["x"], ["y"])
    assert json.loads((tmp_path / "out" / "paired.json").read_text())["cases"] == 2
    assert "2 cases are too few for an interval" in caplog.text
    assert "left, dice: 0.7000 and 0.6000, difference +0.1000" in caplog.text


def test_levels_of_discs_are_averaged_within_a_case(tmp_path: Path) -> None:
    header = "case,group,level,name,distance_mm"
    first = write(tmp_path / "a", header, *(f"{case},t1,{level},x,{level}" for case in range(6) for level in (2, 4)))
    second = write(tmp_path / "b", header, *(f"{case},t1,{level},x,1" for case in range(6) for level in (2, 4)))
    content = compare_evaluations(first, second)
    assert list(content["metrics"]) == ["mean"]
    found = content["metrics"]["mean"]["distance_mm"]
    assert (found["difference"]["mean"], found["difference"]["low"]) == (2.0, 2.0)
    assert found["p"] == pytest.approx(2 / 2**6)


def classes(folder: Path, probability: np.ndarray, labels: np.ndarray) -> Path:
    rows = [f"{i},melanoma,{p},{y},0" for i, (p, y) in enumerate(zip(probability, labels, strict=True))]
    return write(folder, "case,class,probability,label,positive", *rows)


def test_classes_are_compared_by_their_area_under_the_curve(tmp_path: Path) -> None:
    labels = np.arange(40) % 2
    noise = np.random.default_rng(0).random(40)
    first, second = classes(tmp_path / "a", labels * 0.5 + noise * 0.5, labels), classes(tmp_path / "b", noise, labels)
    found = compare_evaluations(first, second)["metrics"]["melanoma"]["auc"]
    assert found["first"] == 1.0
    assert found["difference"]["low"] > 0
    assert found["difference"]["mean"] == pytest.approx(found["first"] - found["second"])


def test_classes_must_be_named_and_labeled_alike(tmp_path: Path) -> None:
    labels = np.arange(4) % 2
    first, inverted = (
        classes(tmp_path / name, labels * 0.5, each) for name, each in (("a", labels), ("b", 1 - labels))
    )
    with pytest.raises(ExperimentError, match="melanoma: 0 has another label in the two evaluations"):
        compare_evaluations(first, inverted)
    other = write(tmp_path / "c", "case,class,probability,label,positive", "0,MEL,0.5,0,1")
    with pytest.raises(ExperimentError, match="no structure or class in common"):
        compare_evaluations(first, other)


def test_one_class_alone_has_no_area(tmp_path: Path) -> None:
    labels = np.ones(3, dtype=int)
    first, second = classes(tmp_path / "a", labels * 0.5, labels), classes(tmp_path / "b", labels * 0.6, labels)
    assert math.isnan(compare_evaluations(first, second)["metrics"]["melanoma"]["auc"]["difference"]["low"])


def test_evaluations_without_a_common_case_or_metric_are_an_error(tmp_path: Path) -> None:
    a, b = segmentation(tmp_path / "a", {"1": 0.5}), segmentation(tmp_path / "b", {"2": 0.5})
    with pytest.raises(ExperimentError, match="no case in common"):
        compare_evaluations(a, b)
    c = write(tmp_path / "c", "case,structure,iou", "1,left,0.5")
    with pytest.raises(ExperimentError, match="no structure or no metric in common"):
        compare_evaluations(a, c)


@pytest.mark.parametrize("content", [None, "a,b\n1,2\n"])
def test_what_is_no_evaluation_is_an_error_that_names_it(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "metrics.csv").write_text(content)
    with pytest.raises(ExperimentError, match=r"metrics\.csv: is not the table of an evaluation"):
        compare_evaluations(tmp_path, tmp_path)


def test_a_column_that_holds_no_numbers_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tables = [write(tmp_path / name, "case,structure,dice,qc", "x,a,0.5,pass", "y,a,,fail") for name in "ab"]
    assert list(compare_evaluations(*tables)["metrics"]["a"]) == ["dice"]
    assert "qc: not compared, since it holds 'pass' in the case x" in caplog.text


@pytest.mark.parametrize("row", ["y,a", "y,a,0.5,1"])
def test_a_row_of_another_length_than_the_header_is_an_error(tmp_path: Path, row: str) -> None:
    tables = [write(tmp_path / name, "case,structure,dice", "x,a,0.5", row) for name in "ab"]
    with pytest.raises(ExperimentError, match=r"metrics.csv: the row of 'y' and the header differ in length"):
        compare_evaluations(*tables)
