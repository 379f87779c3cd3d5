"""Every way in which a volume can be unusable has its own error, and usable ones pass."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers.phantoms import meta_tensor, noise, rotation, write_nifti

from bundle.io import input_checks as checks
from bundle.io.input_checks import BadInputError, check_header, check_same_grid, check_voxels

RANGE = (0.2, 5.0)
SHEARED = [[1, 0.2, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
SINGULAR = [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
FLAT = [[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
SHIFTED = np.eye(4)
SHIFTED[0, 3] = 50
RGB = np.zeros((4, 4, 4), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
ONE = noise((4, 5, 6))

BAD_HEADERS = {
    "four axes": (checks.DimensionError, "4 axes", lambda p: write_nifti(p, noise((4, 5, 6, 3)))),
    "five axes": (checks.DimensionError, "5 axes", lambda p: write_nifti(p, noise((4, 5, 6, 1, 3)))),
    "two axes": (checks.DimensionError, r"shape \(4, 5\)", lambda p: write_nifti(p, noise((4, 5)))),
    "one slice": (checks.DimensionError, r"shape \(4, 5, 1\)", lambda p: write_nifti(p, noise((4, 5, 1)))),
    "one slice with a fourth axis": (
        checks.DimensionError,
        r"shape \(4, 5, 1\)",
        lambda p: write_nifti(p, noise((4, 5, 1, 1)), header={"dim": [4, 4, 5, 1, 1, 1, 1, 1]}),
    ),
    "complex voxels": (checks.VoxelTypeError, "complex", lambda p: write_nifti(p, ONE.astype(np.complex64))),
    "color voxels": (checks.VoxelTypeError, "color", lambda p: write_nifti(p, RGB)),
    "neither sform nor qform": (
        checks.MissingGeometryError,
        "neither sform nor qform",
        lambda p: write_nifti(p, ONE, sform_code=0, qform_code=0),
    ),
    "sform and qform 50 mm apart": (
        checks.ConflictingGeometryError,
        "50 voxels apart",
        lambda p: write_nifti(p, ONE, qform=SHIFTED),
    ),
    "sform and qform turned": (
        checks.ConflictingGeometryError,
        "voxels apart",
        lambda p: write_nifti(p, ONE, qform=rotation(0, 0, 10)),
    ),
    "sheared": (checks.AffineError, "sheared", lambda p: write_nifti(p, ONE, SHEARED, qform_code=0)),
    "singular": (checks.AffineError, "singular", lambda p: write_nifti(p, ONE, SINGULAR, qform_code=0)),
    "affine with NaN": (
        checks.AffineError,
        "NaN or infinite entries",
        lambda p: write_nifti(p, ONE, qform_code=0, header={"srow_x": [1, 0, 0, np.nan]}),
    ),
    "affine with infinity": (
        checks.AffineError,
        "NaN or infinite entries",
        lambda p: write_nifti(p, ONE, qform_code=0, header={"srow_z": [0, 0, np.inf, 0]}),
    ),
    "qform that is no rotation": (
        checks.AffineError,
        "no rotation",
        lambda p: write_nifti(p, ONE, header={"quatern_b": 1, "quatern_c": 1, "quatern_d": 1}),
    ),
    "spacing 0 in pixdim": (
        checks.SpacingError,
        r"voxel size \(1.0, 0.0, 1.0\)",
        lambda p: write_nifti(p, ONE, header={"pixdim": [1, 1, 0, 1, 0, 0, 0, 0]}),
    ),
    "negative spacing in pixdim": (
        checks.SpacingError,
        "voxel size",
        lambda p: write_nifti(p, ONE, header={"pixdim": [1, 1, 1, -1, 0, 0, 0, 0]}),
    ),
    "spacing NaN in pixdim": (
        checks.SpacingError,
        "voxel size",
        lambda p: write_nifti(p, ONE, header={"pixdim": [1, 1, 1, np.nan, 0, 0, 0, 0]}),
    ),
    "spacing 0 in the affine": (checks.SpacingError, "voxel size", lambda p: write_nifti(p, ONE, FLAT, qform_code=0)),
    "spacing in meters": (
        checks.SpacingError,
        "0.001 x 0.001 x 0.001 mm",
        lambda p: write_nifti(p, ONE, np.diag([1e-3, 1e-3, 1e-3, 1])),
    ),
    "spacing too large along one axis": (
        checks.SpacingError,
        "1 x 1 x 7 mm, the model is meant for 0.2 to 5 mm",
        lambda p: write_nifti(p, ONE, np.diag([1, 1, 7, 1])),
    ),
    "voxels inside of the header": (
        checks.UnreadableFileError,
        "voxels that begin at byte 0, inside of the header",
        lambda p: write_nifti(p, ONE, header={"vox_offset": 0}),
    ),
    "a text file": (checks.UnreadableFileError, "cannot be read as NIfTI", lambda p: p.write_text("a volume")),
    "a gzipped text file": (
        checks.UnreadableFileError,
        "cannot be read as NIfTI",
        lambda p: p.write_bytes(gzip.compress(b"not a volume " * 99)),
    ),
    "an empty file": (checks.UnreadableFileError, "is empty", lambda p: p.touch()),
    "a missing file": (checks.UnreadableFileError, "does not exist", lambda p: None),
    "a folder": (checks.UnreadableFileError, "is a folder", lambda p: p.mkdir()),
    "a file cut off in its header": (
        checks.UnreadableFileError,
        "cannot be read as NIfTI",
        lambda p: p.write_bytes(write_nifti(p, ONE).read_bytes()[:60]),
    ),
}

OBLIQUE = rotation(20, -10, 35) @ np.diag([0.8, 1.2, 2.5, 1])
GOOD_HEADERS = {
    "float32": lambda p: write_nifti(p, ONE),
    "float64": lambda p: write_nifti(p, ONE.astype(np.float64)),
    "uint8": lambda p: write_nifti(p, noise((4, 5, 6), dtype=np.uint8)),
    "int16 with a slope": lambda p: write_nifti(
        p, noise((4, 5, 6), dtype=np.int16), header={"scl_slope": 0.5, "scl_inter": -20}
    ),
    "qform alone": lambda p: write_nifti(p, ONE, OBLIQUE, sform_code=0),
    "sform alone": lambda p: write_nifti(p, ONE, OBLIQUE, qform_code=0),
    "oblique": lambda p: write_nifti(p, ONE, OBLIQUE),
    "scanner and aligned codes": lambda p: write_nifti(p, ONE, OBLIQUE, 2, 1),
    "big-endian": lambda p: write_nifti(p, ONE, OBLIQUE, big_endian=True),
    "NIfTI-2": lambda p: write_nifti(p, ONE, OBLIQUE, image=nib.Nifti2Image),
    "anisotropic": lambda p: write_nifti(p, ONE, np.diag([0.5, 0.5, 5, 1])),
    "flipped axes": lambda p: write_nifti(p, ONE, np.diag([-1, -1, 1, 1])),
    "two voxels along an axis": lambda p: write_nifti(p, noise((2, 5, 6))),
}


@pytest.mark.parametrize("fault", BAD_HEADERS)
def test_the_error_of_a_bad_file_names_file_fault_and_remedy(fault: str, tmp_path: Path) -> None:
    kind, words, write = BAD_HEADERS[fault]
    path = tmp_path / "case.nii.gz"
    write(path)
    with pytest.raises(BadInputError, match=words) as caught:
        check_header(path, RANGE)
    error = caught.value
    assert type(error) is kind
    assert error.file == str(path)
    assert error.problem
    assert error.remedy
    assert str(error) == f"{path}: {error.problem}; {error.remedy}."


@pytest.mark.parametrize("name", GOOD_HEADERS)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_usable_file_passes_without_a_remark(name: str, suffix: str, tmp_path: Path) -> None:
    path = GOOD_HEADERS[name](tmp_path / f"case{suffix}")
    assert check_header(path, RANGE) == []


@pytest.mark.parametrize("shape", [(4, 5, 6, 1), (4, 5, 6, 1, 1)])
def test_axes_of_size_one_behind_the_third_are_dropped_and_this_is_said(shape: tuple[int, ...], tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "case.nii.gz", ONE, header={"dim": [len(shape), *shape, *[1] * (7 - len(shape))]})
    assert nib.load(path).shape == shape
    (remark,) = check_header(path, RANGE)
    assert str(shape) in remark


@pytest.mark.parametrize("image", [nib.Nifti1Pair, nib.AnalyzeImage, nib.MGHImage])
def test_another_format_is_named_as_such(image: type, tmp_path: Path) -> None:
    suffix = ".mgz" if image is nib.MGHImage else ".img"
    path = tmp_path / f"case{suffix}"
    nib.save(image(ONE, np.eye(4)), path)
    with pytest.raises(checks.UnreadableFileError, match="no NIfTI file of one part"):
        check_header(path, RANGE)


def test_the_spacing_range_includes_its_ends_and_can_be_widened(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "case.nii.gz", ONE, np.diag([0.25, 1, 8, 1]))
    check_header(path, (0.25, 8.0))
    for narrower in ((0.26, 8.0), (0.25, 7.9)):
        with pytest.raises(checks.SpacingError):
            check_header(path, narrower)


@pytest.mark.parametrize("degrees", [(3, -7, 12), (-15, 4, 9), (8, 19, -2), (1, 1, 1)])
def test_an_end_of_the_spacing_range_is_accepted_in_every_oblique_scan(
    degrees: tuple[float, ...], tmp_path: Path
) -> None:
    for size in (0.2, 5.0):
        affine = rotation(*degrees) @ np.diag([size, 1, size, 1])
        assert check_header(write_nifti(tmp_path / "case.nii.gz", ONE, affine), RANGE) == []
    with pytest.raises(checks.SpacingError):
        check_header(write_nifti(tmp_path / "case.nii.gz", ONE, rotation(*degrees) @ np.diag([1, 1, 5.01, 1])), RANGE)


def test_rounding_in_the_header_counts_neither_as_conflict_nor_as_shear(tmp_path: Path) -> None:
    nearly = OBLIQUE + 1e-4 * np.random.default_rng(0).normal(size=(4, 4))
    nearly[3] = 0, 0, 0, 1
    assert check_header(write_nifti(tmp_path / "case.nii.gz", ONE, nearly, qform=OBLIQUE), RANGE) == []


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0, 0, 0), (0, 39, 4, 5)])
def test_every_non_finite_voxel_is_counted(value: float, place: tuple[int, ...]) -> None:
    image = torch.zeros(1, 40, 5, 6)
    image[place], image[0, 20, 2, 2] = value, value
    with pytest.raises(checks.NonFiniteVoxelsError, match="2 of 1200 voxels") as caught:
        check_voxels("case.nii.gz", image)
    assert caught.value.file == "case.nii.gz"


def test_a_constant_image_is_remarked_on_and_an_ordinary_one_is_not() -> None:
    assert check_voxels("case.nii.gz", torch.full((1, 4, 4, 4), 3.0)) == ["all voxels have the same value"]
    assert check_voxels("case.nii.gz", torch.as_tensor(noise((1, 4, 4, 4)))) == []


def test_different_shape_and_different_place_of_image_and_label_are_distinguished() -> None:
    image = meta_tensor(torch.zeros(1, 4, 5, 6))
    check_same_grid("image", image, "label", meta_tensor(torch.zeros(1, 4, 5, 6)))
    with pytest.raises(
        checks.GridMismatchError, match=r"label: has the shape \(4, 5, 7\), its image image \(4, 5, 6\)"
    ):
        check_same_grid("image", image, "label", meta_tensor(torch.zeros(1, 4, 5, 7)))
    with pytest.raises(checks.GridMismatchError, match="lies 50 voxels off"):
        check_same_grid("image", image, "label", meta_tensor(torch.zeros(1, 4, 5, 6), SHIFTED))


def test_the_distance_of_two_grids_is_the_largest_one_over_all_voxels() -> None:
    shape, other = (4, 5, 6), OBLIQUE @ rotation(3, 2, 1)
    voxels = np.indices(shape).reshape(3, -1)
    world = [(m[:3, :3] @ voxels + m[:3, 3:]).T for m in (OBLIQUE, other)]
    expected = np.linalg.norm(world[0] - world[1], axis=1).max() / 0.8
    assert checks.grid_distance(OBLIQUE, other, shape) == pytest.approx(expected)
