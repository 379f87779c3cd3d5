from __future__ import annotations

import numpy as np
import pytest

from bundle.io.input_checks import GridMismatchError
from bundle.tasks.spine.disc_placement import check_discs_in_image, discs_outside
from bundle.tasks.spine.discs import Disc

AFFINE = np.array([[0, 0, 4, -10], [0, -1, 0, 20], [-2, 0, 0, 50], [0, 0, 0, 1]], dtype=float)
SHAPE = (30, 40, 7)


def disc(value: int, voxel: tuple[float, float, float]) -> Disc:
    return Disc(value, tuple((AFFINE @ [*voxel, 1])[:3].tolist()))


def test_discs_up_to_a_voxel_outside_count_as_inside() -> None:
    inside = [disc(3, (-0.9, 0, 0)), disc(4, (29.9, 39.9, 6.9))]
    outside = [disc(5, (-1.1, 0, 0)), disc(6, (0, 40.1, 0)), disc(7, (0, 0, 7.1))]
    assert discs_outside([*inside, *outside], SHAPE, AFFINE) == outside
    assert discs_outside([], SHAPE, AFFINE) == []


def test_discs_outside_of_their_image_are_named() -> None:
    check_discs_in_image("a.csv", [disc(3, (1, 1, 1))], "a.nii.gz", SHAPE, AFFINE)
    with pytest.raises(GridMismatchError, match=r"a\.csv: C3-C4 lie outside of the image a\.nii\.gz; check that both"):
        check_discs_in_image("a.csv", [disc(3, (1, 1, 1)), disc(4, (90, 1, 1))], "a.nii.gz", SHAPE, AFFINE)
