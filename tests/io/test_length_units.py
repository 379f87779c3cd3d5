"""The unit of length in a header is honored: the same scan in meters, mm and micrometers is the same volume."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.phantoms import ball, noise, rotation, write_nifti
from test_itk import DIRECTIONS, SPACING, replaced, write

from bundle.io import LoadVolumed
from bundle.io import input_checks as checks
from bundle.io.itk import itk_grid
from bundle.io.label_maps import save_label_map
from bundle.io.length_units import named_unit

SECONDS = 8
UNITS = {"meters": (1, 1e-3), "micrometers": (3, 1e3)}
"""Code in ``xyzt_units`` and size of 1 mm in this unit."""

IN_MM = rotation(20, -10, 35) @ np.diag([0.8, 1.2, 2.5, 1])
IN_MM[:3, 3] = 11, -7, 5


def write_in(unit: str, path: Path, voxels: np.ndarray, **options: object) -> Path:
    """Write voxels on the grid ``IN_MM``, with all lengths in another unit."""
    code, size = UNITS[unit]
    affine = np.diag([size, size, size, 1]) @ IN_MM
    return write_nifti(path, voxels, affine, header={"xyzt_units": code | SECONDS}, **options)


@pytest.mark.parametrize("options", [{}, {"big_endian": True}, {"sform_code": 0}, {"qform_code": 0}], ids=str)
@pytest.mark.parametrize("unit", UNITS)
def test_a_nifti_volume_lies_where_its_unit_says(unit: str, options: dict, tmp_path: Path) -> None:
    image = LoadVolumed("image")({"image": str(write_in(unit, tmp_path / "a.nii.gz", noise(), **options))})["image"]
    np.testing.assert_allclose(image.affine.numpy(), IN_MM, atol=1e-4)
    np.testing.assert_allclose(image.meta["original_affine"], IN_MM, atol=1e-4)
    assert image.meta["remarks"] == f"converted to mm from {unit}, the unit of its header"


@pytest.mark.parametrize("code", [0, 2, 2 | SECONDS, 5])
def test_mm_and_no_unit_change_nothing(code: int, tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", noise(), IN_MM, header={"xyzt_units": code})
    image = LoadVolumed("image")({"image": str(path)})["image"]
    np.testing.assert_array_equal(image.affine.numpy(), nib.load(path).affine)
    assert image.meta["remarks"] == ""


def test_voxels_of_one_micrometer_are_not_voxels_of_one_mm(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", noise(), header={"xyzt_units": 3})
    with pytest.raises(checks.SpacingError, match=r"voxels of 0\.001 x 0\.001 x 0\.001 mm"):
        LoadVolumed("image")({"image": str(path)})


@pytest.mark.parametrize("unit", UNITS)
def test_image_label_and_channels_may_have_other_units(unit: str, tmp_path: Path) -> None:
    in_mm = write_nifti(tmp_path / "a.nii.gz", noise(), IN_MM)
    other = write_in(unit, tmp_path / "b.nii.gz", ball((6, 7, 8), 2))
    loaded = LoadVolumed(["image", "label"])({"image": str(in_mm), "label": str(other)})
    assert loaded["label"].max() == 2
    assert LoadVolumed("image")({"image": [str(in_mm), str(other)]})["image"].shape[0] == 2
    moved = write_nifti(tmp_path / "c.nii.gz", ball((6, 7, 8), 2), IN_MM, header={"xyzt_units": UNITS[unit][0]})
    with pytest.raises(checks.GridMismatchError):
        LoadVolumed(["image", "label"], spacing_range=(0, np.inf))({"image": str(in_mm), "label": str(moved)})


@pytest.mark.parametrize("unit", UNITS)
def test_a_label_map_has_the_header_of_its_image_and_its_voxel_size_is_in_mm(unit: str, tmp_path: Path) -> None:
    path, labels = write_in(unit, tmp_path / "a.nii.gz", noise()), ball((6, 7, 8), 2)
    spacing = save_label_map(labels, tmp_path / "b.nii.gz", source=path, affine=IN_MM)
    np.testing.assert_allclose(spacing, (0.8, 1.2, 2.5), atol=1e-5)
    written, source = nib.load(tmp_path / "b.nii.gz"), nib.load(path)
    assert int(written.header["xyzt_units"]) == int(source.header["xyzt_units"])
    np.testing.assert_array_equal(written.affine, source.affine)
    save_label_map(labels, tmp_path / "b.nrrd", source=path, affine=IN_MM)
    np.testing.assert_allclose(itk_grid(tmp_path / "b.nrrd")[1], IN_MM, atol=1e-4)


@pytest.mark.parametrize(
    ("unit", "size"),
    [('"mm" "mm" "mm"', 1), ('"m" "m" "m"', 1e3), ('"microns" "microns" "microns"', 1e-3), ('"" "" ""', 1)],
)
def test_the_space_units_of_nrrd_are_honored(unit: str, size: float, tmp_path: Path) -> None:
    path = write(tmp_path / "a.nrrd", noise())
    replaced(path, DIRECTIONS, DIRECTIONS + f"space units: {unit}\n".encode())
    image = LoadVolumed("image", spacing_range=(1e-4, 1e4))({"image": str(path)})["image"]
    np.testing.assert_allclose(image.affine.numpy(), np.diag([size, size, size, 1]), rtol=1e-9)
    assert bool(image.meta["remarks"]) == (size != 1)


@pytest.mark.parametrize(("unit", "size"), [("mm", 1), ("um", 1e-3), ("cm", 10), ("?", 1)])
def test_the_distance_units_of_metaimage_are_honored(unit: str, size: float, tmp_path: Path) -> None:
    path = write(tmp_path / "a.mha", noise())
    replaced(path, SPACING, SPACING + f"DistanceUnits = {unit}\n".encode())
    np.testing.assert_allclose(itk_grid(path)[1], np.diag([size, size, size, 1]), rtol=1e-9)


@pytest.mark.parametrize("unit", ['"furlong" "furlong" "furlong"', '"mm" "mm" "m"'])
def test_a_unit_that_is_unknown_or_differs_between_axes_is_refused(unit: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.nrrd", noise())
    replaced(path, DIRECTIONS, DIRECTIONS + f"space units: {unit}\n".encode())
    with pytest.raises(checks.MissingGeometryError, match="has the unit of length"):
        LoadVolumed("image")({"image": str(path)})


@pytest.mark.parametrize("name", ["um", "Microns", " micrometers ", "\u00b5m", "\u03bcm"])
def test_names_of_units_are_read_in_every_spelling(name: str) -> None:
    for text in (name, name.encode().decode("latin-1")):
        unit = named_unit(text)
        assert unit is not None
        assert unit.millimeters == 1e-3
