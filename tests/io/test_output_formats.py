"""An input whose result cannot be written in an output format is refused, with a remedy, before its voxels are read."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from helpers.dicom_files import change, write_series, zipped
from helpers.phantoms import noise, write_nifti
from test_itk import write

from bundle.io import LoadVolumed, load_volume, output_formats
from bundle.io.dicom import open_series
from bundle.io.input_checks import BadInputError, SliceSpacingError
from bundle.io.output_formats import DICOM_PACKAGES, ENDINGS, OutputFormatError

VOXELS = noise((5, 7, 6), dtype=np.int16)
DICOM = pytest.mark.parametrize("output_format", DICOM_PACKAGES)


@pytest.fixture(autouse=True)
def reading(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Return the counted reader of voxels."""
    counted = Mock(side_effect=load_volume._read)
    monkeypatch.setattr(load_volume, "_read", counted)
    return counted


def load(image: Path | list[Path], output_format: str | None) -> None:
    LoadVolumed("image", output_format=output_format)({"image": image})


@pytest.mark.parametrize("output_format", [None, *ENDINGS])
@pytest.mark.parametrize("packed", [False, True])
def test_a_series_can_be_written_in_every_format(output_format: str | None, packed: bool, tmp_path: Path) -> None:
    folder = write_series(tmp_path / "a", VOXELS)
    load(zipped(folder, tmp_path / "a.zip") if packed else folder, output_format)


@DICOM
@pytest.mark.parametrize("kind", ["NIfTI", "NRRD"])
def test_other_volumes_cannot_become_dicom_objects(
    output_format: str, kind: str, tmp_path: Path, reading: Mock
) -> None:
    path = write_nifti(tmp_path / "a.nii", VOXELS) if kind == "NIfTI" else write(tmp_path / "a.nrrd", VOXELS)
    load(path, "nrrd")
    reading.reset_mock()
    with pytest.raises(
        OutputFormatError,
        match=rf"{path}: is not a DICOM series, which output_format {output_format} needs; pass --output_format "
        r"nii\.gz, nrrd or mha, or the DICOM series",
    ):
        load(path, output_format)
    reading.assert_not_called()


@DICOM
@pytest.mark.parametrize("spread", ["all", "one"])
@pytest.mark.parametrize("tag", ["FrameOfReferenceUID", "StudyInstanceUID", "SOPClassUID", "SOPInstanceUID"])
def test_slices_without_what_the_object_refers_to_are_refused(
    tag: str, spread: str, output_format: str, tmp_path: Path, reading: Mock
) -> None:
    folder = write_series(tmp_path / "a", VOXELS)
    for file in sorted(folder.iterdir())[: None if spread == "all" else 1]:
        change(file, **{tag: None})
    load(folder, "nii.gz")
    reading.reset_mock()
    with pytest.raises(
        OutputFormatError,
        match=f"its slices have no {tag}, so that output_format {output_format} cannot refer to them; export the "
        r"original series from the archive, or pass --output_format nii.gz, nrrd or mha",
    ):
        load(folder, output_format)
    reading.assert_not_called()


@pytest.mark.parametrize("tag", ["FrameOfReferenceUID", "StudyInstanceUID"])
def test_slices_of_two_frames_or_studies_are_refused(tag: str, tmp_path: Path) -> None:
    folder = write_series(tmp_path / "a", VOXELS)
    change(folder / "IM0002.dcm", **{tag: "1.2.3"})
    with pytest.raises(OutputFormatError, match=f"its slices differ in {tag}, so that"):
        load(folder, "dicom_seg")


def test_all_reasons_are_named(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "a", VOXELS, SOPInstanceUID="1.2.3", FrameOfReferenceUID=None)
    with pytest.raises(OutputFormatError, match="slices have no FrameOfReferenceUID and share a SOPInstanceUID, so"):
        load(folder, "rtstruct")


@DICOM
def test_slices_whose_spacing_changes_are_refused_before_their_voxels_are_read(
    output_format: str, tmp_path: Path, reading: Mock
) -> None:
    folder = write_series(tmp_path / "a", VOXELS, shuffle=False)
    for index, file in enumerate(sorted(folder.iterdir())):
        change(file, ImagePositionPatient=[0, 0, index if index < 4 else 2 * index - 3], InstanceNumber=index + 1)
    with pytest.raises(SliceSpacingError, match=r"slices are uneven.* resample the series to even slices"):
        load(folder, output_format)
    reading.assert_not_called()


def test_the_first_channel_is_the_series_that_the_result_refers_to(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "a", VOXELS)
    other = write_nifti(tmp_path / "b.nii", VOXELS, open_series(folder).affine)
    load([folder, other], "dicom_seg")
    with pytest.raises(OutputFormatError, match=r"b.nii: is not a DICOM series"):
        load([other, folder], "dicom_seg")


def test_a_label_need_not_fit_the_format(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "a", VOXELS)
    label = write_nifti(tmp_path / "b.nii", VOXELS, open_series(folder).affine)
    loaded = LoadVolumed(["image", "label"], output_format="dicom_seg")({"image": folder, "label": label})
    assert loaded["label"].shape == (1, *VOXELS.shape)


@DICOM
def test_a_package_that_is_missing_is_named(
    output_format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reading: Mock
) -> None:
    folder = write_series(tmp_path / "a", VOXELS)
    monkeypatch.setattr(output_formats, "optional_import", lambda name: (None, False))
    with pytest.raises(
        BadInputError, match=rf"needs the package {DICOM_PACKAGES[output_format]}, which is not install"
    ):
        load(folder, output_format)
    reading.assert_not_called()
    load(folder, "nii.gz")
