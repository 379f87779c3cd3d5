from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from bundle.tasks.spine import save_disc_figure
from bundle.tasks.spine.disc_figures import (
    MIN_OPACITY,
    color_of,
    draw_discs,
    draw_map,
    draw_slice,
    opacity_of,
    panel_width,
    pixels_of,
    spread,
)
from bundle.tasks.spine.discs import Disc

AFFINE = np.array([[6.0, 0, 0, 3], [0, 2, 0, -40], [0, 0, 1, 100], [0, 0, 0, 1]])
"""Pixels of 2 mm from back to front and 1 mm from foot to head; the first at A -40, S 100 mm."""


def discs_at(*places: tuple[float, float], confidence: float | None = None) -> list[Disc]:
    """Return discs of levels 20, 21, ... at places (a, s) in pixels."""
    return [Disc(20 + number, (3.0, -40 + 2 * a, 100 + s), confidence) for number, (a, s) in enumerate(places)]


def pixels_in(path: Path) -> np.ndarray:
    with Image.open(path) as figure:
        return np.asarray(figure.convert("RGB")) / 255


def has_color(pixels: np.ndarray, color: str) -> bool:
    return bool((np.abs(pixels - np.array(to_rgb(color))).max(-1) < 0.02).any())


def test_a_disc_lies_on_the_pixel_of_its_position() -> None:
    tilt = np.array([[1, 0, 0, 0], [0, 0.8, -0.6, 0], [0, 0.6, 0.8, 0], [0, 0, 0, 1]]) @ AFFINE
    for affine in (AFFINE, tilt):
        position = (affine @ [0, 7.25, 11.5, 1])[:3]
        assert np.allclose(pixels_of([Disc(3, tuple(position))], affine), [[7.25, 11.5]])
    assert pixels_of([], AFFINE).shape == (0, 2)


def test_the_slice_is_upright_with_its_front_to_the_left(tmp_path: Path) -> None:
    image = np.zeros((20, 40))
    image[10:, 20:] = 1
    save_disc_figure(image, [], tmp_path / "slice.png", affine=AFFINE)
    panel = pixels_in(tmp_path / "slice.png")[60:, : round(110 * panel_width(image, AFFINE)) - 4, 0]
    half = panel.shape[0] // 2, panel.shape[1] // 2
    assert panel[5 : half[0] - 20, 5 : half[1] - 20].min() == 1, "front and head are up and left"
    assert panel[half[0] + 20 :, :].max() == 0
    assert panel[:, half[1] + 20 :].max() == 0


def test_a_panel_has_the_shape_of_the_body() -> None:
    assert panel_width(np.zeros((20, 40)), AFFINE, height=5) == pytest.approx(5)


def test_every_disc_has_its_color_and_name(tmp_path: Path) -> None:
    found = discs_at((5, 30), (6, 20), (7, 10), confidence=1.0)
    save_disc_figure(np.zeros((20, 40)), found, tmp_path / "discs.png", affine=AFFINE, title="exam")
    save_disc_figure(np.zeros((20, 40)), [], tmp_path / "empty.png", affine=AFFINE, title="exam")
    named, bare = pixels_in(tmp_path / "discs.png"), pixels_in(tmp_path / "empty.png")
    assert all(has_color(named, color_of(disc)) for disc in found)
    assert named.shape == bare.shape
    column = slice(round(110 * panel_width(np.zeros((20, 40)), AFFINE)) + 30, None)
    assert (named[:, column] != bare[:, column]).any(), "names are next to the figure"


def test_names_keep_the_order_do_not_overlap_and_show_the_confidence() -> None:
    figure = Figure(figsize=(6, 7))
    panel = figure.add_axes((0, 0, 0.7, 1))
    draw_slice(panel, np.zeros((20, 40)), AFFINE)
    draw_discs(panel, discs_at(*((5, 30 - 0.1 * i) for i in range(6)), confidence=0.5), AFFINE)
    boxes = [text.get_window_extent() for text in panel.texts]
    assert [text.get_text() for text in panel.texts][:2] == ["T12-L1  0.50", "L1-L2  0.50"]
    assert all(above.y0 > below.y1 for above, below in itertools.pairwise(boxes))
    assert all(box.x0 > panel.get_window_extent().x1 for box in boxes)


def test_an_annotated_disc_has_no_confidence_next_to_its_name() -> None:
    panel = Figure().add_subplot()
    draw_slice(panel, np.zeros((20, 40)), AFFINE)
    draw_discs(panel, discs_at((5, 5)), AFFINE)
    assert [text.get_text() for text in panel.texts] == ["T12-L1"]
    draw_discs(panel, discs_at((5, 5)), AFFINE, names=False)
    assert len(panel.texts) == 1


def test_opacity_increases_with_the_confidence() -> None:
    assert opacity_of(Disc(3, (0, 0, 0), 0.0)) == MIN_OPACITY
    assert opacity_of(Disc(3, (0, 0, 0), 1.0)) == opacity_of(Disc(3, (0, 0, 0))) == 1
    assert len({color_of(Disc(value, (0, 0, 0))) for value in range(3, 10)}) == 7


def test_reference_points_are_circles(tmp_path: Path) -> None:
    known = discs_at((10, 20))
    save_disc_figure(np.ones((20, 40)), [], tmp_path / "known.png", affine=AFFINE, reference=known)
    pixels = pixels_in(tmp_path / "known.png")
    rows, columns = np.nonzero(np.abs(pixels - np.array(to_rgb(color_of(known[0])))).max(-1) < 0.02)
    middle = pixels[(rows.min() + rows.max()) // 2, (columns.min() + columns.max()) // 2]
    assert len(rows) > 20
    assert not has_color(middle[None], color_of(known[0]))


def test_attention_has_a_separate_panel(tmp_path: Path) -> None:
    image, attention = np.zeros((20, 40)), np.zeros((5, 10))
    attention[4, 9] = 1
    save_disc_figure(image, [], tmp_path / "one.png", affine=AFFINE)
    save_disc_figure(image, [], tmp_path / "two.png", affine=AFFINE, attention=attention)
    one, two = pixels_in(tmp_path / "one.png"), pixels_in(tmp_path / "two.png")
    width = 110 * panel_width(image, AFFINE)
    assert two.shape[1] == pytest.approx(one.shape[1] + width, abs=1)
    bright = two[60:, :, 0].copy()
    assert bright[: bright.shape[0] // 5, : round(width / 5)].max() > 0.3, "its front and head are up and left"
    assert bright[bright.shape[0] // 2 :, : round(width)].max() < 0.05


def test_a_map_is_clear_where_nothing_is() -> None:
    panel = Figure().add_subplot()
    draw_slice(panel, np.zeros((20, 40)), AFFINE)
    draw_map(panel, np.full((5, 10), -1.0), (20, 40))
    draw_map(panel, np.full((5, 10), 0.25), (20, 40), high=1.0)
    assert np.asarray(panel.images[1].get_alpha()).max() == 0
    assert np.asarray(panel.images[2].get_alpha()).max() == pytest.approx(0.8 * 0.5)


def test_the_cells_of_a_map_lie_on_their_pixels_where_they_go_beyond_the_slice() -> None:
    panel = Figure().add_subplot()
    draw_slice(panel, np.zeros((18, 40)), AFFINE)
    draw_map(panel, np.ones((5, 10)), (18, 40))
    assert panel.images[1].get_extent() == [-0.5, 19.5, -0.5, 39.5]
    assert panel.get_xlim() == (17.5, -0.5), "the slice stays in view"


def test_spread_moves_no_more_than_needed() -> None:
    assert spread([1.0, 5.0, 3.0], 1.0, 0.0, 10.0).tolist() == [1.0, 5.0, 3.0]
    assert spread([4.0, 4.0, 4.0], 1.0, 0.0, 10.0).tolist() == [3.0, 4.0, 5.0]
    assert spread([], 1.0, 0.0, 10.0).tolist() == []


def test_spread_keeps_gaps_limits_and_order() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        places = rng.uniform(-2, 12, size=rng.integers(1, 9))
        moved = spread(places.tolist(), 1.0, 0.0, 10.0)
        order = np.argsort(places)
        assert (np.diff(moved[order]) >= 1 - 1e-9).all()
        assert moved.min() >= -1e-9
        assert moved.max() <= 10 + 1e-9


def test_more_names_than_fit_share_the_room() -> None:
    assert np.allclose(spread([5.0] * 21, 1.0, 0.0, 10.0), np.arange(21) * 0.5)
