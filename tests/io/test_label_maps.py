"""Label maps lie on the grid of their input in every format, whatever format the input has."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK
from helpers.dicom_files import write_series
from helpers.phantoms import ball, noise, rotation, write_nifti
from test_dicom import itk_affine
from test_itk import write

from bundle.io import input_checks as checks
from bundle.io.dicom import open_series
from bundle.io.label_maps import save_label_map
from bundle.io.output_formats import DICOM_PACKAGES, ENDINGS, OutputFormatError

AFFINE = rotation(20, -10, 35) @ np.diag([0.8, 1.2, 2.5, 1])
AFFINE[:3, 3] = 11, -7, 5
SHAPE = (6, 7, 8)
LABELS = ball(SHAPE, 2.5)


def source(kind: str, folder: Path) -> tuple[Path, np.ndarray]:
    """Return a volume of a kind and its affine."""
    if kind == "nifti":
        return write_nifti(folder / "a.nii.gz", noise(SHAPE), AFFINE), AFFINE
    if kind == "itk":
        return write(folder / "a.nrrd", noise(SHAPE), AFFINE), AFFINE
    path = write_series(folder / "a", noise(SHAPE, dtype=np.int16), AFFINE)
    return path, open_series(path).affine


@pytest.mark.parametrize("kind", ["nifti", "itk", "dicom"])
@pytest.mark.parametrize("output_format", ["nii.gz", "nrrd", "mha"])
def test_the_label_map_lies_on_the_grid_of_its_input(kind: str, output_format: str, tmp_path: Path) -> None:
    path, affine = source(kind, tmp_path)
    target = tmp_path / f"b{ENDINGS[output_format]}"
    spacing = save_label_map(LABELS, target, source=path, affine=affine)
    np.testing.assert_allclose(spacing, (0.8, 1.2, 2.5), atol=1e-6)
    image = SimpleITK.ReadImage(str(target))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0), LABELS)
    np.testing.assert_allclose(itk_affine(image), affine, atol=1e-5)
    assert image.GetPixelID() == SimpleITK.sitkUInt8
    if output_format == "nii.gz":
        written = nib.load(target)
        np.testing.assert_allclose(written.affine, affine, atol=1e-5)
        np.testing.assert_allclose(written.header.get_qform(), affine, atol=1e-5)


@pytest.mark.parametrize("dicom_format", DICOM_PACKAGES)
@pytest.mark.parametrize("kind", ["nifti", "itk"])
def test_dicom_objects_of_other_input_are_refused_and_nothing_is_written(
    kind: str, dicom_format: str, tmp_path: Path
) -> None:
    path, affine = source(kind, tmp_path)
    with pytest.raises(OutputFormatError, match=f"is not a DICOM series, which output_format {dicom_format} needs"):
        save_label_map(LABELS, tmp_path / "b.dcm", source=path, affine=affine, dicom_format=dicom_format)
    assert not list(tmp_path.glob("*b.dcm"))


@pytest.mark.parametrize(
    ("options", "written"),
    [
        ({}, "BINARY"),
        ({"dicom_format": "dicom_seg"}, "BINARY"),
        ({"dicom_format": "dicom_seg_labelmap"}, "LABELMAP"),
        ({"dicom_format": "rtstruct"}, "RTSTRUCT"),
    ],
)
def test_dicom_objects_of_a_series_are_written(options: dict, written: str, tmp_path: Path) -> None:
    path, affine = source("dicom", tmp_path)
    names = {"lower": 1, "upper": 2}
    save_label_map(LABELS, tmp_path / "b.dcm", source=path, affine=affine, label_names=names, **options)
    item = pydicom.dcmread(tmp_path / "b.dcm")
    assert item.get("SegmentationType", item.Modality) == written


def test_values_without_a_name_are_written_by_number(tmp_path: Path) -> None:
    path, affine = source("dicom", tmp_path)
    labels = LABELS.astype(np.uint16)
    labels[0, 0, 0] = 400
    save_label_map(labels, tmp_path / "b.dcm", source=path, affine=affine, label_names={"lower": 1})
    names = [item.SegmentLabel for item in pydicom.dcmread(tmp_path / "b.dcm").SegmentSequence]
    assert names == ["lower", *(f"label {value}" for value in np.unique(labels) if value > 1)]


@pytest.mark.parametrize("kind", ["nifti", "itk", "dicom"])
@pytest.mark.parametrize("fault", ["shape", "place"])
def test_a_label_map_on_another_grid_is_refused(kind: str, fault: str, tmp_path: Path) -> None:
    path, affine = source(kind, tmp_path)
    moved = affine.copy()
    moved[0, 3] += 1
    labels, grid = (LABELS[1:], affine) if fault == "shape" else (LABELS, moved)
    with pytest.raises(checks.GridMismatchError, match="is not on the grid of its input"):
        save_label_map(labels, tmp_path / "b.nrrd", source=path, affine=grid)
