"""The lines on the console."""

from __future__ import annotations

from typing import Any

from bundle.check.console_report import console_lines, content_of
from bundle.check.dataset_statistics import summarize
from bundle.check.findings import Finding, Reading
from bundle.check.items import Item


def lines(remarks: int = 0, faults: int = 0, names: dict[str, int] | None = None, **facts: Any) -> list[str]:
    readings = [Reading(Item("a", ("a",), None, "training", "volumes"), facts=facts)]
    found = [Finding("spacing", ("a",), f"is bad {index}.") for index in range(faults)]
    odd = [Finding("remark", ("a",), f"odd {index}") for index in range(remarks)]
    return console_lines(content_of("data", readings, found, odd, statistics=summarize(readings, names)))


def test_a_clean_dataset_ends_with_no_faults() -> None:
    assert lines()[0] == "data"
    assert lines()[-1] == "0 faults, 0 remarks"


def test_faults_are_listed_and_counted_by_kind() -> None:
    assert lines(faults=2)[-3:] == [
        "fault: spacing: is bad 0.",
        "fault: spacing: is bad 1.",
        "2 faults (2 spacing), 0 remarks",
    ]


def test_many_remarks_are_cut() -> None:
    assert lines(remarks=12)[-2:] == ["2 more remarks", "0 faults, 12 remarks"]


def test_statistics_have_a_line_each() -> None:
    text = "\n".join(
        lines(
            names={"lesion": 1},
            spacing=[1, 1, 2.5],
            orientation="RAS",
            intensity={"p1": 3.0},
            classes={"1": 5, "2": 1},
            volumes_ml={"1": 0.5, "2": 0.1},
            voxels=100,
            labels={"melanoma": 1},
            discs=[3],
        )
    )
    for part in (
        "min 1 x 1 x 2.5; median 1 x 1 x 2.5; max 1 x 1 x 2.5; 1 different",
        "RAS 1",
        "of the voxels, over the items: 3 to 3, median 3",
        "lesion, in 1 of 1 items, 5.000% of all, 0.5 to 0.5, median 0.5 ml",
        "in 1 of 1 items, 1.000% of all",
        "1 of 1 (training 1)",
        "C2-C3 1",
    ):
        assert part in text


def test_classes_of_images_have_no_volume() -> None:
    assert not any(" ml" in line for line in lines(classes={"1": 5}, voxels=100))
