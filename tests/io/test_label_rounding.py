"""Labels that are off integers by the scaling or the precision of their file are rounded; fractions are not."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers.phantoms import write_nifti

from bundle.io import LoadVolumed
from bundle.io.input_checks import LabelValuesError
from bundle.io.label_rounding import describe_values, round_labels

CLASSES = {"a": 1, "b": 2}


def scaled(file: Path, labels: np.ndarray, dtype: type = np.int16) -> Path:
    """Write floating-point labels under an integer header, which scales them."""
    header = nib.Nifti1Header()
    header.set_data_dtype(dtype)
    nib.save(nib.Nifti1Image(labels.astype(float), np.eye(4), header), file)
    return file


def labels() -> np.ndarray:
    values = np.zeros((12, 12, 12))
    values[2:5], values[6:9] = 1, 2
    return values


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.int32])
@pytest.mark.parametrize("table", [None, {"a": [1], "b": [2]}])
def test_labels_that_a_scaling_moved_are_read(
    dtype: type, table: dict | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = scaled(tmp_path / "label.nii.gz", labels(), dtype)
    stored = np.asarray(nib.load(file).dataobj)
    loaded = LoadVolumed("label", classes=CLASSES, label_values=table)({"label": str(file)})["label"]
    np.testing.assert_array_equal(loaded[0].numpy(), labels())
    assert ("rounded label values" in caplog.text) == bool((stored.astype(np.float32) != labels()).any())


@pytest.mark.parametrize("factor", [0.99999994, 1.0000002, 0.999995])
def test_labels_within_single_precision_are_read(factor: float, tmp_path: Path) -> None:
    file = write_nifti(tmp_path / "label.nii.gz", (labels() * np.float32(factor)).astype(np.float32))
    loaded = LoadVolumed("label", classes=CLASSES)({"label": str(file)})["label"]
    np.testing.assert_array_equal(loaded[0].numpy(), labels())
    assert loaded.meta["remarks"].startswith("rounded label values that were up to")


@pytest.mark.parametrize("factor", [0.5, 0.999, 1.0004])
@pytest.mark.parametrize("table", [None, {"a": [1], "b": [2]}])
def test_fractions_are_refused_as_such_with_enough_digits(factor: float, table: dict | None, tmp_path: Path) -> None:
    file = write_nifti(tmp_path / "label.nii.gz", (labels() * np.float32(factor)).astype(np.float32))
    words = rf"holds the values {factor}.*, and fractions are no labels; take the label from before it was resampled"
    with pytest.raises(LabelValuesError, match=words):
        LoadVolumed("label", classes=CLASSES, label_values=table)({"label": str(file)})


def test_a_scaling_explains_no_fraction_of_another_size(tmp_path: Path) -> None:
    """A map of probabilities is stored with a scaling as well."""
    file = scaled(tmp_path / "map.nii.gz", np.linspace(0, 1, 12**3).reshape(12, 12, 12), np.uint8)
    with pytest.raises(LabelValuesError, match="fractions are no labels"):
        LoadVolumed("label", classes=CLASSES)({"label": str(file)})


def test_a_scaling_by_a_whole_step_or_more_explains_nothing(tmp_path: Path) -> None:
    image = nib.Nifti1Image(labels().astype(np.int16), np.eye(4))
    image.header.set_slope_inter(1.5, 0)
    nib.save(image, tmp_path / "label.nii.gz")
    values = torch.tensor([0.0, 1.5, 3.0])
    assert round_labels(tmp_path / "label.nii.gz", values) == (values, "")


def test_labels_of_other_formats_have_no_scaling() -> None:
    rounded, remark = round_labels("label.nrrd", torch.tensor([1.000001, 1.001]))
    assert rounded.tolist() == pytest.approx([1.0, 1.001])
    assert remark


def test_values_are_shown_with_the_digits_that_tell_them_from_integers() -> None:
    assert describe_values(torch.tensor([0.99999994, 3.0, 3.0])) == ("0.99999994, 3", True)
    assert describe_values(torch.arange(10.0)) == ("0, 1, 2, 3, 4, 5, 6, 7, ...", False)
