"""NRRD and MetaImage are read and written on the grid that SimpleITK sees, or refused with a reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from helpers.phantoms import ball, noise, orientation_affine, orientations, rotation
from test_dicom import itk_affine

from bundle.io import LoadVolumed, itk
from bundle.io import input_checks as checks
from bundle.io.itk import itk_grid, last_line, write_itk

OBLIQUE = rotation(20, -10, 35) @ np.diag([0.8, 1.2, 2.5, 1])
OBLIQUE[:3, 3] = 11, -7, 5
GRIDS = [OBLIQUE, *(orientation_affine(code, (0.5, 1, 2)) for code in orientations()[::6])]
ENDINGS = [".nrrd", ".nhdr", ".mha", ".mhd"]


def write(path: Path, voxels: np.ndarray, affine: np.ndarray | None = None) -> Path:
    """Write with SimpleITK, point by point from the affine in RAS+."""
    image = SimpleITK.GetImageFromArray(voxels.transpose(2, 1, 0))
    matrix = np.diag([-1, -1, 1, 1]) @ (np.eye(4) if affine is None else affine)
    spacing = np.sqrt((matrix[:3, :3] ** 2).sum(0))
    image.SetSpacing(spacing.tolist())
    image.SetDirection((matrix[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(matrix[:3, 3].tolist())
    SimpleITK.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("grid", range(len(GRIDS)))
def test_voxels_and_affine_are_those_of_simpleitk(grid: int, ending: str, tmp_path: Path) -> None:
    voxels = noise((4, 5, 6))
    path = write(tmp_path / f"a{ending}", voxels, GRIDS[grid])
    image = LoadVolumed("image")({"image": str(path)})["image"]
    np.testing.assert_array_equal(image.numpy()[0], voxels)
    np.testing.assert_allclose(np.asarray(image.affine), itk_affine(SimpleITK.ReadImage(str(path))), atol=1e-6)
    np.testing.assert_allclose(np.asarray(image.affine), GRIDS[grid], atol=1e-5)
    assert image.meta["filename_or_obj"] == str(path)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float64])
def test_every_real_type_is_read_as_float32(dtype: type, tmp_path: Path) -> None:
    voxels = noise(dtype=dtype)
    image = LoadVolumed("image")({"image": str(write(tmp_path / "a.mha", voxels))})["image"]
    assert str(image.dtype) == "torch.float32"
    np.testing.assert_array_equal(image.numpy()[0], voxels.astype(np.float32))


@pytest.mark.parametrize("space", ["right-anterior-superior", "left-anterior-superior", "RAS"])
def test_the_space_of_a_nrrd_file_is_honored(space: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.nrrd", noise())
    content = path.read_bytes().replace(b"space: left-posterior-superior", f"space: {space}".encode())
    path.write_bytes(content)
    signs = [-1, 1, 1] if space.startswith("left") else [1, 1, 1]
    world = np.diag([*signs, 1.0]) @ np.diag([-1.0, -1, 1, 1])
    np.testing.assert_allclose(itk_grid(path)[1], world, atol=1e-9)


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
@pytest.mark.parametrize("grid", range(len(GRIDS)))
def test_what_is_written_lies_where_it_was_meant_to(grid: int, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{ending}"
    write_itk(ball((5, 6, 7), 2), path, GRIDS[grid])
    image = SimpleITK.ReadImage(str(path))
    assert image.GetPixelID() == SimpleITK.sitkUInt8
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0), ball((5, 6, 7), 2))
    np.testing.assert_allclose(itk_affine(image), GRIDS[grid], atol=1e-5)


def replaced(path: Path, old: bytes, new: bytes) -> Path:
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    return path


def image_of(kind: int, size: Sequence[int], path: Path) -> Path:
    SimpleITK.WriteImage(SimpleITK.Image(list(size), kind), str(path))
    return path


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-9])
    return path


def without_space(path: Path) -> Path:
    replaced(path, b"space: left-posterior-superior\n", b"")
    replaced(path, DIRECTIONS, b"spacings: 1 1 1\n")
    return replaced(path, b"space origin: (0,0,0)\n", b"")


def without_voxels(folder: Path) -> Path:
    path = write(folder / "b.mhd", GOOD)
    (folder / "b.raw").unlink()
    return path


GOOD = noise((4, 5, 6))
DIRECTIONS = b"space directions: (-1,0,0) (0,-1,0) (0,0,1)\n"
MATRIX, SPACING = b"TransformMatrix = -1 0 0 0 -1 0 0 0 1\n", b"ElementSpacing = 1 1 1\n"
BAD: dict[str, Callable[[Path], Path]] = {
    "color": lambda folder: image_of(SimpleITK.sitkVectorFloat32, (4, 5, 6), folder / "a.mha"),
    "complex": lambda folder: image_of(SimpleITK.sitkComplexFloat32, (4, 5, 6), folder / "a.nrrd"),
    "2D": lambda folder: image_of(SimpleITK.sitkFloat32, (4, 5), folder / "a.mha"),
    "4D": lambda folder: image_of(SimpleITK.sitkFloat32, (4, 5, 6, 2), folder / "a.mha"),
    "one slice": lambda folder: write(folder / "a.mha", GOOD[..., :1]),
    "no space": lambda folder: without_space(write(folder / "a.nrrd", GOOD)),
    "odd space": lambda folder: replaced(write(folder / "a.nrrd", GOOD), b"left-posterior-superior", b"scanner-xyz"),
    "no directions": lambda folder: replaced(write(folder / "a.nrrd", GOOD), DIRECTIONS, b""),
    "no matrix": lambda folder: replaced(write(folder / "a.mha", GOOD), MATRIX, b""),
    "no spacing": lambda folder: replaced(write(folder / "a.mha", GOOD), SPACING, b""),
    "large voxels": lambda folder: replaced(write(folder / "a.mha", GOOD), SPACING, SPACING.replace(b"1", b"9")),
    "sheared": lambda folder: replaced(write(folder / "a.mha", GOOD), b"0 -1 0 0 0 1\n", b"0.5 -0.86 0 0 0 1\n"),
    "NaN": lambda folder: write(folder / "a.mha", np.where(GOOD > 2, np.nan, GOOD)),
    "cut NRRD": lambda folder: cut(write(folder / "a.nrrd", GOOD)),
    "cut MetaImage": lambda folder: cut(write(folder / "a.mha", GOOD)),
    "no voxels": without_voxels,
    "text": lambda folder: [path := folder / "a.nrrd", path.write_text("no volume")][0],
    "empty": lambda folder: [path := folder / "a.mha", path.touch()][0],
    "missing": lambda folder: folder / "a.mha",
}


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("color", checks.VoxelTypeError, "values a voxel"),
        ("complex", checks.VoxelTypeError, "complex voxels"),
        ("2D", checks.DimensionError, r"has 2 axes \(4, 5\)"),
        ("4D", checks.DimensionError, "has 4 axes"),
        ("one slice", checks.DimensionError, r"shape \(4, 5, 1\)"),
        ("no space", checks.MissingGeometryError, "space 'none'"),
        ("odd space", checks.MissingGeometryError, "space 'scanner-xyz'"),
        ("no directions", checks.MissingGeometryError, "and no space directions"),
        ("no matrix", checks.MissingGeometryError, "no TransformMatrix"),
        ("no spacing", checks.MissingGeometryError, "no ElementSpacing"),
        ("large voxels", checks.SpacingError, "9 x 9 x 9 mm"),
        ("sheared", checks.AffineError, "sheared"),
        ("NaN", checks.NonFiniteVoxelsError, "NaN"),
        ("cut NRRD", checks.UnreadableFileError, "cut off"),
        ("cut MetaImage", checks.UnreadableFileError, "cut off"),
        ("no voxels", checks.UnreadableFileError, "cut off"),
        ("text", checks.UnreadableFileError, "cannot be read by ITK"),
        ("empty", checks.UnreadableFileError, "is empty"),
        ("missing", checks.UnreadableFileError, "does not exist"),
    ],
)
def test_a_bad_file_is_refused_under_its_own_name(fault: str, error: type, words: str, tmp_path: Path) -> None:
    path = BAD[fault](tmp_path)
    with pytest.raises(error, match=words) as caught:
        LoadVolumed("image")({"image": str(path)})
    assert type(caught.value) is error
    assert caught.value.file == str(path)


@pytest.mark.parametrize(("text", "line"), [("where\n what \n", "what"), ("", "RuntimeError"), (" \n", "RuntimeError")])
def test_the_last_line_of_an_error_or_its_type_is_reported(text: str, line: str) -> None:
    assert last_line(RuntimeError(text)) == line


def test_without_simpleitk_the_error_names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.nrrd", noise())
    monkeypatch.setattr(itk, "optional_import", lambda name: (None, False))
    with pytest.raises(
        checks.UnreadableFileError, match=r"needs the package SimpleITK.*pip install 'keyslice\[dicom\]"
    ):
        LoadVolumed("image")({"image": str(path)})


def test_names_of_fields_of_nrrd_may_be_written_in_any_case(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nrrd", noise((4, 5, 6)))
    header, _, voxels = path.read_bytes().partition(b"\n\n")
    changed = header.replace(b"space:", b"Space:").replace(b"space directions:", b"Space Directions:")
    path.write_bytes(changed + b'\nSpace Units: "cm" "cm" "cm"\n\n' + voxels)
    image = LoadVolumed("image", spacing_range=(1, 20))({"image": str(path)})["image"]
    assert np.linalg.norm(np.asarray(image.affine)[:3, 0]) == pytest.approx(10)


def test_a_comment_in_another_alphabet_ends_no_header(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mha", noise((4, 5, 6)))
    path.write_bytes("Comment = снимок головных\n".encode() + path.read_bytes())
    LoadVolumed("image")({"image": str(path)})
