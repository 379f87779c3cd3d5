"""DICOM SEG objects of both types hold the labels, where they belong, and name what they mean."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK
from helpers.dicom_files import LPS, write_series, zipped
from helpers.phantoms import noise, rotation
from test_dicom import itk_affine

from bundle import __version__
from bundle.io.dicom import open_series
from bundle.io.dicom_seg import write_dicom_seg

VOXELS = noise((8, 10, 6), dtype=np.int16)
NAMES = {"spleen": 3, "liver": 1, "lesion of the liver": 300, "absent": 2}
OBLIQUE = rotation(20, -10, 35) @ np.diag([0.8, 1.2, 2.5, 1])
TYPES = pytest.mark.parametrize("segmentation_type", ["BINARY", "LABELMAP"])
GRIDS = pytest.mark.parametrize(
    "affine",
    [np.eye(4), LPS @ np.diag([0.7, 0.7, 3, 1]), np.diag([1, 1, -2, 1.0]), OBLIQUE],
    ids=["up", "axial", "down", "oblique"],
)
DCMQI = shutil.which("segimage2itkimage")


def labels(dtype: type = np.uint16) -> np.ndarray:
    """Return labels with three structures, nested and touching, and an empty slice at either end."""
    values = np.zeros(VOXELS.shape, dtype)
    values[1:5, 2:7, 1:4], values[5:, 3:5, 2:5] = 1, 3
    values[2:4, 3:5, 2] = 300 if dtype != np.uint8 else 2
    return values


def place(array: np.ndarray, affine: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Return the voxels of an array, on affine ``affine`` to LPS+, on a grid in RAS+ of the shape of the series."""
    index = np.argwhere(array)
    found = (np.linalg.inv(LPS @ grid) @ affine @ np.c_[index, np.ones(len(index))].T)[:3].T
    np.testing.assert_allclose(found, found.round(), atol=1e-3)
    placed = np.zeros(VOXELS.shape, np.int64)
    placed[tuple(found.round().astype(int).T)] = array[tuple(index.T)]
    return placed


def values_by_segment(written: pydicom.Dataset) -> dict[int, int]:
    """Return the values of label_names by the number of the segment."""
    return {
        item.SegmentNumber: int(item.SegmentedPropertyTypeCodeSequence[0].CodeValue)
        for item in written.SegmentSequence
        if item.SegmentedPropertyTypeCodeSequence[0].CodingSchemeDesignator == "99KEYSLICE"
    }


@TYPES
@GRIDS
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_volume_of_the_object_is_the_label_map_on_the_grid_of_the_series(
    affine: np.ndarray, segmentation_type: str, dtype: type, tmp_path: Path
) -> None:
    series = open_series(write_series(tmp_path / "a", VOXELS, affine, SliceThickness=5))
    write_dicom_seg(labels(dtype), tmp_path / "a.dcm", series, NAMES, segmentation_type=segmentation_type)
    written = highdicom.seg.segread(tmp_path / "a.dcm")
    volume = written.get_volume(combine_segments=True)
    table = np.zeros(301, np.int64)
    for number, value in values_by_segment(written).items():
        table[number] = value
    np.testing.assert_array_equal(place(table[volume.array], volume.affine, series.affine), labels(dtype))


@pytest.mark.skipif(DCMQI is None, reason="dcmqi is not installed")
@TYPES
@GRIDS
def test_dcmqi_reads_the_labels_where_they_belong(affine: np.ndarray, segmentation_type: str, tmp_path: Path) -> None:
    series = open_series(write_series(tmp_path / "a", VOXELS, affine))
    write_dicom_seg(labels(), tmp_path / "a.dcm", series, NAMES, segmentation_type=segmentation_type)
    subprocess.run(
        [str(DCMQI), "--inputDICOM", tmp_path / "a.dcm", "--outputDirectory", tmp_path, "--outputType", "nrrd"],
        check=True,
        capture_output=True,
    )
    found = np.zeros(VOXELS.shape, np.int64)
    for file in tmp_path.glob("*.nrrd"):
        image = SimpleITK.ReadImage(os.fspath(file))
        array = SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0)
        found += place(array, LPS @ itk_affine(image), series.affine)
    content = json.loads((tmp_path / "meta.json").read_text())
    segments = [item for group in content["segmentAttributes"] for item in group]
    table = np.zeros(301, np.int64)
    for segment in segments:
        table[segment["labelID"]] = int(segment["SegmentedPropertyTypeCodeSequence"]["CodeValue"])
    np.testing.assert_array_equal(table[found], labels())


def test_binary_is_the_default_and_its_segments_are_numbered_without_gaps(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "a", VOXELS)
    write_dicom_seg(labels(), tmp_path / "a.dcm", open_series(folder), NAMES)
    written = highdicom.seg.segread(tmp_path / "a.dcm")
    source = pydicom.dcmread(next(folder.iterdir()))
    assert written.SegmentationType == "BINARY"
    assert written.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
    assert values_by_segment(written) == {1: 1, 2: 2, 3: 3, 4: 300}
    assert [item.SegmentLabel for item in written.SegmentSequence] == [
        *("liver", "absent", "spleen", "lesion of the liver")
    ]
    assert written.PatientID == source.PatientID
    assert written.StudyInstanceUID == source.StudyInstanceUID
    assert written.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert written.SeriesInstanceUID != source.SeriesInstanceUID
    assert written.SoftwareVersions == __version__
    assert int(written.NumberOfFrames) == 3 + 3 + 1


def test_segments_of_a_label_map_have_the_values_as_numbers(tmp_path: Path) -> None:
    series = open_series(write_series(tmp_path / "a", VOXELS))
    write_dicom_seg(labels(), tmp_path / "a.dcm", series, NAMES, segmentation_type="LABELMAP")
    written = highdicom.seg.segread(tmp_path / "a.dcm")
    assert written.SegmentationType == "LABELMAP"
    assert written.file_meta.TransferSyntaxUID == pydicom.uid.RLELossless
    assert {item.SegmentLabel: item.SegmentNumber for item in written.SegmentSequence if item.SegmentNumber} == NAMES
    assert int(written.NumberOfFrames) == 4


def test_simpleitk_reads_the_frames_of_the_default(tmp_path: Path) -> None:
    series = open_series(write_series(tmp_path / "a", VOXELS))
    write_dicom_seg(labels(), tmp_path / "a.dcm", series, NAMES)
    frames = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "a.dcm")))
    assert frames.shape == (7, 10, 8)
    assert np.count_nonzero(frames) == np.count_nonzero(labels())


@TYPES
def test_a_series_without_name_and_date_and_packed_can_be_segmented(segmentation_type: str, tmp_path: Path) -> None:
    archive = zipped(write_series(tmp_path / "a", VOXELS, PatientID=None, PatientName=None), tmp_path / "a.zip")
    series = open_series(archive)
    write_dicom_seg(labels(), tmp_path / "a.dcm", series, NAMES, segmentation_type=segmentation_type)
    assert highdicom.seg.segread(tmp_path / "a.dcm").PatientName == ""


@TYPES
def test_a_label_map_without_labels_can_be_written(segmentation_type: str, tmp_path: Path) -> None:
    series = open_series(write_series(tmp_path / "a", VOXELS))
    empty = np.zeros(VOXELS.shape, np.uint8)
    write_dicom_seg(empty, tmp_path / "a.dcm", series, NAMES, segmentation_type=segmentation_type)
    assert not highdicom.seg.segread(tmp_path / "a.dcm").pixel_array.any()


def test_more_than_16_bits_are_refused(tmp_path: Path) -> None:
    series = open_series(write_series(tmp_path / "a", VOXELS))
    with pytest.raises(ValueError, match="label_names must have values up to 65535 for DICOM SEG, got 70000"):
        write_dicom_seg(labels(np.uint32), tmp_path / "a.dcm", series, {"spleen": 70000})
