"""RT Structure Sets hold the contours of every structure, refer to their slices and name the structures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from helpers.dicom_files import LPS, write_series, zipped
from helpers.phantoms import rotation
from test_dicom_seg import GRIDS, NAMES, VOXELS, labels
from test_mask_contours import filled

from bundle.io.dicom import Series, open_series
from bundle.io.rtstruct import write_rtstruct


def rasterized(written: pydicom.Dataset, series: Series, shape: tuple[int, int, int]) -> np.ndarray:
    """Return the label map of the voxels whose centers are within the contours."""
    found = np.zeros(shape, np.int64)
    to_voxels = np.linalg.inv(LPS @ series.affine)
    for item in written.ROIContourSequence:
        for contour in item.get("ContourSequence", []):
            points = np.reshape(contour.ContourData, (-1, 3)).astype(float)
            voxels = (to_voxels @ np.c_[points, np.ones(len(points))].T)[:3].T
            (index,) = np.unique(voxels[:, 2].round(3))
            inside = filled(voxels[:, :2], (shape[1], shape[0])).T
            found[:, :, int(index)][inside] += item.ReferencedROINumber
    return found


@GRIDS
@pytest.mark.parametrize("packed", [False, True])
def test_the_voxels_within_the_contours_are_the_label_map(affine: np.ndarray, packed: bool, tmp_path: Path) -> None:
    folder = write_series(tmp_path / "a", VOXELS, affine)
    series = open_series(zipped(folder, tmp_path / "a.zip") if packed else folder)
    write_rtstruct(labels(), tmp_path / "b.dcm", series, NAMES)
    written = pydicom.dcmread(tmp_path / "b.dcm")
    np.testing.assert_array_equal(rasterized(written, series, VOXELS.shape), labels())


def test_voxels_far_from_the_origin_and_of_any_shape_are_exact(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 4, (13, 17, 3), dtype=np.uint8)
    affine = rotation(7, 31, -12) @ np.diag([0.2, 1.7, 5, 1])
    affine[:3, 3] = -1234.567, 987.6, 1500
    series = open_series(write_series(tmp_path / "a", values.astype(np.int16), affine))
    write_rtstruct(values, tmp_path / "b.dcm", series, {"a": 1, "b": 2, "c": 3})
    found = rasterized(pydicom.dcmread(tmp_path / "b.dcm"), series, values.shape)
    np.testing.assert_array_equal(found, values)


def test_structures_have_names_and_numbers_and_an_empty_one_has_no_contours(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "a", VOXELS)
    write_rtstruct(labels(), tmp_path / "b.dcm", open_series(folder), {**NAMES, "Größe": 4})
    written = pydicom.dcmread(tmp_path / "b.dcm")
    names = {item.ROINumber: item.ROIName for item in written.StructureSetROISequence}
    assert names == {1: "liver", 2: "absent", 3: "spleen", 4: "Größe", 300: "lesion of the liver"}
    contours = {item.ReferencedROINumber: "ContourSequence" in item for item in written.ROIContourSequence}
    assert contours == {1: True, 2: False, 3: True, 4: False, 300: True}
    assert len({tuple(item.ROIDisplayColor) for item in written.ROIContourSequence}) == 5
    assert [item.ReferencedROINumber for item in written.RTROIObservationsSequence] == [1, 2, 3, 4, 300]


def test_every_contour_refers_to_its_slice_and_the_set_to_patient_study_and_series(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "a", VOXELS)
    write_rtstruct(labels(), tmp_path / "b.dcm", open_series(folder), NAMES)
    written = pydicom.dcmread(tmp_path / "b.dcm")
    slices = {item.SOPInstanceUID: item for item in map(pydicom.dcmread, folder.iterdir())}
    source = next(iter(slices.values()))
    for name in ("PatientID", "PatientName", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert written[name] == source[name]
    (study,) = written.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence
    (series,) = study.RTReferencedSeriesSequence
    assert study.ReferencedSOPInstanceUID == source.StudyInstanceUID
    assert series.SeriesInstanceUID == source.SeriesInstanceUID != written.SeriesInstanceUID
    assert {item.ReferencedSOPInstanceUID for item in series.ContourImageSequence} == set(slices)
    for item in written.ROIContourSequence:
        for contour in item.get("ContourSequence", []):
            (image,) = contour.ContourImageSequence
            assert contour.ContourData[2] == slices[image.ReferencedSOPInstanceUID].ImagePositionPatient[2]
            assert contour.NumberOfContourPoints * 3 == len(contour.ContourData)


def test_a_label_map_without_labels_can_be_written(tmp_path: Path) -> None:
    series = open_series(write_series(tmp_path / "a", VOXELS))
    write_rtstruct(np.zeros(VOXELS.shape, np.uint8), tmp_path / "b.dcm", series, NAMES)
    written = pydicom.dcmread(tmp_path / "b.dcm")
    assert not any("ContourSequence" in item for item in written.ROIContourSequence)
