"""A DICOM series, in a folder or an archive, is read on its own grid, or refused with a reason."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from helpers.dicom_files import LPS, change, write_series, zipped
from helpers.phantoms import noise, rotation

from bundle.io import LoadVolumed, itk
from bundle.io import input_checks as checks
from bundle.io.dicom import open_series, read_series

VOXELS = noise((5, 7, 6), dtype=np.int16)
OBLIQUE = rotation(20, -10, 35) @ np.diag([0.8, 1.2, 2.5, 1])
OBLIQUE[:3, 3] = 11, -7, 5
FLIPPED = np.diag([-0.7, -0.7, -3.0, 1])
FLIPPED[:3, 3] = 40, 30, -20
SAGITTAL = np.array([[0, 0, 2.0, 3], [0.5, 0, 0, 1], [0, -0.5, 0, 9], [0, 0, 0, 1]])
GRIDS = {
    "upright": np.eye(4),
    "axial": LPS @ np.diag([0.7, 0.7, 3, 1]),
    "sagittal": SAGITTAL,
    "flipped": FLIPPED,
    "oblique": OBLIQUE,
}


def itk_affine(image: SimpleITK.Image) -> np.ndarray:
    """Return the affine in RAS+ of an image of SimpleITK, point by point as SimpleITK computes it."""
    points = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    world = np.array([image.TransformIndexToPhysicalPoint(point) for point in points])
    affine = np.eye(4)
    affine[:3, 3] = world[0]
    affine[:3, :3] = (world[1:] - world[0]).T
    return LPS @ affine


@pytest.mark.parametrize("name", GRIDS)
def test_every_voxel_lies_where_it_was_written(name: str, tmp_path: Path) -> None:
    affine = GRIDS[name]
    folder = write_series(tmp_path / "a", VOXELS, affine)
    image = LoadVolumed("image")({"image": str(folder)})["image"]
    assert tuple(image.shape) == (1, 5, 7, 6)
    to_ours = np.linalg.inv(np.asarray(image.affine)) @ affine
    index = np.stack([*np.indices(VOXELS.shape).reshape(3, -1), np.ones(VOXELS.size)])
    moved = (to_ours @ index)[:3]
    np.testing.assert_allclose(moved, moved.round(), atol=1e-4)
    found = image.numpy()[(0, *moved.round().astype(int))].reshape(VOXELS.shape)
    np.testing.assert_array_equal(found, VOXELS)
    np.testing.assert_array_equal(image.meta["spatial_shape"], VOXELS.shape)
    np.testing.assert_allclose(image.meta["original_affine"], image.affine)


@pytest.mark.parametrize("name", GRIDS)
def test_grid_and_voxels_are_those_of_simpleitk(name: str, tmp_path: Path) -> None:
    folder = write_series(tmp_path / "a", VOXELS, GRIDS[name], slope=2, intercept=-1000)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    theirs = reader.Execute()
    ours = read_series(open_series(folder))
    np.testing.assert_allclose(np.asarray(ours.affine), itk_affine(theirs), atol=1e-4)
    np.testing.assert_array_equal(ours.numpy()[0], SimpleITK.GetArrayFromImage(theirs).transpose(2, 1, 0))
    assert ours.min() < -500


def test_an_archive_is_read_as_its_folder_is(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "a", VOXELS, OBLIQUE)
    archive = zipped(folder, tmp_path / "a.zip")
    ours, theirs = read_series(open_series(archive)), read_series(open_series(folder))
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    np.testing.assert_array_equal(np.asarray(ours.affine), np.asarray(theirs.affine))
    assert ours.meta["filename_or_obj"] == str(archive)


def test_names_without_ending_and_files_that_are_no_dicom_do_not_matter(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "a", VOXELS, ending="")
    (folder / "notes.txt").write_text("by the scanner")
    (folder / ".hidden.dcm").write_text("of macOS")
    (folder / "thumbnails").mkdir()
    assert open_series(folder).shape == VOXELS.shape


def test_a_second_series_without_positions_is_skipped_and_reported(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "a", VOXELS)
    scout = write_series(
        tmp_path / "b", VOXELS[..., :1], SeriesDescription=None, ImagePositionPatient=None, Modality="SC"
    )
    (scout / "IM0000.dcm").rename(folder / "scout.dcm")
    image = LoadVolumed("image")({"image": str(folder)})["image"]
    assert image.meta["remarks"] == "skipped SC (1 files), which has no position"


def frames(folder: Path, **attributes: str) -> Path:
    """Put a file of several frames, whose places stand in the functional groups, beside the slices of a series."""
    other = write_series(
        folder.with_name("b"), VOXELS[..., :1], NumberOfFrames=3, ImagePositionPatient=None, **attributes
    )
    return (other / "IM0000.dcm").rename(folder / "frames.dcm")


@pytest.mark.parametrize("alone", [True, False])
def test_a_file_of_several_frames_of_ct_is_refused_or_a_second_series(alone: bool, tmp_path: Path) -> None:
    folder = write_series(tmp_path / "a", VOXELS)
    slices = list(folder.iterdir())
    frames(folder)
    for path in slices if alone else []:
        path.unlink()
    words = (
        r"its file frames\.dcm has several frames without positions"
        if alone
        else r"holds 2 series: thorax \(1 files\), thorax \(6 files\)"
    )
    with pytest.raises(checks.SeriesError, match=words):
        open_series(folder)


def test_a_segmentation_in_the_folder_of_a_series_is_skipped(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "a", VOXELS)
    frames(folder, Modality="SEG", SeriesDescription="organs")
    assert open_series(folder).remarks == (
        "skipped organs (1 files), which is not an image but derived from images (SEG)",
    )


def files(folder: Path) -> list[Path]:
    """Return the slices in the order of their positions."""
    return sorted(folder.iterdir(), key=lambda path: float(pydicom.dcmread(path).ImagePositionPatient[2]))


def second_series(folder: Path) -> None:
    write_series(folder / "x", VOXELS, SeriesDescription="abdomen")
    for path in (folder / "x").iterdir():
        path.rename(folder / f"b{path.name}")
    (folder / "x").rmdir()


def repeated(folder: Path) -> None:
    for path in files(folder):
        (folder / f"again{path.name}").write_bytes(path.read_bytes())


def cut(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def shifted(folder: Path) -> None:
    for path, place in zip(files(folder), (0, 1, 2.2, 3.2, 4.1, 5), strict=True):
        change(path, ImagePositionPatient=[0, 0, place])


def tilted(folder: Path) -> None:
    for number, path in enumerate(files(folder)):
        change(path, ImagePositionPatient=[0, 0.3 * number, number])


BAD: dict[str, tuple[Callable[[Path], object], type, str]] = {
    "a slice is missing": (lambda f: files(f)[2].unlink(), checks.SliceSpacingError, "about 1 slices are missing betw"),
    "slices are missing": (
        lambda f: [path.unlink() for path in files(f)[2:4]],
        checks.SliceSpacingError,
        "about 2 slices are missing between (study/)?IM",
    ),
    "uneven": (shifted, checks.SliceSpacingError, "its slices are uneven: (study/)?IM"),
    "tilted": (tilted, checks.AffineError, "sheared affine"),
    "two series": (second_series, checks.SeriesError, r"holds 2 series: abdomen \(6 files\), thorax \(6 files\)"),
    "two time points": (repeated, checks.SeriesError, "lie at the same place"),
    "nothing": (lambda f: [path.unlink() for path in files(f)], checks.SeriesError, "holds no DICOM image"),
    "one slice": (lambda f: [path.unlink() for path in files(f)[1:]], checks.DimensionError, r"shape \(5, 7, 1\)"),
    "no position": (
        lambda f: [change(path, ImagePositionPatient=None) for path in f.iterdir()],
        checks.MissingGeometryError,
        "without ImagePositionPatient",
    ),
    "a slice without position": (
        lambda f: change(files(f)[1], ImagePositionPatient=None),
        checks.MissingGeometryError,
        "has no ImagePositionPatient",
    ),
    "no voxel size": (
        lambda f: change(files(f)[1], PixelSpacing=None),
        checks.MissingGeometryError,
        "has no PixelSpacing",
    ),
    "another orientation": (
        lambda f: change(files(f)[1], ImageOrientationPatient=[1, 0, 0, 0, 0, 1]),
        checks.SeriesError,
        "differ in ImageOrientationPatient",
    ),
    "another size": (lambda f: change(files(f)[1], Rows=6), checks.SeriesError, "differ in Rows and Columns"),
    "frames": (lambda f: change(files(f)[1], NumberOfFrames=3), checks.SeriesError, "has several frames"),
    "frames of a segmentation": (
        lambda f: change(files(f)[1], NumberOfFrames=3, Modality="SEG"),
        checks.SeriesError,
        "has several frames",
    ),
    "color": (lambda f: change(files(f)[1], SamplesPerPixel=3), checks.VoxelTypeError, "has color voxels"),
    "large voxels": (
        lambda f: [change(path, PixelSpacing=[9, 9]) for path in f.iterdir()],
        checks.SpacingError,
        "9 x 9 x 1 mm",
    ),
    "cut voxels": (lambda f: cut(files(f)[3], 0.98), checks.UnreadableFileError, "voxels cannot be read"),
    "cut header": (lambda f: cut(files(f)[3], 0.1), checks.UnreadableFileError, "its file (study/)?IM"),
    "empty slice": (lambda f: cut(files(f)[3], 0), checks.UnreadableFileError, "is no DICOM file"),
}


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "archive"])
@pytest.mark.parametrize("fault", BAD)
def test_a_bad_series_is_refused_under_its_own_name(fault: str, packed: bool, tmp_path: Path) -> None:
    spoil, error, words = BAD[fault]
    source = write_series(tmp_path / "a", VOXELS)
    spoil(source)
    source = zipped(source, tmp_path / "a.zip") if packed else source
    with pytest.raises(error, match=words) as caught:
        LoadVolumed("image")({"image": str(source)})
    assert type(caught.value) is error
    assert caught.value.file == str(source)


@pytest.mark.parametrize("fault", ["cut", "text", "locked", "damaged"])
def test_an_archive_that_cannot_be_unpacked_is_refused(fault: str, tmp_path: Path) -> None:
    archive = zipped(write_series(tmp_path / "a", VOXELS), tmp_path / "a.zip")
    content = bytearray(archive.read_bytes())
    if fault == "cut":
        content = content[:-100]
    elif fault == "text":
        content = bytearray(b"no archive")
    elif fault == "locked":
        for mark, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
            start = -1
            while (start := content.find(mark, start + 1)) >= 0:
                content[start + offset] |= 1
    else:
        with zipfile.ZipFile(archive) as opened:
            start = opened.getinfo("study/IM0002.dcm").header_offset
        content[start + 60 : start + 160] = b"\xff" * 100
    archive.write_bytes(bytes(content))
    with pytest.raises(checks.UnreadableFileError) as caught:
        LoadVolumed("image")({"image": str(archive)})
    assert caught.value.file == str(archive)


@pytest.mark.parametrize("name", ["missing.zip", "empty.zip"])
def test_an_archive_that_is_missing_or_empty_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty.zip").touch()
    with pytest.raises(checks.UnreadableFileError, match=r"does not exist|is empty"):
        open_series(tmp_path / name)


def test_two_slices_make_a_volume(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "a", VOXELS[..., :2], OBLIQUE)
    assert open_series(folder).shape == (5, 7, 2)


@pytest.mark.parametrize("package", ["pydicom", "SimpleITK"])
def test_without_its_packages_the_error_names_what_to_install(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_series(tmp_path / "a", VOXELS)
    found = itk.optional_import
    monkeypatch.setattr(itk, "optional_import", lambda name: (None, False) if name == package else found(name))
    with pytest.raises(checks.UnreadableFileError, match=f"{folder}: needs the package {package}, which is not instal"):
        LoadVolumed("image")({"image": str(folder)})
