"""Contours enclose the centers of the pixels of a mask, and no others, and have its area."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from bundle.io.mask_contours import INSET, mask_contours


def filled(contour: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the pixels whose center is within a contour, by the crossings of a ray to the right."""
    rows, columns = np.indices(shape)
    inside = np.zeros(shape, bool)
    for (x, y), (u, v) in zip(contour, np.roll(contour, -1, axis=0), strict=True):
        if y != v:
            inside ^= ((y > rows) != (v > rows)) & (columns < x + (rows - y) * (u - x) / (v - y))
    return inside


def area(contour: np.ndarray) -> float:
    x, y = contour.T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def mask_of(*rows: str) -> np.ndarray:
    return np.array([[letter == "#" for letter in row] for row in rows])


MASKS = {
    "pixel": mask_of("#"),
    "corners touch": mask_of("#.#", ".#.", "#.#"),
    "hole": mask_of("####", "#.##", "####"),
    "hole within the corner of another": mask_of("#####", "#.###", "##.##", "#####"),
    "two holes side by side": mask_of("#######", "#.##.##", "#######"),
    "hole touches the outside": mask_of("####", "#.##", "##.#", "###."),
    "part within a hole": mask_of("#####", "#...#", "#.#.#", "#...#", "#####"),
    "all": np.ones((3, 4), bool),
    **{f"noise {share}": np.random.default_rng(0).random((40, 30)) < share for share in (0.3, 0.5, 0.7, 0.9)},
}


@pytest.mark.parametrize("name", MASKS)
def test_every_contour_is_one_part_with_its_holes(name: str) -> None:
    mask = MASKS[name]
    parts, count = ndimage.label(mask)
    contours = mask_contours(mask)
    assert len(contours) == count
    found = np.zeros(mask.shape, int)
    for contour in contours:
        inside = filled(contour, mask.shape)
        (part,) = np.unique(parts[inside])
        assert (inside == (parts == part)).all()
        found += inside
        edges = 4 * np.count_nonzero(inside)
        assert area(contour) == pytest.approx(np.count_nonzero(inside), abs=INSET * edges)
    np.testing.assert_array_equal(found, mask)


def test_points_rounded_to_whole_pixels_belong_to_the_mask() -> None:
    mask = MASKS["noise 0.7"]
    for contour in mask_contours(mask):
        columns, rows = contour.T[:, (contour % 1 != 0.5).all(axis=1)].round().astype(int)
        assert mask[rows, columns].all()


def test_an_empty_mask_has_no_contours() -> None:
    assert mask_contours(np.zeros((3, 4), bool)) == []
