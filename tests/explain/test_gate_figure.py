"""The figure of gates along the slices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from helpers.explained import prepared
from PIL import Image

from bundle.explain.gate_figure import save_gate_figure
from bundle.explain.gates import LevelGates
from bundle.explain.input_slices import input_slices


def test_the_figure_has_one_panel_per_level(tmp_path: Path) -> None:
    slices = input_slices(prepared(tmp_path, np.eye(4))["image"], 2)
    level = LevelGates("level", 2, 8, np.full((3, 8), 0.5), None)
    heights = []
    for count in (1, 2, 3):
        save_gate_figure([(level, slices)] * count, tmp_path / "g.png", np.ones((5, 6, 8)), {"a": 1}, title="case")
        with Image.open(tmp_path / "g.png") as figure:
            heights.append(figure.size[1])
    assert heights[0] == heights[1] < heights[2]
