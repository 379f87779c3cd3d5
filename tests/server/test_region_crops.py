"""Labeled heads as crops of their regions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from heads import AFFINE, CENTERS, VALUES, head_labels, region_task, write_head, write_head_label
from helpers.phantoms import write_nifti

from bundle.io import BadInputError
from bundle.server.final_labels import convert_cases, select_validation_cases
from bundle.server.label_tasks import TASKS, LabelTask
from bundle.server.labeled_case import LabeledCase
from bundle.server.region_crops import cut_regions
from bundle.utils.errors import FileError


@pytest.fixture
def case(tmp_path: Path) -> LabeledCase:
    """A labeled head."""
    return LabeledCase("head", write_head(tmp_path / "images"), write_head_label(tmp_path / "final"))


@pytest.fixture
def task(tmp_path: Path) -> LabelTask:
    return region_task(tmp_path / "root")


def with_label(case: LabeledCase, labels: np.ndarray) -> LabeledCase:
    return replace(case, label=write_nifti(case.label, labels.astype(np.uint16), AFFINE))


def test_every_region_of_a_head_becomes_a_crop(case: LabeledCase, task: LabelTask, tmp_path: Path) -> None:
    crops = cut_regions(case, task, tmp_path / "crops")
    assert [crop.name for crop in crops] == ["head", "head"]
    assert [crop.image.name for crop in crops] == ["head_left.nii.gz", "head_right.nii.gz"]
    whole, reference = nib.Nifti1Image.from_filename(case.image).get_fdata(), head_labels()
    for crop, region in zip(crops, CENTERS, strict=True):
        image, label = (nib.Nifti1Image.from_filename(file) for file in (crop.image, crop.label))
        assert image.shape == label.shape == (39, 55, 39)
        assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
        center = label.affine @ [19, 27, 19, 1]
        assert center[:3] == pytest.approx(CENTERS[region], abs=1)
        values = label.get_fdata()
        for value, original in zip((1, 2), VALUES[region], strict=True):
            assert (values == value).sum() == (reference == original).sum() > 0
        corner = np.linalg.solve(AFFINE, image.affine @ [0, 0, 0, 1])[:3].round().astype(int)
        assert image.get_fdata()[0, 0, 0] == whole[tuple(corner)]


def test_a_region_that_is_not_labeled_is_not_cut(case: LabeledCase, task: LabelTask, tmp_path: Path) -> None:
    case = with_label(case, head_labels("right"))
    assert [crop.image.name for crop in cut_regions(case, task, tmp_path)] == ["head_right.nii.gz"]


def test_unlabeled_voxels_stay_unlabeled(case: LabeledCase, task: LabelTask, tmp_path: Path) -> None:
    labels = head_labels().astype(np.uint16)
    labels[labels == 12] = task.ignore_value or 0
    left = cut_regions(with_label(case, labels), task, tmp_path)[0]
    assert set(np.unique(nib.Nifti1Image.from_filename(left.label).get_fdata())) == {0, 1, task.ignore_value}


def test_a_crop_is_used_as_it_is(case: LabeledCase, task: LabelTask, tmp_path: Path) -> None:
    box = (slice(60, 100), slice(25, 75), slice(15, 55))
    crop = LabeledCase(
        "crop",
        write_nifti(tmp_path / "crop.nii.gz", nib.Nifti1Image.from_filename(case.image).get_fdata()[box]),
        write_nifti(tmp_path / "label.nii.gz", head_labels("left")[box] % 10),
    )
    assert cut_regions(crop, task, tmp_path) == [crop]


@pytest.mark.parametrize(
    ("regions", "message"),
    [
        ((), "and its image is not the crop of one; label"),
        (("right",), "and regions: right; label"),
    ],
)
def test_values_of_a_crop_do_not_fit_a_head(
    case: LabeledCase, task: LabelTask, tmp_path: Path, regions: tuple[str, ...], message: str
) -> None:
    labels = head_labels("left") % 10
    labels += head_labels(*regions) if regions else 0
    with pytest.raises(FileError, match=rf"contains anterior, posterior of no region, {message}"):
        cut_regions(with_label(case, labels), task, tmp_path)


def test_weights_that_know_no_regions_may_be_trained_on_complete_images(case: LabeledCase, tmp_path: Path) -> None:
    task = region_task(tmp_path / "root")
    task.shipped_weights.with_name("model_plausibility.json").unlink()
    whole = with_label(case, head_labels("left") % 10)
    assert cut_regions(whole, task, tmp_path) == [whole]


def test_an_image_on_another_grid_is_an_error(case: LabeledCase, task: LabelTask, tmp_path: Path) -> None:
    write_nifti(case.label, head_labels(), np.eye(4))
    with pytest.raises(BadInputError):
        cut_regions(case, task, tmp_path)


def test_other_tasks_and_labels_have_no_regions(case: LabeledCase, task: LabelTask, tmp_path: Path) -> None:
    assert cut_regions(case, TASKS[1], tmp_path) == [case]
    markups = replace(case, label=tmp_path / "head.mrk.json")
    assert cut_regions(markups, task, tmp_path) == [markups]


def test_named_values_are_converted_before(case: LabeledCase, task: LabelTask, tmp_path: Path) -> None:
    labels = head_labels()
    swapped = np.select([labels == 11, labels == 12, labels == 21], [5, 6, 7]).astype(np.uint8)
    names = {5: "Left anterior", 6: "left_posterior", 7: "right_anterior"}
    crops, problems = convert_cases([replace(with_label(case, swapped), names=names)], task, tmp_path / "converted")
    assert problems == []
    found = [set(np.unique(nib.Nifti1Image.from_filename(crop.label).get_fdata())) for crop in crops]
    assert found == [{0, 1, 2}, {0, 1}]


def test_the_regions_of_an_image_are_held_out_together() -> None:
    cases = [
        LabeledCase(f"a{index}", Path(f"a{index}_{side}.nii.gz"), Path("x")) for index in range(6) for side in "lr"
    ]
    held_out = select_validation_cases(cases, 0.34)
    assert len(held_out) == 4
    assert len({case.name for case in held_out}) == 2
