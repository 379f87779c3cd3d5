"""The palette of structures."""

from __future__ import annotations

import itertools

import numpy as np
from PIL import ImageColor

from bundle.visualize.colors import COLORS


def test_all_colors_differ_clearly_in_brightness_or_hue() -> None:
    values = [np.array(ImageColor.getrgb(color)) for color in COLORS]
    assert min(np.abs(one - other).sum() for one, other in itertools.combinations(values, 2)) > 60
