"""The figures are SVG with what they are of."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from helpers.finished_run import write_run

from bundle.review.run_figures import BLUE, ORANGE, bland_altman, histogram, roc, run_figures
from bundle.review.run_results import read_run


def parse(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314  # made by the code under test


def marks(svg: str, kind: str) -> list[dict[str, str]]:
    """Return the attributes of the elements of a kind."""
    return [element.attrib for element in parse(svg).iter() if element.tag == kind]


def test_a_run_has_distributions_and_bland_altman_plots(tmp_path: Path) -> None:
    titles = [
        parse(svg).attrib["aria-label"]
        for svg in run_figures(read_run(write_run(tmp_path / "out", 6, volumes=False, scored=True)))
    ]
    assert "front volume_mm3" in titles
    assert "back margin" in titles
    assert "front dice" in titles
    assert titles[-2:] == ["front: volume - reference, mm3", "back: volume - reference, mm3"]


def test_a_classification_has_its_roc_curves(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "out", volumes=False)
    rates = {"false_positive_rate": [0, 0.5, 1], "true_positive_rate": [0, 0.9, 1]}
    (folder / "curves.json").write_text(json.dumps({"melanoma": {"roc": rates}, "nevus": {"auc": 0.5}, "other": None}))
    assert "melanoma: ROC" in run_figures(read_run(folder))[-1]


def test_the_bars_of_a_histogram_count_the_cases() -> None:
    values = [(float(value), value > 17) for value in np.arange(20)]
    bars = marks(histogram("margin & more", values), "rect")
    assert "margin &amp; more" in histogram("margin & more", values)
    heights = {color: sum(float(bar["height"]) for bar in bars if bar["fill"] == color) for color in (BLUE, ORANGE)}
    assert heights[ORANGE] / heights[BLUE] == pytest.approx(2 / 20)


def test_equal_values_have_a_histogram() -> None:
    assert len(marks(histogram("same", [(1.0, False)] * 3), "rect")) > 0


def test_a_bland_altman_plot_has_bias_and_limits_of_agreement() -> None:
    pairs = [(110.0, 100.0), (90.0, 100.0), (105.0, 100.0), (95.0, 100.0)]
    svg = bland_altman("front", pairs)
    spread = np.std([10, -10, 5, -5], ddof=1)
    found = re.search(r"bias (\S+), limits (\S+) to ([^\s<]+)<", svg)
    assert found is not None
    assert [float(text) for text in found.groups()] == pytest.approx([0, -1.96 * spread, 1.96 * spread], abs=0.5)
    assert len(marks(svg, "circle")) == 4
    assert len(marks(svg, "line")) == 3


def test_the_roc_curve_goes_through_its_points() -> None:
    svg = roc("a", {"roc": {"false_positive_rate": [0.0, 1.0], "true_positive_rate": [0.0, 1.0]}})
    diagonal, curve = marks(svg, "line")
    assert [diagonal[key] for key in ("x1", "y1", "x2", "y2")] == [curve[key] for key in ("x1", "y1", "x2", "y2")]
