from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image

from bundle.visualize import save_overlay
from bundle.visualize.overlay import COLORS


def pixels_of(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_the_image_shows_every_structure_in_its_color(tmp_path: Path) -> None:
    image = np.zeros((30, 30, 30))
    image[::2] = 1
    labels = np.zeros(image.shape, np.uint8)
    labels[10:20, 10:20, 10:15] = 1
    labels[10:20, 10:20, 15:20] = 2
    path = tmp_path / "overlay.png"
    save_overlay(image, labels, path, {"a": 1, "b": 2}, centers=[(15, 15, 15)], titles=["both"], margin=20)
    pixels = pixels_of(path).reshape(-1, 3) / 255
    for value in (1, 2):
        color = np.array(to_rgb(COLORS[value - 1]))
        assert (np.abs(pixels - color).max(1) < 0.01).any(), "the legend has the color"
        hues = pixels[np.abs((pixels - pixels.mean(1, keepdims=True)) @ (color - color.mean())) > 0.01]
        assert len(hues) > 100, "and so has the overlay"


def test_every_center_gets_a_row(tmp_path: Path) -> None:
    image, labels = np.random.default_rng(0).random((12, 12, 12)), np.zeros((12, 12, 12), np.uint8)
    heights = []
    for count in (1, 3):
        path = tmp_path / f"{count}.png"
        save_overlay(image, labels, path, {"a": 1}, centers=[(6, 6, 6)] * count, titles=["t"] * count)
        heights.append(pixels_of(path).shape[0])
    assert heights[1] == 3 * heights[0]
