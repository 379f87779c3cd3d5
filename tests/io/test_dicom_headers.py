"""Only images count as a series: reports, contours, doses and indexes neither hide a series nor become one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest
from helpers.dicom_files import change, write_object, write_series, zipped
from helpers.phantoms import noise
from pydicom.fileset import FileSet
from pydicom.uid import ImplicitVRLittleEndian

from bundle.data import DatalistError, list_cases
from bundle.io import LoadVolumed, dicom_headers
from bundle.io import input_checks as checks
from bundle.io.dicom import open_series
from bundle.io.dicom_headers import series_in
from bundle.io.label_maps import save_label_map, source_grid
from bundle.io.volume_files import content_files

VOXELS = noise((5, 7, 6), dtype=np.int16)
FRAMES = {"Rows": 4, "Columns": 4, "NumberOfFrames": 3, "SamplesPerPixel": 1}
PLACED = {"ImagePositionPatient": [0, 0, 0], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [1, 1]}
OTHERS = {
    "dose report": ("1.2.840.10008.5.1.4.1.1.88.67", "SR", {}),
    "contours": ("1.2.840.10008.5.1.4.1.1.481.3", "RTSTRUCT", {}),
    "presentation": ("1.2.840.10008.5.1.4.1.1.11.1", "PR", {}),
    "key images": ("1.2.840.10008.5.1.4.1.1.88.59", "KO", {}),
    "dose": ("1.2.840.10008.5.1.4.1.1.481.2", "RTDOSE", {**FRAMES, **PLACED}),
    "dose of one frame": ("1.2.840.10008.5.1.4.1.1.481.2", "RTDOSE", {**FRAMES, **PLACED, "NumberOfFrames": 1}),
    "segmentation": ("1.2.840.10008.5.1.4.1.1.66.4", "SEG", FRAMES),
    "label map": ("1.2.840.10008.5.1.4.1.1.66.7", "SEG", FRAMES),
    "parametric map": ("1.2.840.10008.5.1.4.1.1.30", "MR", FRAMES),
}
OTHER_IMAGES = {
    "angiography": ("1.2.840.10008.5.1.4.1.1.12.1", "XA", FRAMES),
    "ultrasound": ("1.2.840.10008.5.1.4.1.1.3.1", "US", FRAMES),
    "screens": ("1.2.840.10008.5.1.4.1.1.7.2", "CT", {**FRAMES, **PLACED}),
}


def two_series(folder: Path) -> Path:
    for name in ("a", "b"):
        write_series(folder / name, VOXELS)
    return folder


def loaded(folder: Path) -> list[str]:
    """Return the names of the cases of a folder, each of which can be loaded."""
    cases = list_cases(folder)
    for case in cases:
        assert LoadVolumed("image")({"image": case["image"]})["image"].shape == (1, 5, 7, 6)
    return [case["case"] for case in cases]


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("place", [".", "reports"])
def test_what_is_no_image_neither_hides_series_nor_is_one(kind: str, place: str, tmp_path: Path) -> None:
    sop_class, modality, attributes = OTHERS[kind]
    write_object(two_series(tmp_path) / place / "x.dcm", sop_class, modality, **attributes)
    assert loaded(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("kind", {**OTHERS, **OTHER_IMAGES})
def test_what_is_no_slice_is_left_out_of_the_series_beside_it(kind: str, tmp_path: Path) -> None:
    sop_class, modality, attributes = {**OTHERS, **OTHER_IMAGES}[kind]
    folder = write_series(tmp_path / "a", VOXELS)
    write_object(folder / "x.dcm", sop_class, modality, **attributes)
    series = open_series(folder)
    assert series.shape == VOXELS.shape
    assert len(series.remarks) == bool(attributes)
    assert all(remark.startswith(f"skipped {modality} (1 files), which ") for remark in series.remarks)


def test_a_cd_is_searched_at_any_depth(tmp_path: Path) -> None:
    files = FileSet()
    for path in sorted(two_series(tmp_path / "in").rglob("*.dcm")):
        change(path, StudyID="1", StudyDate="20200101", StudyTime="120000", SeriesNumber=1, InstanceNumber=1)
        files.add(path)
    files.write(tmp_path / "cd")
    files._stage["t"].cleanup()
    assert (tmp_path / "cd" / "DICOMDIR").is_file()
    assert len(loaded(tmp_path / "cd")) == 2
    with pytest.raises(
        checks.SeriesError, match=r"holds no DICOM image, but its folders do: .*; pass one of these fol"
    ):
        open_series(tmp_path / "cd")
    with pytest.raises(checks.UnreadableFileError, match="is a single DICOM file; pass the folder that holds"):
        LoadVolumed("image")({"image": str(tmp_path / "cd" / "DICOMDIR")})


def test_images_of_a_folder_do_not_hide_those_of_its_folders(tmp_path: Path) -> None:
    write_series(write_series(tmp_path / "a", VOXELS) / "old" / "x", VOXELS)
    (tmp_path / "a" / ".hidden").mkdir()
    write_series(tmp_path / "a" / ".hidden" / "y", VOXELS)
    assert series_in(tmp_path) == [tmp_path / "a", tmp_path / "a" / "old" / "x"]


@pytest.mark.parametrize("implicit", [False, True])
def test_every_file_of_a_folder_decides_on_whether_it_is_one_series(implicit: bool, tmp_path: Path) -> None:
    folder = write_series(tmp_path / "a", VOXELS)
    for path in folder.iterdir() if implicit else ():
        item = pydicom.dcmread(path)
        item.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        item.save_as(path, implicit_vr=True, little_endian=True)
    assert series_in(tmp_path) == [folder]
    uid = str(pydicom.dcmread(folder / "IM0000.dcm").SeriesInstanceUID)
    change(folder / "IM0005.dcm", SeriesInstanceUID="1.2.3.4.5")
    assert series_in(tmp_path) == sorted([folder / uid, folder / "1.2.3.4.5"])


def test_a_folder_that_cannot_be_listed_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_series(tmp_path / "a", VOXELS)
    (tmp_path / "b").mkdir()
    scan = os.scandir

    def scandir(path: Path) -> Any:
        if Path(path).name == "b":
            raise PermissionError(path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert series_in(tmp_path) == [tmp_path / "a"]
    assert list(dicom_headers.folders_below(tmp_path / "none")) == []


def test_links_are_followed_once(tmp_path: Path) -> None:
    write_series(tmp_path / "real", VOXELS)
    (tmp_path / "in").mkdir()
    os.symlink(tmp_path / "real", tmp_path / "in" / "a")
    os.symlink(tmp_path / "in", tmp_path / "in" / "loop")
    assert series_in(tmp_path / "in") == [tmp_path / "in" / "a"]


def test_a_folder_without_images_is_an_error_that_names_what_it_holds(tmp_path: Path) -> None:
    sop_class, modality, attributes = OTHERS["dose"]
    write_object(tmp_path / "a" / "x.dcm", sop_class, modality, **attributes)
    with pytest.raises(checks.SeriesError, match=r"holds no DICOM image but RTDOSE \(1 files\)"):
        open_series(tmp_path / "a")
    with pytest.raises(DatalistError, match="and no DICOM series"):
        list_cases(tmp_path)


@pytest.mark.parametrize("kind", OTHER_IMAGES)
def test_an_image_of_several_frames_alone_is_refused_by_its_own_error(kind: str, tmp_path: Path) -> None:
    sop_class, modality, attributes = OTHER_IMAGES[kind]
    write_object(tmp_path / "a" / "x.dcm", sop_class, modality, **attributes)
    (case,) = list_cases(tmp_path)
    with pytest.raises(checks.SeriesError, match=r"its file x\.dcm has several frames without positions"):
        open_series(case["image"])


@pytest.mark.parametrize("length", [140, 142, 200, 400, 600])
def test_a_file_that_is_cut_off_is_left_to_the_loader_to_report(length: int, tmp_path: Path) -> None:
    folder = write_series(tmp_path / "a", VOXELS[..., :1])
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes()[:length])
    assert series_in(tmp_path) == [folder]
    with pytest.raises(checks.UnreadableFileError):
        open_series(folder)


def test_without_pydicom_series_are_listed_and_the_loader_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dicom_headers, "optional_import", lambda name: (None, False))
    assert series_in(two_series(tmp_path)) == [tmp_path / "a", tmp_path / "b"]
    assert pydicom.__version__


def numbered(folder: Path, places: list[float], numbers: list[int | None]) -> Path:
    """Write a series whose slices have these positions and numbers."""
    write_series(folder, noise((5, 7, len(places)), dtype=np.int16), shuffle=False)
    for path, place, number in zip(sorted(folder.iterdir()), places, numbers, strict=True):
        change(path, ImagePositionPatient=[0, 0, place])
        if number is not None:
            change(path, InstanceNumber=number)
    return folder


@pytest.mark.parametrize("numbers", [[1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1], [10, 20, 30, 40, 50, 60]], ids=str)
def test_slices_that_follow_each_other_by_number_are_uneven_not_incomplete(numbers: list[int], tmp_path: Path) -> None:
    folder = numbered(tmp_path / "a", [0, 1, 2, 3, 6, 9], list(numbers))
    with pytest.raises(
        checks.SliceSpacingError, match=r"uneven: .* 3 mm apart, others 1 mm; pass the slices of one sp"
    ):
        open_series(folder)


@pytest.mark.parametrize(
    "numbers", [[1, 2, 3, 4, 7, 10], [None] * 6, [1, 1, 1, 1, 1, 1], [1, 2, 3, None, 5, 6]], ids=str
)
def test_slices_whose_numbers_have_a_gap_or_tell_nothing_are_missing(numbers: list, tmp_path: Path) -> None:
    folder = numbered(tmp_path / "a", [0, 1, 2, 3, 6, 9], numbers)
    with pytest.raises(checks.SliceSpacingError, match="about 2 slices are missing"):
        open_series(folder)


def flat(folder: Path) -> dict[int, Path]:
    """Write two series of other sizes, and a scout without positions, into one folder; return the series by size."""
    uids = {}
    folder.mkdir()
    for name, count in (("a", 6), ("b", 4), ("scout", 1)):
        place = {"ImagePositionPatient": None} if name == "scout" else {}
        written = write_series(folder.parent / ".parts" / name, VOXELS[..., :count], **place)
        for file in sorted(written.iterdir()):
            uids[count] = str(pydicom.dcmread(file).SeriesInstanceUID)
            file.rename(folder / f"{name}_{file.name}")
    return {count: folder / uid for count, uid in uids.items()}


def test_series_in_one_folder_are_separate(tmp_path: Path) -> None:
    places = flat(tmp_path / "in")
    (tmp_path / "in" / "damaged.dcm").write_bytes(bytes(128) + b"DICM")
    assert series_in(tmp_path) == sorted([places[6], places[4]])
    (tmp_path / "in" / "damaged.dcm").unlink()
    for count in (4, 6):
        image = LoadVolumed("image")({"image": str(places[count])})["image"]
        assert image.shape[-1] == count
        assert image.meta["filename_or_obj"] == str(places[count])
        assert image.meta["identifiers"]["SeriesInstanceUID"] == places[count].name
    assert [case["case"] for case in list_cases(tmp_path / "in")] == sorted(places[count].name for count in (4, 6))


def test_a_series_in_an_archive_is_chosen_by_its_uid(tmp_path: Path) -> None:
    places = flat(tmp_path / "in")
    zipped(tmp_path / "in", tmp_path / "in.zip")
    with pytest.raises(checks.SeriesError, match=r"holds 2 series: .*by its UID, as .*in\.zip/[\d.]+\.$"):
        open_series(tmp_path / "in.zip")
    assert open_series(tmp_path / "in.zip" / places[4].name).shape[2] == 4
    assert LoadVolumed("image")({"image": f"{tmp_path}/in.zip/{places[4].name}"})["image"].shape[-1] == 4
    assert content_files(tmp_path / "in.zip" / places[4].name) == [tmp_path / "in.zip"]
    assert len(content_files(places[4])) == 11
    with pytest.raises(checks.SeriesError, match="holds no DICOM image"):
        open_series(tmp_path / "in.zip" / "1.2.3.4")


def test_a_label_map_is_on_the_grid_of_its_series(tmp_path: Path) -> None:
    places = flat(tmp_path / "in")
    shape, affine = source_grid(places[4])
    labels = np.ones(shape, np.uint8)
    save_label_map(labels, tmp_path / "x.nii.gz", source=places[4], affine=affine)
    assert nib.Nifti1Image.from_filename(tmp_path / "x.nii.gz").shape == (*VOXELS.shape[:2], 4)
    save_label_map(labels, tmp_path / "x.dcm", source=places[4], affine=affine, label_names={"a": 1})
    references = pydicom.dcmread(tmp_path / "x.dcm").ReferencedSeriesSequence
    assert [item.SeriesInstanceUID for item in references] == [places[4].name]
