"""LoadVolumed loads what is usable as it is and refuses the rest."""

from __future__ import annotations

import logging
from pathlib import Path
from unittest.mock import Mock

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers.phantoms import ball, noise, rotation, write_nifti
from monai.data import MetaTensor

from bundle.io import LoadVolumed
from bundle.io import input_checks as checks
from bundle.io.load_volume import _read

OBLIQUE = rotation(20, -10, 35) @ np.diag([0.8, 1.2, 2.5, 1])


def load(image: Path, label: Path | None = None, **options: object) -> dict[str, MetaTensor]:
    case = {"image": str(image)} | ({"label": str(label)} if label else {})
    return LoadVolumed(["image", "label"], allow_missing_keys=True, **options)(case)


@pytest.mark.parametrize(
    ("voxels", "options"),
    [
        (noise(), {}),
        (noise(dtype=np.float64), {}),
        (noise(dtype=np.uint8), {}),
        (noise(dtype=np.int16), {"big_endian": True}),
        (noise(), {"image": nib.Nifti2Image}),
        (noise(), {"sform_code": 0}),
        (noise(), {"qform_code": 0}),
    ],
    ids=["float32", "float64", "uint8", "big-endian", "NIfTI-2", "qform alone", "sform alone"],
)
def test_voxels_and_affine_are_those_of_the_file(voxels: np.ndarray, options: dict, tmp_path: Path) -> None:
    image = load(write_nifti(tmp_path / "a.nii.gz", voxels, OBLIQUE, **options))["image"]
    assert image.dtype == torch.float32
    assert image.shape == (1, *voxels.shape)
    np.testing.assert_array_equal(image[0].numpy(), voxels.astype(np.float32))
    np.testing.assert_allclose(image.affine.numpy(), OBLIQUE, atol=1e-5)
    assert image.meta["remarks"] == ""


def test_the_sform_holds_where_its_voxel_size_differs_by_rounding(tmp_path: Path) -> None:
    """MONAI 1.6.1 sets the sform of such a file to its qform."""
    image = nib.Nifti1Image(np.zeros((20, 20, 20), np.float32), None)
    turn = np.array([[np.cos(0.07), 0, -np.sin(0.07)], [0, 1, 0], [np.sin(0.07), 0, np.cos(0.07)]])
    affine = np.eye(4)
    affine[:3, :3] = turn
    image.set_qform(affine, code=1)
    affine[:3, 2] *= 1 - 1e-4
    image.header.set_sform(affine, code=1)
    nib.save(image, tmp_path / "scan.nii.gz")
    loaded = LoadVolumed("image")({"image": str(tmp_path / "scan.nii.gz")})["image"]
    assert np.allclose(loaded.affine, nib.load(tmp_path / "scan.nii.gz").affine, atol=1e-9)
    assert np.allclose(loaded.meta["original_affine"], loaded.affine)


def test_slope_and_intercept_of_the_header_are_applied(tmp_path: Path) -> None:
    stored = noise(dtype=np.int16)
    path = write_nifti(tmp_path / "a.nii.gz", stored, header={"scl_slope": 0.5, "scl_inter": -20})
    np.testing.assert_array_equal(load(path)["image"][0].numpy(), stored * 0.5 - 20)


@pytest.mark.parametrize("axes", [1, 2])
def test_a_fourth_axis_of_size_one_is_dropped_and_this_is_said(
    axes: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    voxels = noise()
    dim = [3 + axes, *voxels.shape, 1, 1, 1, 1]
    path = write_nifti(tmp_path / "a.nii.gz", voxels, header={"dim": dim})
    image = load(path)["image"]
    np.testing.assert_array_equal(image[0].numpy(), voxels)
    assert "dropped the axes of size 1" in image.meta["remarks"]
    assert str(path) in caplog.text
    assert "dropped the axes of size 1" in caplog.text


def test_a_constant_image_is_loaded_with_a_remark(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image = load(write_nifti(tmp_path / "a.nii.gz", np.ones((4, 4, 4), np.float32)))["image"]
    assert image.meta["remarks"] == "all voxels have the same value"
    assert "all voxels have the same value" in caplog.text


def test_an_empty_label_needs_no_remark(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    label = write_nifti(tmp_path / "b.nii.gz", np.zeros((6, 7, 8), np.uint8))
    load(write_nifti(tmp_path / "a.nii.gz", noise()), label, classes={"tumor": 1})
    assert caplog.text == ""


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_voxel_that_is_not_finite_is_refused(value: float, tmp_path: Path) -> None:
    voxels = noise()
    voxels[1, 2, 3] = value
    path = write_nifti(tmp_path / "a.nii.gz", voxels)
    with pytest.raises(checks.NonFiniteVoxelsError, match="1 of 336 voxels") as caught:
        load(path)
    assert caught.value.file == str(path)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("share", [0.5, 0.98])
def test_a_truncated_file_is_refused_under_its_own_name(suffix: str, share: float, tmp_path: Path) -> None:
    image = write_nifti(tmp_path / "a.nii.gz", noise((20, 20, 20)))
    label = write_nifti(tmp_path / f"b{suffix}", noise((20, 20, 20), dtype=np.uint8))
    content = label.read_bytes()
    label.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(checks.UnreadableFileError, match="cut off") as caught:
        load(image, label)
    assert caught.value.file == str(label)


@pytest.mark.parametrize("error", [MemoryError(), checks.DimensionError("a", "has 4 axes", "split it")], ids=repr)
def test_memory_that_runs_out_is_no_fault_of_the_file(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        _read("a", Mock(side_effect=error))
    assert caught.value is error


def test_an_error_without_text_is_reported_by_its_type() -> None:
    with pytest.raises(checks.UnreadableFileError, match=r"cannot be read \(EOFError\)"):
        _read("a", Mock(side_effect=EOFError()))


def test_a_fault_of_the_header_is_found_before_any_voxel_is_read(tmp_path: Path) -> None:
    good = write_nifti(tmp_path / "a.nii.gz", np.full((4, 4, 4), np.nan, np.float32))
    with pytest.raises(checks.UnreadableFileError, match="does not exist") as caught:
        load(good, tmp_path / "missing.nii.gz")
    assert caught.value.file == str(tmp_path / "missing.nii.gz")


def test_a_label_on_the_image_s_grid_with_known_classes_passes(tmp_path: Path) -> None:
    image = write_nifti(tmp_path / "a.nii.gz", noise((12, 12, 12)), OBLIQUE)
    label = write_nifti(tmp_path / "b.nii.gz", ball(), OBLIQUE)
    for classes in ({"upper": 1, "lower": 2}, [1, 2], None):
        loaded = load(image, label, classes=classes)["label"]
        np.testing.assert_array_equal(loaded[0].numpy(), ball())


@pytest.mark.parametrize(
    ("label", "affine", "error", "words"),
    [
        (ball((12, 12, 13)), np.eye(4), checks.GridMismatchError, "shape"),
        (ball(), [[1, 0, 0, 50], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], checks.GridMismatchError, "50 voxels off"),
        (ball() * 3, np.eye(4), checks.LabelValuesError, "values 3, 6"),
        (ball() * np.float32(0.5), np.eye(4), checks.LabelValuesError, "values 0.5"),
        (np.where(ball() > 0, np.nan, 0).astype(np.float32), np.eye(4), checks.NonFiniteVoxelsError, "NaN"),
    ],
    ids=["another shape", "50 mm off", "unknown classes", "values between classes", "NaN"],
)
def test_a_label_that_does_not_fit_is_refused(
    label: np.ndarray, affine: np.ndarray, error: type, words: str, tmp_path: Path
) -> None:
    image = write_nifti(tmp_path / "a.nii.gz", noise((12, 12, 12)))
    path = write_nifti(tmp_path / "b.nii.gz", label, affine)
    with pytest.raises(error, match=words) as caught:
        load(image, path, classes={"upper": 1, "lower": 2})
    assert caught.value.file == str(path)


def test_a_label_can_be_loaded_alone(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "b.nii.gz", ball())
    loaded = LoadVolumed("label", classes=[1, 2])({"label": str(path)})
    assert loaded["label"].shape == (1, 12, 12, 12)


def test_a_missing_key_is_an_error_unless_it_may_be_missing(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", noise())
    with pytest.raises(KeyError, match="label"):
        LoadVolumed(["image", "label"])({"image": str(path)})


def channel_files(folder: Path, count: int = 3, affine: np.ndarray = OBLIQUE) -> list[str]:
    return [str(write_nifti(folder / f"a_{number}.nii.gz", noise(seed=number), affine)) for number in range(count)]


def test_files_of_a_list_are_channels_of_one_image(tmp_path: Path) -> None:
    files = channel_files(tmp_path)
    label = write_nifti(tmp_path / "b.nii.gz", np.ones((6, 7, 8), np.uint8), OBLIQUE)
    for channels in (None, 3, ["flair", "t1", "t2"]):
        loaded = LoadVolumed(["image", "label"], channels=channels)({"image": files, "label": str(label)})
        assert loaded["image"].shape == (3, 6, 7, 8)
        np.testing.assert_array_equal(loaded["image"].numpy(), np.stack([noise(seed=number) for number in range(3)]))
        np.testing.assert_allclose(loaded["image"].affine.numpy(), OBLIQUE, atol=1e-5)
        assert loaded["image"].meta["filename_or_obj"] == files[0]


def test_remarks_on_a_channel_name_its_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = [*channel_files(tmp_path, 1), str(write_nifti(tmp_path / "c.nii.gz", np.ones((6, 7, 8)), OBLIQUE))]
    image = LoadVolumed("image")({"image": files})["image"]
    assert image.meta["remarks"] == "c.nii.gz: all voxels have the same value"
    assert f"{files[1]}: all voxels have the same value" in caplog.text


@pytest.mark.parametrize("fault", ["place", "shape"])
def test_channels_on_different_grids_are_refused_by_both_names(fault: str, tmp_path: Path) -> None:
    files = channel_files(tmp_path, 2)
    moved = OBLIQUE + np.outer([0, 0, 1, 0], [0, 0, 0, 30]) if fault == "place" else OBLIQUE
    write_nifti(files[1], noise((6, 7, 9) if fault == "shape" else (6, 7, 8)), moved)
    with pytest.raises(checks.GridMismatchError, match="resample all channels to one grid") as caught:
        LoadVolumed("image")({"image": files})
    assert caught.value.file == files[1]
    assert files[0] in str(caught.value)


def test_a_fault_of_one_channel_names_its_file(tmp_path: Path) -> None:
    files = channel_files(tmp_path, 2)
    write_nifti(files[1], np.full((6, 7, 8), np.nan, np.float32), OBLIQUE)
    with pytest.raises(checks.NonFiniteVoxelsError) as caught:
        LoadVolumed("image")({"image": files})
    assert caught.value.file == files[1]


@pytest.mark.parametrize(
    ("count", "channels", "words"),
    [
        (2, ["flair", "t1", "t2"], r"2; 3 are expected \(flair, t1, t2\)"),
        (1, 4, "1; 4 are expected;"),
        (2, 1, "2; 1 are"),
    ],
)
def test_another_number_of_channels_is_refused(count: int, channels: object, words: str, tmp_path: Path) -> None:
    with pytest.raises(checks.ChannelsError, match=words):
        LoadVolumed("image", channels=channels)({"image": channel_files(tmp_path, count)})


def test_a_fourth_axis_holds_the_channels_where_several_are_expected(tmp_path: Path) -> None:
    """So hands the Decathlon out its brain tumors and prostates."""
    voxels = noise((6, 7, 8, 2))
    path = str(write_nifti(tmp_path / "a.nii.gz", voxels, OBLIQUE))
    image = LoadVolumed("image", channels=["T2", "ADC"])({"image": path})["image"]
    np.testing.assert_array_equal(image.numpy(), np.moveaxis(voxels, 3, 0))
    np.testing.assert_allclose(image.affine.numpy(), OBLIQUE, atol=1e-5)
    with pytest.raises(checks.ChannelsError, match="2; 4 are expected"):
        LoadVolumed("image", channels=4)({"image": path})
    for channels in (None, 1):
        with pytest.raises(checks.DimensionError, match="has 4 axes"):
            LoadVolumed("image", channels=channels)({"image": path})
    with pytest.raises(checks.DimensionError, match="has 4 axes"):
        LoadVolumed("label", channels=2)({"label": path})


def test_values_of_a_label_map_become_the_classes_of_a_table(tmp_path: Path) -> None:
    image = write_nifti(tmp_path / "a.nii.gz", noise((12, 12, 12)))
    label = write_nifti(tmp_path / "b.nii.gz", ball() * 4)
    options = {"classes": {"upper": 1, "lower": 2}, "label_values": {"lower": [4], "upper": ["8-9"]}}
    loaded = load(image, label, **options)["label"]
    np.testing.assert_array_equal(loaded[0].numpy(), np.array([0, 2, 1])[ball()])
    write_nifti(tmp_path / "b.nii.gz", ball() * 5)
    with pytest.raises(
        checks.LabelValuesError, match="holds the values 5, 10, which label_values give to no"
    ) as caught:
        load(image, label, **options)
    assert caught.value.file == str(label)


@pytest.mark.parametrize(
    "options",
    [
        {"classes": {"upper": 1}, "ignore_label": 2},
        {"classes": {"upper": 1, "ignore": 2}},
        {"ignore_label": 2},
        {"classes": {"upper": 1}, "label_values": {"upper": [1], "ignore": [2]}},
        {"classes": {"upper": 1}, "label_values": {"upper": [1]}, "ignore_label": 2},
        {"label_values": {"background": "others", "ignore": [2], "upper": [1]}},
    ],
)
def test_voxels_to_ignore_become_minus_one(options: dict, tmp_path: Path) -> None:
    image = write_nifti(tmp_path / "a.nii.gz", noise((12, 12, 12)))
    label = write_nifti(tmp_path / "b.nii.gz", ball())
    loaded = load(image, label, **options)["label"]
    np.testing.assert_array_equal(loaded[0].numpy(), np.where(ball() == 2, -1.0, ball()))


def test_the_value_to_ignore_is_the_highest() -> None:
    with pytest.raises(ValueError, match="'ignore' must have the highest value"):
        LoadVolumed("label", classes={"upper": 2, "ignore": 1})
