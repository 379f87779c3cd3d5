from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from bundle.visualize import Overlay, save_overlay
from bundle.visualize.colors import COLORS

HEAD = np.eye(4)
HEAD[:3, 3] = -100
"""200 voxels of 1 mm along every axis, around the origin."""

GROUPS = {"left": {"left_front": 1, "left_back": 2}, "right": {"right_front": 3, "right_back": 4}}


def two_sides() -> tuple[np.ndarray, np.ndarray]:
    """Return a dim head and two structures on either side: the patient's right is brighter."""
    image, labels = np.full((200, 200, 200), 50, np.uint8), np.zeros((200, 200, 200), np.uint8)
    image[100:] = 150
    labels[60:80, 100:120, 90:110], labels[60:80, 80:100, 90:110] = 1, 2
    labels[120:140, 100:120, 90:110], labels[120:140, 80:100, 90:110] = 3, 4
    return image, labels


@pytest.fixture(scope="module")
def overlay() -> Overlay:
    image, labels = two_sides()
    return Overlay((image, HEAD), (labels, HEAD), groups=GROUPS)


def pixels_of(image: Image.Image, color: str) -> np.ndarray:
    """Return the rows and columns of the pixels that have a color."""
    return np.argwhere((np.asarray(image) == ImageColor.getrgb(color)).all(2))


def test_left_and_right_have_the_same_colors(overlay: Overlay) -> None:
    assert overlay.colors[1:] == [ImageColor.getrgb(color) for color in COLORS[:2] * 2]


def test_the_legend_names_every_color_once_and_omits_the_title_of_the_group(overlay: Overlay) -> None:
    entries = [entry for line in overlay._legend() for entry in line]
    assert [(name, color) for _, name, color in entries] == [
        ("front", ImageColor.getrgb(COLORS[0])),
        ("back", ImageColor.getrgb(COLORS[1])),
    ]


def test_the_outline_has_the_color_and_the_inside_is_transparent(overlay: Overlay) -> None:
    plane = overlay.rows["left"][0]
    painted = overlay._paint(plane)
    inside = plane.structures == 1
    rows, columns = np.nonzero(inside)
    assert painted[rows[0], columns[0]].tolist() == list(ImageColor.getrgb(COLORS[0]))
    middle = painted[rows.mean().astype(int), columns.mean().astype(int)].astype(float)
    color = np.array(ImageColor.getrgb(COLORS[0]))
    np.testing.assert_allclose(middle, 0.3 * color + 0.7 * plane.gray[rows[0], columns[0]], atol=1)
    outside = plane.structures == 0
    np.testing.assert_array_equal(painted[outside], np.repeat(plane.gray[outside][:, None], 3, 1))


def test_the_figure_has_a_row_for_every_group_and_a_frame_in_the_complete_plane(overlay: Overlay) -> None:
    drawn = overlay.draw()
    assert drawn.width == 4 * 300 + 5 * 6
    assert drawn.height == 2 * (300 + 28) + 22 + 6
    complete = np.asarray(drawn)[22:322, 6 + 3 * 306 :]
    top, bottom = np.flatnonzero((complete[:, 100] == 255).all(1))
    assert bottom - top == pytest.approx(80 / 200 * 300, abs=1)
    assert (top + bottom) / 2 == pytest.approx(150, abs=1)


def test_the_scale_bar_is_10_mm_long(overlay: Overlay) -> None:
    drawn = np.asarray(overlay.draw())
    bar = (drawn[22 + 300 - 9, 6:306] == 255).all(1)
    assert bar.sum() == pytest.approx(10 * 300 / 80, abs=1)


def test_the_scale_bar_is_1_mm_long_in_a_plane_of_18_mm() -> None:
    labels = np.zeros((18, 18, 18), np.uint8)
    drawn = np.asarray(Overlay((labels, np.eye(4)), (labels, np.eye(4)), groups={"": {"a": 1}}).draw())
    bar = (drawn[22 + 400 - 9, 6:406] == 255).all(1)
    assert bar.sum() == pytest.approx(400 / 18, abs=1)


def test_many_names_need_several_lines_of_the_legend() -> None:
    labels = np.arange(1, 28, dtype=np.uint8).reshape(3, 3, 3).repeat(8, 0).repeat(8, 1).repeat(8, 2)
    names = {f"structure number {value}": value for value in range(1, 28)}
    overlay = Overlay((labels, np.eye(4)), (labels, np.eye(4)), groups={"": names})
    legend = overlay._legend()
    assert len(legend) > 1
    assert all(left < 1200 for line in legend for left, _, _ in line)
    assert overlay.draw().height == 400 + 28 + 22 * len(legend) + 6


def test_the_file_is_a_png_of_moderate_size(tmp_path: Path) -> None:
    image, labels = two_sides()
    save_overlay((image, HEAD), (labels, HEAD), tmp_path / "a.png", groups=GROUPS)
    with Image.open(tmp_path / "a.png") as drawn:
        assert drawn.format == "PNG"
        assert len(pixels_of(drawn.convert("RGB"), COLORS[0])) > 500
    assert (tmp_path / "a.png").stat().st_size < 500_000
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
