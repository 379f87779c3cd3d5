"""Label maps and masks of annotators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its usual name
from helpers.phantoms import ball, write_nifti
from PIL import Image

from bundle.io.images import read_mask
from bundle.server.annotations import check_annotation, convert_annotation, is_used_by, read_names
from bundle.server.label_tasks import TASKS
from bundle.server.server_errors import RequestError

VOLUMES, DISCS, LESIONS, LESION_CLASSES, CELLS = TASKS
AFFINE = np.diag([1.0, 2.0, 3.0, 1.0])


def refused(message: str) -> pytest.RaisesExc:
    """Expect an error with the status 400."""
    return pytest.raises(RequestError, match=message, check=lambda error: error.status == 400)


@pytest.fixture
def expert(tmp_path: Path) -> Path:
    """A label map: anterior 1, posterior 2."""
    values = (ball((24, 26, 24), radius=9) > 0).astype(np.uint8)
    values[:, 14:] *= 2
    return write_nifti(tmp_path / "expert.nii.gz", values.astype(np.uint8), affine=AFFINE)


@pytest.fixture
def points(tmp_path: Path) -> Path:
    """A label map of the discs C2-C3 and C3-C4."""
    values = np.zeros((24, 26, 24), np.uint8)
    values[3, 4, 5], values[3, 4, 10] = 3, 4
    return write_nifti(tmp_path / "points.nii.gz", values, affine=AFFINE)


@pytest.fixture
def image_2d(tmp_path: Path) -> Path:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (4, 6, 3), np.uint8)).save(tmp_path / "p.jpg")
    return tmp_path / "p.jpg"


def mask_of(path: Path, pixels: Any, orientation: int = 1) -> Path:
    image = Image.fromarray(np.asarray(pixels, np.uint8))
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(path, exif=exif)
    return path


def renumbered(file: Path, values: list[int], suffix: str = ".nii.gz") -> Path:
    """Write a label map with other values and return its path."""
    image = nib.load(file)
    target = file.with_name(f"other{suffix}")
    label = np.asarray(values, np.uint8)[np.asanyarray(image.dataobj)]
    if suffix == ".nii.gz":
        return write_nifti(target, label, affine=image.affine)
    write_nifti(file.with_name("other.nii.gz"), label, affine=image.affine)
    sitk.WriteImage(sitk.ReadImage(str(file.with_name("other.nii.gz"))), str(target))
    return target


def as_array(file: Path) -> np.ndarray:
    return np.asanyarray(nib.load(file).dataobj)


def used(file: Path, info: dict[str, Any], tasks: Any = TASKS[:2]) -> list[str]:
    return [task.name for task in tasks if is_used_by(task, tasks, file, info, "l")]


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_values_are_converted_by_their_names(suffix: str, expert: Path, tmp_path: Path) -> None:
    other = renumbered(expert, [0, 7, 3], suffix)
    names = {7: "Anterior", 3: "posterior", 9: "C2-C3"}
    check_annotation(other, expert, TASKS[:2], {"label_info": {name: value for value, name in names.items()}}, "l")
    found = convert_annotation(other, expert, VOLUMES, names, tmp_path / "converted")
    np.testing.assert_array_equal(as_array(found), as_array(expert))
    np.testing.assert_allclose(nib.load(found).affine, AFFINE)


def test_a_label_without_names_is_used_as_it_is(expert: Path, points: Path, tmp_path: Path) -> None:
    assert convert_annotation(expert, expert, VOLUMES, {}, tmp_path / "c") == expert
    assert convert_annotation(points, expert, DISCS, {}, tmp_path / "c") == points


def test_discs_are_converted_from_segments_and_other_formats(points: Path, tmp_path: Path) -> None:
    segments = renumbered(points, [0, 0, 0, 1, 2])
    found = convert_annotation(segments, points, DISCS, {1: "C2-C3", 2: "C3-C4"}, tmp_path / "a")
    np.testing.assert_array_equal(as_array(found), as_array(points))
    nrrd = renumbered(points, list(range(9)), ".nrrd")
    check_annotation(nrrd, points, TASKS[:2], {}, "l")
    np.testing.assert_array_equal(
        as_array(convert_annotation(nrrd, points, DISCS, {}, tmp_path / "b")), as_array(points)
    )


def test_ignored_voxels_get_the_value_of_the_task(expert: Path, points: Path, tmp_path: Path) -> None:
    other = renumbered(expert, [0, 1, 7])
    names = {1: "anterior", 7: "Ignore"}
    check_annotation(other, expert, TASKS[:2], {"label_info": {name: value for value, name in names.items()}}, "l")
    found = convert_annotation(other, expert, VOLUMES, names, tmp_path / "converted")
    np.testing.assert_array_equal(as_array(found), np.array([0, 1, VOLUMES.ignore_value])[as_array(expert)])
    with refused("'ignore' is not a structure here; expected C1-C2 = 2"):
        check_annotation(points, expert, TASKS[1:2], {"label_info": {"C2-C3": 3, "ignore": 4}}, "l")


def test_fractions_are_refused_and_rounding_errors_are_not(expert: Path, tmp_path: Path) -> None:
    for factor, is_valid in ((0.99999994, True), (0.75, False)):
        file = tmp_path / "float.nii.gz"
        nib.save(nib.Nifti1Image((as_array(expert) * np.float32(factor)).astype(np.float32), AFFINE), file)
        for info in ({}, {"label_info": {"anterior": 1, "posterior": 2}}):
            if is_valid:
                check_annotation(file, expert, TASKS[:2], info, "l")
            else:
                with refused("holds the values 0.75, 1.5, and fractions are no labels; .*resample"):
                    check_annotation(file, expert, TASKS[:2], info, "l")


def test_an_empty_label_map_is_valid(expert: Path, tmp_path: Path) -> None:
    empty = renumbered(expert, [0, 0, 0])
    check_annotation(empty, expert, TASKS[:2], {}, "l")
    check_annotation(empty, expert, TASKS[:2], {"label_info": {"anterior": 1}}, "l")
    assert as_array(convert_annotation(empty, expert, VOLUMES, {1: "anterior"}, tmp_path / "c")).max() == 0


def test_unknown_names_are_refused_with_the_expected_ones(expert: Path) -> None:
    info = {"label_info": [{"name": "head", "idx": 1}, {"name": "posterior", "idx": 2}]}
    with refused(
        "l: label_info names head = 1, posterior = 2, but 'head' is not a structure here; expected anterior = 1"
    ):
        check_annotation(expert, expert, TASKS[:2], info, "l")
    unused = {"label_info": {"anterior": 1, "posterior": 2, "Segment_3": 3}}
    check_annotation(expert, expert, TASKS[:2], unused, "l")


def test_values_without_names_are_refused(expert: Path) -> None:
    with refused("l: label_info names anterior = 1, but the label holds the values 2; send the name of every value"):
        check_annotation(expert, expert, TASKS[:2], {"label_info": {"anterior": 1}}, "l")


def test_values_that_the_model_does_not_know_are_refused(expert: Path) -> None:
    for tasks in (TASKS[:1], TASKS[:2]):
        with refused("l: holds the values 7, .*; expected anterior = 1, posterior = 2"):
            check_annotation(renumbered(expert, [0, 1, 7]), expert, tasks, {}, "l")
    with refused("l: holds the value of disc 1 in .*, which is a mask, not a point; expected C1-C2 = 2"):
        check_annotation(expert, expert, TASKS[1:2], {}, "l")


def test_a_label_is_used_by_the_task_of_its_names(expert: Path, points: Path) -> None:
    assert used(expert, {"label_info": {"C2-C3": 1}}) == ["discs"]
    assert used(points, {"label_info": {"anterior": 1, "C2-C3": 2}}) == ["volumes", "discs"]


def test_a_label_is_used_by_the_task_that_predicted_it(expert: Path) -> None:
    assert used(expert, {"model": "discs"}) == ["discs"]
    assert used(expert, {"model": "unknown"}) == ["volumes"]


def test_points_and_regions_are_used_by_different_tasks(expert: Path, points: Path, tmp_path: Path) -> None:
    assert (used(expert, {}), used(points, {})) == (["volumes"], ["discs"])
    assert used(points, {}, TASKS[:1]) == ["volumes"]
    few = write_nifti(tmp_path / "few.nii.gz", (as_array(points) // 3).astype(np.uint8), affine=AFFINE)
    assert used(few, {}) == ["volumes"]
    (tmp_path / "broken.nii.gz").write_bytes(b"x")
    assert used(tmp_path / "broken.nii.gz", {}) == ["volumes"]


def test_masks_have_gray_levels_or_class_numbers(image_2d: Path, tmp_path: Path) -> None:
    truth = np.eye(4, 6, dtype=np.uint8)
    for levels, value in ((truth * 255, 255), (truth, 1), (truth * 255, 1), (truth * 3, 3)):
        file = mask_of(tmp_path / "m.png", levels)
        check_annotation(file, image_2d, TASKS[2:], {"label_info": {"Lesion": value}}, "l")
        found = convert_annotation(file, image_2d, LESIONS, {value: "Lesion"}, tmp_path / "c")
        np.testing.assert_array_equal(np.asarray(Image.open(found)), truth * 255)
    assert used(file, {"label_info": {"lesion": 3}}, TASKS[2:]) == ["lesions"]
    assert used(file, {}, TASKS[2:]) == ["lesions", "lesion_classes", "cells"]


def segmentation(path: Path, values: np.ndarray, *names: str) -> Path:
    """Write a label map with the names of its segments, as 3D Slicer does; the last segment has the value 1."""
    image = sitk.GetImageFromArray(values)
    for number, name in enumerate(names):
        image.SetMetaData(f"Segment{number}_Name", name)
        image.SetMetaData(f"Segment{number}_LabelValue", str(len(names) - number))
    sitk.WriteImage(image, str(path))
    return path


def test_the_names_in_a_segmentation_of_slicer_are_used(expert: Path, tmp_path: Path) -> None:
    values = np.ones((3, 4, 5), np.uint8)
    file = segmentation(tmp_path / "a.seg.nrrd", values, "anterior", "posterior")
    assert read_names(file, {}, "l") == {1: "posterior", 2: "anterior"}
    assert read_names(file, {"label_info": {"anterior": 1}}, "l") == {1: "anterior"}
    assert used(file, {}) == ["volumes"]
    check_annotation(file, expert, TASKS[:2], {}, "l")
    with refused("l: label_info contains .*; an entry is a name and a value"):
        image = sitk.GetImageFromArray(values)
        image.SetMetaData("Segment0_Name", "anterior")
        sitk.WriteImage(image, str(tmp_path / "b.nrrd"))
        read_names(tmp_path / "b.nrrd", {}, "l")
    (tmp_path / "c.nrrd").write_bytes(b"x")
    assert read_names(tmp_path / "c.nrrd", {}, "l") == {}


def test_segments_of_other_tasks_are_background_in_masks(image_2d: Path, tmp_path: Path) -> None:
    pixels = np.zeros((4, 6), np.uint8)
    pixels[0], pixels[1] = 1, 2
    file = mask_of(tmp_path / "m.png", pixels)
    names = {1: "cell", 2: "lesion", 300: "lesion"}
    found = convert_annotation(file, image_2d, LESIONS, names, tmp_path / "c")
    np.testing.assert_array_equal(np.asarray(Image.open(found)), (pixels == 2) * 255)


def test_the_exif_orientation_of_a_mask_is_kept(image_2d: Path, tmp_path: Path) -> None:
    pixels = np.zeros((4, 6), np.uint8)
    pixels[0] = 2
    file = mask_of(tmp_path / "m.png", pixels, 6)
    found = convert_annotation(file, image_2d, LESIONS, {2: "lesion"}, tmp_path / "c")
    np.testing.assert_array_equal(np.asarray(Image.open(found)), pixels // 2 * 255)
    np.testing.assert_array_equal(read_mask(found).pixels, read_mask(file, [2]).pixels)


def test_masks_with_other_values_are_refused(image_2d: Path, tmp_path: Path) -> None:
    file = mask_of(tmp_path / "m.png", np.eye(4, 6) * 7)
    with refused("l: holds the gray levels 7, .*; expected lesion = 255 .lesions.; cell = 255 .cells."):
        check_annotation(file, image_2d, TASKS[2:], {}, "l")
    with refused("l: label_info names hair = 7, but 'hair' is not a structure here"):
        check_annotation(file, image_2d, TASKS[2:], {"label_info": {"hair": 7}}, "l")
    with refused("but the label holds the values 1; send the name of every value"):
        check_annotation(
            mask_of(tmp_path / "m.png", np.eye(4, 6)), image_2d, TASKS[2:], {"label_info": {"lesion": 2}}, "l"
        )


def test_a_mask_stored_as_a_volume_is_converted(image_2d: Path, tmp_path: Path) -> None:
    pixels = np.eye(4, 6, dtype=np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(pixels[None]), str(tmp_path / "v.nii.gz"))
    for names, level in (({}, 1), ({1: "lesion"}, 255)):
        found = convert_annotation(tmp_path / "v.nii.gz", image_2d, LESIONS, names, tmp_path / "c")
        np.testing.assert_array_equal(np.asarray(Image.open(found)), pixels * level)


def test_without_a_task_for_masks_any_mask_is_stored(image_2d: Path, tmp_path: Path) -> None:
    check_annotation(mask_of(tmp_path / "m.png", np.eye(4, 6) * 7), image_2d, [LESION_CLASSES], {}, "l")
