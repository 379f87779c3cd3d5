"""DICOM SEG objects of the label map type hold the labels, where they belong, and say what they mean."""

from __future__ import annotations

from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from helpers.dicom_files import LPS, write_series, zipped
from helpers.phantoms import noise, rotation

from bundle import __version__
from bundle.io.dicom import open_series
from bundle.io.dicom_seg import write_dicom_seg

VOXELS = noise((8, 10, 6), dtype=np.int16)
NAMES = {"spleen": 3, "liver": 1}
OBLIQUE = rotation(20, -10, 35) @ np.diag([0.8, 1.2, 2.5, 1])


def labels(dtype: type = np.uint8) -> np.ndarray:
    """Return labels with two structures and an empty slice at either end."""
    values = np.zeros(VOXELS.shape, dtype)
    values[1:4, 2:7, 1:4], values[5:, 3:5, 2:5] = 1, 3
    return values


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    "affine", [np.eye(4), LPS @ np.diag([0.7, 0.7, 3, 1]), OBLIQUE], ids=["up", "axial", "oblique"]
)
def test_the_volume_of_the_object_is_the_label_map_on_the_grid_of_the_series(
    affine: np.ndarray, dtype: type, tmp_path: Path
) -> None:
    series = open_series(write_series(tmp_path / "a", VOXELS, affine, SliceThickness=5))
    write_dicom_seg(labels(dtype), tmp_path / "a.dcm", series, NAMES)
    volume = highdicom.seg.segread(tmp_path / "a.dcm").get_volume(combine_segments=True)
    ours = np.linalg.inv(LPS @ series.affine) @ volume.affine
    index = np.stack([*np.indices(volume.shape[:3]).reshape(3, -1), np.ones(volume.array.size)])
    place = (ours @ index)[:3]
    np.testing.assert_allclose(place, place.round(), atol=1e-3)
    expected = np.zeros(VOXELS.shape, dtype)
    expected[tuple(place.round().astype(int))] = volume.array.ravel()
    np.testing.assert_array_equal(expected, labels())


def test_values_have_names_and_the_patient_is_kept(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "a", VOXELS)
    write_dicom_seg(labels(), tmp_path / "a.dcm", open_series(folder), NAMES)
    written = highdicom.seg.segread(tmp_path / "a.dcm")
    source = pydicom.dcmread(next(folder.iterdir()))
    assert written.SegmentationType == "LABELMAP"
    assert {item.SegmentLabel: item.SegmentNumber for item in written.SegmentSequence if item.SegmentNumber} == NAMES
    assert written.PatientID == source.PatientID
    assert written.StudyInstanceUID == source.StudyInstanceUID
    assert written.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert written.SeriesInstanceUID != source.SeriesInstanceUID
    assert written.SoftwareVersions == __version__
    assert int(written.NumberOfFrames) == 4


def test_a_series_without_name_and_date_and_packed_can_be_segmented(tmp_path: Path) -> None:
    archive = zipped(write_series(tmp_path / "a", VOXELS, PatientID=None, PatientName=None), tmp_path / "a.zip")
    write_dicom_seg(labels(), tmp_path / "a.dcm", open_series(archive), NAMES)
    assert highdicom.seg.segread(tmp_path / "a.dcm").PatientName == ""


def test_a_label_map_without_labels_can_be_written(tmp_path: Path) -> None:
    series = open_series(write_series(tmp_path / "a", VOXELS))
    write_dicom_seg(np.zeros(VOXELS.shape, np.uint8), tmp_path / "a.dcm", series, NAMES)
    assert not highdicom.seg.segread(tmp_path / "a.dcm").pixel_array.any()


def test_more_than_16_bits_are_refused(tmp_path: Path) -> None:
    series = open_series(write_series(tmp_path / "a", VOXELS))
    with pytest.raises(ValueError, match="label_names must have values up to 65535 for DICOM SEG, got 70000"):
        write_dicom_seg(labels(np.uint32), tmp_path / "a.dcm", series, {"spleen": 70000})
