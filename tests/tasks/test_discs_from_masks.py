from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from bundle.tasks.spine.discs import Disc, disc_below, discs_from_disc_mask, discs_from_vertebra_masks

HEIGHT, DEPTH, WIDTH, GAP = 24.0, 30.0, 40.0, 8.0
"""Of the boxes that stand for vertebrae, in mm."""


class Spine:
    """Boxes along a bent line in the sagittal plane R = 5 mm, tilted each by its own angle; exact corners known."""

    def __init__(
        self, numbers: range, tilt: float = 8.0, spacing: tuple[float, float, float] = (2.0, 1.0, 1.0)
    ) -> None:
        shape = [int(extent / step) for extent, step in zip((70, 110, 40 * len(numbers) + 20), spacing, strict=True)]
        self.affine = np.diag([*spacing, 1.0])
        self.affine[:3, 3] = -30.0, -50.0, -320.0
        self.mask = np.zeros(shape, np.uint8)
        world = np.moveaxis(np.indices(shape), 0, -1) * spacing + self.affine[:3, 3]
        place = np.array([5.0, -300.0 + 40 * len(numbers) - 30])
        self.corners: dict[int, dict[str, np.ndarray]] = {}
        for number in numbers:
            angle = np.radians(tilt * (number - numbers[0] - len(numbers) / 2))
            up, front = np.array([np.sin(angle), np.cos(angle)]), np.array([np.cos(angle), -np.sin(angle)])
            offset = world[..., 1:] - place
            inside = (np.abs(offset @ up) <= HEIGHT / 2) & (np.abs(offset @ front) <= DEPTH / 2)
            self.mask[inside & (np.abs(world[..., 0] - 5.0) <= WIDTH / 2)] = number
            self.corners[number] = {
                f"{end}{side}": place + (HEIGHT / 2) * sign * up + (DEPTH / 2) * way * front
                for end, sign in (("top", 1), ("bottom", -1))
                for side, way in (("front", 1), ("back", -1))
            }
            place = place - (HEIGHT + GAP) * up

    def tip(self, value: int) -> np.ndarray:
        return (self.corners[value - 1]["bottomback"] + self.corners[value]["topback"]) / 2

    def center(self, value: int) -> np.ndarray:
        upper, lower = self.corners[value - 1], self.corners[value]
        return (upper["bottomback"] + upper["bottomfront"] + lower["topback"] + lower["topfront"]) / 4


def assert_at(disc: Disc, place: np.ndarray, within: float, middle: float = 5.0) -> None:
    np.testing.assert_allclose(disc.position, [middle, *place], atol=within)


def test_the_tip_is_midway_between_the_posterior_corners_of_neighbors() -> None:
    spine = Spine(range(20, 25))
    discs = discs_from_vertebra_masks(spine.mask, spine.affine)
    assert [disc.value for disc in discs] == [21, 22, 23, 24]
    for disc in discs:
        assert_at(disc, spine.tip(disc.value), 1.5)


def test_the_center_is_the_mean_of_the_corners() -> None:
    spine = Spine(range(20, 24))
    for disc in discs_from_vertebra_masks(spine.mask, spine.affine, point="center"):
        assert_at(disc, spine.center(disc.value), 1.5)


@pytest.mark.parametrize("codes", ["LAS", "IPR", "PIL", "RSA"])
def test_the_orientation_of_the_array_does_not_matter(codes: str) -> None:
    spine = Spine(range(20, 23))
    image = nib.Nifti1Image(spine.mask, spine.affine)
    turned = image.as_reoriented(
        nib.orientations.ornt_transform(nib.io_orientation(spine.affine), nib.orientations.axcodes2ornt(codes))
    )
    expected = discs_from_vertebra_masks(spine.mask, spine.affine)
    found = discs_from_vertebra_masks(np.asanyarray(turned.dataobj), turned.affine)
    for disc, other in zip(found, expected, strict=True):
        assert disc.value == other.value
        np.testing.assert_allclose(disc.position, other.position, atol=1e-9)


@pytest.mark.parametrize("point", ["posterior", "center"])
def test_in_an_oblique_scan_all_coordinates_turn_with_the_scan(point: Any) -> None:
    """About S by 15 degrees: the posterior tips are 4 mm to the side of the centroids of the vertebrae."""
    spine = Spine(range(20, 24))
    turn = Rotation.from_euler("z", 15, degrees=True).as_matrix()
    turned = spine.affine.copy()
    turned[:3] = turn @ spine.affine[:3]
    for derive in (discs_from_vertebra_masks, discs_from_disc_mask, disc_below):
        (found, straight) = (derive(spine.mask, affine, point=point) for affine in (turned, spine.affine))
        pairs = [(found, straight)] if derive is disc_below else zip(found, straight, strict=True)
        for disc, other in pairs:
            np.testing.assert_allclose(disc.position[:2], (turn @ other.position)[:2], atol=0.8)
            assert disc.position[2] == pytest.approx(other.position[2], abs=2.5)


@pytest.mark.parametrize("spacing", [(0.8, 0.8, 0.8), (6.0, 0.7, 0.7)])
def test_thin_and_thick_slices_give_the_same_tips(spacing: tuple[float, float, float]) -> None:
    spine = Spine(range(20, 22), spacing=spacing)
    (disc,) = discs_from_vertebra_masks(spine.mask, spine.affine)
    assert_at(disc, spine.tip(21), 1.5)


@pytest.mark.parametrize("error", [-1e-7, 1e-7])
def test_the_last_digits_of_the_voxel_size_do_not_matter(error: float) -> None:
    spine = Spine(range(20, 23), tilt=0.0, spacing=(5.0, 0.75, 0.75))
    wanted = discs_from_vertebra_masks(spine.mask, spine.affine)
    found = discs_from_vertebra_masks(spine.mask, spine.affine * (1 + error * np.eye(4)))
    for disc, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(disc.position, other.position, atol=1e-3)


def test_a_spinous_process_is_not_a_body() -> None:
    spine = Spine(range(20, 23), tilt=0.0)
    plain = discs_from_vertebra_masks(spine.mask, spine.affine)
    for number in range(20, 23):
        back, bottom = spine.corners[number]["bottomback"] - spine.affine[1:3, 3]
        arch = np.s_[15:21, int(back) - 35 : int(back) - 15, int(bottom) - 12 : int(bottom) + 8]
        spine.mask[arch] = number
    for disc, other in zip(discs_from_vertebra_masks(spine.mask, spine.affine), plain, strict=True):
        np.testing.assert_allclose(disc.position[1:], other.position[1:])


def test_only_neighbors_have_a_disc_and_c1_has_no_body() -> None:
    spine = Spine(range(1, 6))
    spine.mask[spine.mask == 4] = 0
    assert [disc.value for disc in discs_from_vertebra_masks(spine.mask, spine.affine)] == [3]


def test_an_empty_mask_has_no_discs() -> None:
    empty = np.zeros((4, 5, 6), np.uint8)
    assert discs_from_vertebra_masks(empty, np.eye(4)) == []
    assert discs_from_disc_mask(empty, np.eye(4)) == []
    assert disc_below(empty, np.eye(4)) is None


@pytest.mark.parametrize("tilt", [0.0, 10.0])
def test_the_disc_below_lies_half_a_gap_below_the_last_vertebra(tilt: float) -> None:
    spine = Spine(range(20, 25), tilt=tilt)
    last, up = spine.corners[24], spine.corners[24]["topback"] - spine.corners[24]["bottomback"]
    gaps = [spine.corners[v]["bottomback"] - spine.corners[v + 1]["topback"] for v in range(20, 24)]
    step = up / np.linalg.norm(up) * np.median(np.linalg.norm(gaps, axis=1)) / 2
    tip = disc_below(spine.mask, spine.affine)
    center = disc_below(spine.mask, spine.affine, point="center")
    assert tip is not None
    assert center is not None
    assert (tip.value, center.value) == (25, 25)
    assert_at(tip, last["bottomback"] - step, 1.5)
    assert_at(center, (last["bottomback"] + last["bottomfront"]) / 2 - step, 1.5)


def test_the_disc_below_a_lone_vertebra_has_a_typical_height() -> None:
    spine = Spine(range(22, 23), tilt=0.0)
    tip = disc_below(spine.mask, spine.affine)
    assert tip is not None
    assert tip.value == 23
    assert_at(tip, spine.corners[22]["bottomback"] - np.array([0.0, 3.0]), 1.5)


@pytest.mark.parametrize("numbers", [range(24, 26), range(1, 2)])
def test_below_s1_and_c1_no_disc_is_extrapolated(numbers: range) -> None:
    spine = Spine(numbers)
    assert disc_below(spine.mask, spine.affine) is None


@pytest.mark.parametrize("angle", [-30.0, 0.0, 40.0])
def test_the_tip_of_a_masked_disc_is_the_posterior_end_of_its_long_axis(angle: float) -> None:
    places = np.moveaxis(np.indices((20, 90, 90)), 0, -1) * [2.0, 1.0, 1.0] - [20.0, 45.0, 45.0]
    turn = np.radians(angle)
    front = np.array([np.cos(turn), np.sin(turn)])
    up = np.array([-front[1], front[0]])
    inside = (np.abs(places[..., 1:] @ front) <= 17) & (np.abs(places[..., 1:] @ up) <= 4)
    mask = np.where(inside & (np.abs(places[..., 0]) <= 15), 23, 0)
    affine = np.diag([2.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = -20.0, -45.0, -45.0
    (tip,) = discs_from_disc_mask(mask, affine)
    (center,) = discs_from_disc_mask(mask, affine, point="center")
    assert (tip.value, center.value) == (23, 23)
    assert_at(tip, -17 * front, 1.5, middle=0.0)
    assert_at(center, np.zeros(2), 0.5, middle=0.0)


def test_invalid_masks_are_refused() -> None:
    mask = np.zeros((4, 5, 6), np.uint8)
    with pytest.raises(ValueError, match=r"must be a volume of integers, got float64 of shape \(4, 5, 6\)"):
        discs_from_disc_mask(mask.astype(float), np.eye(4))
    with pytest.raises(ValueError, match=r"must be a volume of integers, got uint8 of shape \(5, 6\)"):
        discs_from_vertebra_masks(mask[0], np.eye(4))
    mask[1, 2, 3] = 200
    with pytest.raises(
        ValueError, match=r"the mask holds the values \[200\]; vertebrae and discs have the values 1 to 25"
    ):
        discs_from_vertebra_masks(mask, np.eye(4))
    with pytest.raises(ValueError, match="point must be one of"):
        disc_below(mask, np.eye(4), point="tip")


def mask_of(path: Path) -> tuple[np.ndarray, np.ndarray]:
    image: Any = nib.load(path)
    return np.asanyarray(image.dataobj), image.affine


@pytest.mark.real_data
def test_tips_agree_with_those_that_came_with_real_disc_masks(shared_data: Path) -> None:
    distances = []
    for file in sorted((shared_data / "spine" / "lumbar_t2_discs").glob("*_discseg.nii.gz")):
        mask, affine = mask_of(file)
        given = json.loads(Path(str(file).replace("discseg.nii.gz", "discs.json")).read_text())["discs"]
        found = {disc.value: disc.position for disc in discs_from_disc_mask(mask, affine)}
        assert sorted(found) == [disc["value"] for disc in given]
        tips = {disc["value"]: affine[:3] @ [*disc["posterior_voxel"], 1] for disc in given}
        distances += [np.linalg.norm(found[value] - tip) for value, tip in tips.items()]
    assert len(distances) == 20
    assert np.median(distances) < 1.5
    assert max(distances) < 2.5


@pytest.mark.real_data
def test_the_guess_below_l5_lies_near_the_disc_that_the_mask_of_s1_gives(shared_data: Path) -> None:
    for file in sorted((shared_data / "spine" / "thoracolumbar_t1_t2_vertebrae").glob("*_vertebraseg.nii.gz")):
        mask, affine = mask_of(file)
        last = discs_from_vertebra_masks(mask, affine)[-1]
        guess = disc_below(np.where(mask == 25, 0, mask), affine)
        assert guess is not None
        assert last.value == guess.value == 25
        assert np.linalg.norm(np.subtract(last.position, guess.position)) < 3


@pytest.mark.real_data
def test_tips_between_real_vertebrae_with_arches_agree_with_those_of_the_discs_masks(shared_data: Path) -> None:
    folder = shared_data / "spine" / "vertebra_t2_crop"
    mask, affine = mask_of(folder / "sub-mri_seg-vert_label-6_msk.nii.gz")
    discs = discs_from_disc_mask(np.where((mask > 104) & (mask < 107), mask.astype(int) - 99, 0), affine)
    between = discs_from_vertebra_masks(np.where(mask < 26, mask, 0), affine)
    for disc, other in zip(discs, between, strict=True):
        assert disc.value == other.value
        assert np.linalg.norm(np.subtract(disc.position, other.position)) < 2


def test_discs_next_to_t13_and_l6_lie_between_their_vertebrae() -> None:
    spine = Spine(range(22, 26))
    usual = discs_from_vertebra_masks(spine.mask, spine.affine)
    for numbers in ((24, 245, 255), (19, 195, 205, 21)):
        table = np.zeros(256, np.uint8)
        table[list(range(26 - len(numbers), 26))] = numbers
        found = discs_from_vertebra_masks(table[spine.mask], spine.affine)
        assert [disc.value for disc in found] == list(numbers[1:])
        assert [disc.position for disc in found] == [disc.position for disc in usual[-len(found) :]]


@pytest.mark.parametrize(("last", "below"), [((24, 245), 255), ((24, 255), None), ((19, 195), 205), ((195, 205), 21)])
def test_the_disc_below_l6_and_t13_is_extrapolated(last: tuple[int, int], below: int | None) -> None:
    spine = Spine(range(22, 24))
    table = np.zeros(256, np.uint8)
    table[[22, 23]] = last
    found, usual = disc_below(table[spine.mask], spine.affine), disc_below(spine.mask, spine.affine)
    assert (None if found is None else found.value) == below
    assert usual is not None
    assert found is None or found.position == usual.position
