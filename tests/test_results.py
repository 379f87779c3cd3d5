"""The page of the results: its measured figures are those of the metadata and of the other pages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bundle import ROOT

PAGE = Path(ROOT, "docs", "results.md").read_text(encoding="utf-8")
SHOWN = [
    (".", 4, ("anterior", "posterior"), ("dice", "hd95_mm", "nsd", "assd_mm")),
    (
        "disc_labeling",
        3,
        ("exams, all folds", "200 phantoms"),
        ("identified", "false_negative_rate", "false_positive_rate", "distance_median_mm", "level_right"),
    ),
    ("lesion_segmentation", 3, ("pooled", "per image"), ("dice", "sensitivity", "specificity", "accuracy")),
    ("cell_segmentation", 3, ("pooled", "per image"), ("mean_iou", "dice")),
]
"""Tasks, digits, and rows and columns of their tables."""


@pytest.mark.parametrize(("task", "digits", "rows", "metrics"), SHOWN, ids=[task for task, *_ in SHOWN])
def test_measured_figures_are_those_of_the_metadata(
    task: str, digits: int, rows: tuple[str, ...], metrics: tuple[str, ...]
) -> None:
    metadata = json.loads(Path(ROOT, "configs", task, "metadata.json").read_text(encoding="utf-8"))
    structures = metadata["eval_metrics"]["structures"]
    for row in rows:
        found = [structures[row][metric] for metric in metrics]
        means = [value.get("mean", value.get("value")) for value in found]
        cells = [
            f"{mean:.{digits}f} [{value['low']:.{digits}f}, {value['high']:.{digits}f}]"
            for mean, value in zip(means, found, strict=True)
        ]
        assert f"| {' | '.join(cells)} |" in PAGE, f"{task}, {row}: docs/results.md is not up to date"


def test_the_comparison_is_that_of_its_page() -> None:
    section = PAGE.split("### Measured: attention on the hippocampus")[1].split("###")[0]
    lines = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    page = Path(ROOT, "docs", "compare.md").read_text(encoding="utf-8").split("By structure:")[0]
    rows = {line.split(" | ")[0].strip("| "): line for line in page.splitlines() if line.startswith("| `")}
    assert {name for name, *_ in lines} == {name for name in rows if "--" not in name}
    for name, *cells in lines:
        assert all(cell in rows[name] for cell in cells)
