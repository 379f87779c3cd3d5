"""The figure of class activation maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.explained import NAMES
from helpers.phantoms import meta_tensor, noise
from PIL import Image

from bundle.explain.activation_figure import save_map_figure


def test_the_figure_has_one_row_per_structure(tmp_path: Path) -> None:
    image = meta_tensor(noise((1, 12, 14, 10)), np.diag([1.0, 1.0, 2.0, 1.0]))
    labels, heat = torch.zeros(12, 14, 10), torch.rand(2, 12, 14, 10)
    labels[4:8, 4:8, 4:8] = 1
    heights = []
    for names in ({"a": 1}, NAMES):
        save_map_figure(image, labels, heat[: len(names)], tmp_path / "map.png", names, title="case: method")
        with Image.open(tmp_path / "map.png") as figure:
            heights.append(figure.size[1])
            assert np.asarray(figure.convert("RGB")).std() > 10
    assert heights[1] == pytest.approx(2 * heights[0], abs=50)
