"""Label maps are read from DICOM objects as they were written, on the grid of their image, whatever its format."""

from __future__ import annotations

from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from helpers.dicom_files import change, write_object, write_series
from helpers.phantoms import write_nifti
from test_dicom_seg import GRIDS, NAMES, VOXELS, labels

from bundle.io import LoadVolumed, dicom_seg
from bundle.io import input_checks as checks
from bundle.io.dicom import open_series
from bundle.io.dicom_references import source_headers
from bundle.io.label_maps import save_label_map
from bundle.io.output_formats import DICOM_PACKAGES

FORMATS = pytest.mark.parametrize("output_format", DICOM_PACKAGES)


def write(folder: Path, output_format: str, affine: np.ndarray | None = None, values: np.ndarray | None = None) -> Path:
    """Write a label map of a series in ``folder / "a"``."""
    source = write_series(folder / "a", VOXELS, affine)
    values, affine = labels() if values is None else values, open_series(source).affine
    options = {"source": source, "affine": affine, "label_names": NAMES, "dicom_format": output_format}
    save_label_map(values, folder / "b.dcm", **options)
    return folder / "b.dcm"


def load(image: Path, label: Path, **options: object) -> np.ndarray:
    data = LoadVolumed(["image", "label"], **options)({"image": image, "label": str(label)})
    np.testing.assert_array_equal(data["label"].affine, data["image"].affine)
    return data["label"].numpy()[0]


@FORMATS
@GRIDS
def test_what_was_written_is_read(affine: np.ndarray, output_format: str, tmp_path: Path) -> None:
    label = write(tmp_path, output_format, affine)
    np.testing.assert_array_equal(load(tmp_path / "a", label, classes=[*NAMES.values()]), labels())


def test_a_label_map_in_jpeg_ls_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(dicom_seg.TRANSFER_SYNTAX, "LABELMAP", "1.2.840.10008.1.2.4.80")
    label = write(tmp_path, "dicom_seg_labelmap")
    assert pydicom.dcmread(label).file_meta.TransferSyntaxUID.name.startswith("JPEG-LS Lossless")
    np.testing.assert_array_equal(load(tmp_path / "a", label), labels())


@FORMATS
def test_an_empty_label_map_is_read(output_format: str, tmp_path: Path) -> None:
    label = write(tmp_path, output_format, values=np.zeros(VOXELS.shape, np.uint8))
    assert not load(tmp_path / "a", label).any()


@FORMATS
def test_the_image_may_have_another_format_and_orientation(output_format: str, tmp_path: Path) -> None:
    label = write(tmp_path, output_format)
    affine = open_series(tmp_path / "a").affine
    turn = np.array([[0, 0, -1, VOXELS.shape[0] - 1], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    image = write_nifti(tmp_path / "c.nii.gz", VOXELS.transpose(1, 2, 0)[..., ::-1], affine @ turn)
    np.testing.assert_array_equal(load(image, label), labels().transpose(1, 2, 0)[..., ::-1])


@FORMATS
def test_a_label_is_read_alone_where_the_data_name_its_image(output_format: str, tmp_path: Path) -> None:
    label = write(tmp_path, output_format)
    loaded = LoadVolumed("label")({"image": [str(tmp_path / "a")], "label": label})["label"]
    np.testing.assert_array_equal(loaded[0].numpy(), labels())
    with pytest.raises(checks.UnreadableFileError, match="which needs the grid of its image; name its image too"):
        LoadVolumed("label")({"label": label})


@FORMATS
def test_values_may_be_assigned_to_classes(output_format: str, tmp_path: Path) -> None:
    label = write(tmp_path, output_format)
    table = {"liver": [1, 300], "spleen": [3]}
    found = load(tmp_path / "a", label, classes={"liver": 1, "spleen": 2}, label_values=table)
    np.testing.assert_array_equal(found, np.select([labels() == 3, labels() > 0], [2, 1]))


def segmentation(folder: Path, mask: np.ndarray, **options: object) -> Path:
    """Write a SEG object of another program."""
    series = open_series(write_series(folder / "a", VOXELS))
    codes, uid = highdicom.sr.CodedConcept, highdicom.UID
    description = {
        "segmented_property_category": codes("123037004", "SCT", "Anatomical Structure"),
        "segmented_property_type": codes("10200004", "SCT", "Liver"),
        "algorithm_type": "MANUAL",
    }
    count = mask.shape[3] if mask.ndim == 4 else 1
    written = highdicom.seg.Segmentation(
        source_images=source_headers(series),
        pixel_array=mask,
        segment_descriptions=[
            highdicom.seg.SegmentDescription(segment_number=number + 1, segment_label=f"{number}", **description)
            for number in range(count)
        ],
        **{"series_instance_uid": uid(), "series_number": 1, "sop_instance_uid": uid(), "instance_number": 1},
        **{"manufacturer": "m", "manufacturer_model_name": "m", "software_versions": "1", "device_serial_number": "0"},
        **options,
    )
    written.save_as(folder / "b.dcm")
    return folder / "b.dcm"


@pytest.mark.parametrize("slices", [1, 6])
def test_segments_of_other_programs_have_their_number(slices: int, tmp_path: Path) -> None:
    mask = np.zeros((6, 10, 8, 2), np.uint8)
    mask[:slices, 2:4, 1, 1] = 1
    found = load(tmp_path / "a", segmentation(tmp_path, mask, segmentation_type="BINARY"))
    np.testing.assert_array_equal(found, 2 * mask[..., 1].T)


def test_segments_that_overlap_are_refused(tmp_path: Path) -> None:
    label = segmentation(tmp_path, np.ones((6, 10, 8, 2), np.uint8), segmentation_type="BINARY")
    with pytest.raises(checks.LabelValuesError, match=f"{label}: has voxels that belong to two structures"):
        load(tmp_path / "a", label)


def test_fractions_are_refused(tmp_path: Path) -> None:
    label = segmentation(tmp_path, np.full((6, 10, 8), 0.5), segmentation_type="FRACTIONAL")
    with pytest.raises(checks.LabelValuesError, match="is of type FRACTIONAL; save it as type BINARY"):
        load(tmp_path / "a", label)


@FORMATS
@pytest.mark.parametrize(
    ("shift", "words"), [((0, 0, 0.3), "does not lie in the voxels"), ((0, 0, 4), "has labels outside its image")]
)
def test_labels_of_another_image_are_refused(
    shift: tuple[float, ...], words: str, output_format: str, tmp_path: Path
) -> None:
    label = write(tmp_path, output_format)
    moved = open_series(tmp_path / "a").affine.copy()
    moved[:3, 3] += shift
    with pytest.raises(checks.GridMismatchError, match=words):
        load(write_nifti(tmp_path / "c.nii.gz", VOXELS, moved), label)


def test_only_closed_contours_are_labels_and_one_within_another_is_a_hole(tmp_path: Path) -> None:
    label = write(tmp_path, "rtstruct")
    item = pydicom.dcmread(label)
    structure = next(part for part in item.ROIContourSequence if part.ReferencedROINumber == 3)
    outer, hole, point = (pydicom.Dataset() for _ in range(3))
    for contour, kind, (low, high) in (
        *((outer, "CLOSED_PLANAR", (0.5, -4.5)), (hole, "CLOSEDPLANAR_XOR", (-0.5, -2.5))),
        (point, "POINT", (-7.2, -7.2)),
    ):
        contour.ContourGeometricType = kind
        contour.ContourData = [low, low, 0, low, high, 0, high, high, 0, high, low, 0]
    structure.ContourSequence = [outer, hole, point]
    change(label, ROIContourSequence=[structure])
    found = load(tmp_path / "a", label)
    expected = np.zeros(VOXELS.shape)
    expected[:5, :5, 0] = 3
    expected[1:3, 1:3, 0] = 0
    np.testing.assert_array_equal(found, expected)


def test_open_contours_are_refused(tmp_path: Path) -> None:
    label = write(tmp_path, "rtstruct")
    item = pydicom.dcmread(label)
    item.ROIContourSequence[0].ContourSequence[0].ContourGeometricType = "OPEN_PLANAR"
    change(label, ROIContourSequence=item.ROIContourSequence)
    with pytest.raises(checks.LabelValuesError, match="has a structure with an open contour; close its contours"):
        load(tmp_path / "a", label)


def test_a_dicom_file_of_another_kind_is_no_label(tmp_path: Path) -> None:
    write(tmp_path, "dicom_seg")
    dose = write_object(tmp_path / "c.dcm", "1.2.840.10008.5.1.4.1.1.481.2", "RTDOSE")
    with pytest.raises(checks.UnreadableFileError, match=r"c\.dcm: is neither a DICOM SEG nor an RTSTRUCT"):
        load(tmp_path / "a", dose)
    for name, content in (("missing.dcm", None), ("text.dcm", b"text" * 100)):
        if content:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(checks.UnreadableFileError, match=name):
            load(tmp_path / "a", tmp_path / name)
