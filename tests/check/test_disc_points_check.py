"""Points of discs against each other and their image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from bundle.check.disc_points_check import check_points, read_points
from bundle.check.findings import Reading
from bundle.check.items import Item
from bundle.tasks.spine.discs import Disc, DiscFileError, write_disc_csv


def new() -> Reading:
    return Reading(Item("a", ("a.nii",), "a.csv", "training", "discs"))


def image(affine: np.ndarray | None = None) -> MetaTensor:
    return MetaTensor(torch.rand(1, 10, 40, 100), affine=torch.as_tensor(np.eye(4) if affine is None else affine))


def kinds(discs: list[Disc], volume: MetaTensor | None = None) -> list[str]:
    reading = new()
    check_points(reading, discs, volume)
    return [fault.kind for fault in reading.faults]


def test_discs_below_each_other_in_the_image_are_in_order() -> None:
    reading = new()
    check_points(reading, [Disc(3, (5, 20, 80)), Disc(4, (5, 20, 60)), Disc(7, (5, 20, 2))], image())
    assert (reading.faults, reading.facts) == ([], {"discs": [3, 4, 7]})
    assert reading.thumbnail.startswith("data:image/jpeg")


@pytest.mark.parametrize(
    ("discs", "kind"),
    [
        ([], "empty label"),
        ([Disc(3, (5, 20, 60)), Disc(4, (5, 20, 80))], "disc order"),
        ([Disc(3, (5, 20, 60)), Disc(4, (5, 20, 58))], "disc distance"),
        ([Disc(3, (5, 20, 99)), Disc(4, (5, 20, 1))], "disc distance"),
        ([Disc(3, (5, 20, 130))], "point outside"),
    ],
)
def test_faults_of_points_are_reported(discs: list[Disc], kind: str) -> None:
    assert kinds(discs, image()) == [kind]


def test_without_an_image_the_points_are_checked_against_each_other() -> None:
    assert kinds([Disc(3, (5, 20, 500))]) == []


def test_axes_that_run_the_other_way_are_turned_for_the_image() -> None:
    affine = np.diag([1.0, -1.0, -1.0, 1.0])
    reading = new()
    check_points(reading, [Disc(3, (5, -20, -30))], image(affine))
    assert reading.faults == []
    assert reading.thumbnail


def test_an_image_between_two_orientations_has_no_image() -> None:
    half = np.sqrt(0.5)
    affine = np.eye(4)
    affine[:3, :3] = [[half, half, 0], [half, -half, 0], [0, 0, 1]]
    reading = new()
    check_points(reading, [Disc(3, (15, 0, 30))], image(affine))
    assert reading.thumbnail == ""


def test_points_are_read_from_a_file(tmp_path: Path) -> None:
    write_disc_csv([Disc(3, (1, 2, 3))], tmp_path / "a.csv")
    assert [disc.value for disc in read_points(str(tmp_path / "a.csv"))] == [3]


def test_a_voxel_that_is_not_that_of_the_mm_is_found_with_the_image(tmp_path: Path) -> None:
    write_disc_csv([Disc(3, (5, 20, 30))], tmp_path / "a.csv", affine=np.eye(4))
    (tmp_path / "a.csv").write_text((tmp_path / "a.csv").read_text().replace(",5,20,30,", ",5,20,33,"))
    assert len(read_points(str(tmp_path / "a.csv"))) == 1
    with pytest.raises(DiscFileError, match=r"C2-C3 is in voxel \[5, 20, 33\].*change the mm, and clear i, j, k"):
        read_points(str(tmp_path / "a.csv"), image(np.eye(4)))
