"""The contract for bad input: what is checked, and one typed error for every way in which a volume can be unusable.

Every error names the file, what is wrong and what to do. The checks read the header as it stands in the file: nibabel
and MONAI mend some of these faults silently.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
from nibabel.openers import ImageOpener

from bundle.utils.errors import FileError
from bundle.utils.lengths import is_above, is_at_most, is_below

from .length_units import nifti_unit
from .volume_files import is_dicom

if TYPE_CHECKING:
    from monai.data import MetaTensor

MAX_SHEAR = 1e-3
"""Largest cosine between two axes of an affine that still counts as orthogonal (ITK's order of tolerance)."""

MAX_SHIFT = 0.1
"""Largest distance of two grids, at any corner and in voxels, that still counts as the same grid."""


class BadInputError(FileError):
    """A volume or image that cannot be used."""


class UnreadableFileError(BadInputError):
    """The file is missing, empty, truncated, or of no format that is read."""


class VoxelTypeError(BadInputError):
    """The voxels are complex numbers or colors."""


class DimensionError(BadInputError):
    """The volume has not three axes of at least two voxels."""


class MissingGeometryError(BadInputError):
    """Neither sform nor qform is set."""


class ConflictingGeometryError(BadInputError):
    """Sform and qform put the volume at different places."""


class AffineError(BadInputError):
    """The affine is sheared, singular or not finite."""


class SpacingError(BadInputError):
    """The voxel size is zero, or far outside the training range."""


class NonFiniteVoxelsError(BadInputError):
    """Some voxels are NaN or infinite."""


class GridMismatchError(BadInputError):
    """Image and label, or the channels of an image, do not lie on the same grid."""


class ChannelsError(BadInputError):
    """An image has not the channels that the model is meant for."""


class LabelValuesError(BadInputError):
    """The label holds values that are none of the classes."""


class SeriesError(BadInputError):
    """A folder or archive does not hold the slices of one DICOM series and no others."""


class SliceSpacingError(BadInputError):
    """Slices of a DICOM series are missing or unevenly spaced."""


def check_header(file: str | Path, spacing_range: Sequence[float], *, stacked: bool = False) -> list[str]:
    """Check all that the header of a NIfTI file says, without reading its voxels.

    Args:
        file: path of the file.
        spacing_range: smallest and largest voxel size in mm that the model is meant for.
        stacked: whether a fourth axis may hold the channels of the image.

    Returns:
        The safe repairs that reading the file implies, as sentences for the user.

    Raises:
        BadInputError: of the type that says what is wrong.
    """
    header = _read_header(file)
    if header["vox_offset"] < header.single_vox_offset:
        raise UnreadableFileError(
            file,
            f"has voxels that begin at byte {int(header['vox_offset'])}, inside of the header",
            "export it again",
        )
    shape = list(header.get_data_shape())
    repairs = []
    if len(shape) > 3 and set(shape[3:]) == {1}:
        repairs.append(f"dropped the axes of size 1 behind the third of the shape {tuple(shape)}")
        shape = shape[:3]
    unit = nifti_unit(header)
    repairs += unit.remarks()
    _check_voxel_type(file, header)
    space = shape[:3] if stacked and len(shape) == 4 else shape
    _check_shape(file, space)
    check_geometry(file, header, space)
    _check_spacing(file, unit.convert(header.get_best_affine()), spacing_range)
    return repairs


def check_grid(
    file: str | Path, shape: Sequence[int], affine: np.ndarray, spacing_range: Sequence[float] | None
) -> None:
    """Check size, affine and voxel size of a volume of any format.

    Args:
        file: path of the volume.
        shape: its size.
        affine: from voxels to the world in mm.
        spacing_range: smallest and largest voxel size in mm that the model is meant for; None for any.

    Raises:
        BadInputError: of the type that says what is wrong.
    """
    _check_shape(file, shape)
    _check_affine(file, affine)
    if spacing_range is not None:
        _check_spacing(file, affine, spacing_range)


def check_presence(file: str | Path) -> None:
    """Check that a file or folder is there and not empty.

    Raises:
        UnreadableFileError: when it is not.
    """
    path = Path(file)
    if not path.exists():
        raise UnreadableFileError(file, "does not exist", "check the path; --input takes a volume or a folder of them")
    if path.is_file() and path.stat().st_size == 0:
        raise UnreadableFileError(file, "is empty", "copy or export it again")


def check_voxels(file: str | Path, image: Any) -> list[str]:
    """Check that all voxels of a loaded image ``(C, D, H, W)``, an array or a tensor in main memory, are finite.

    Returns:
        Remarks on suspicious voxels, as sentences for the user.

    Raises:
        NonFiniteVoxelsError: with the number of voxels that are NaN or infinite.
    """
    voxels = np.asarray(image)
    bad = sum(int((~np.isfinite(voxels[:, start : start + 16])).sum()) for start in range(0, voxels.shape[1], 16))
    if bad:
        raise NonFiniteVoxelsError(
            file,
            f"{bad} of {voxels.size} voxels are NaN or infinite",
            "replace them, e.g. by 0, and save the file again",
        )
    return ["all voxels have the same value"] if voxels.min() == voxels.max() else []


def check_same_grid(
    image_file: str | Path,
    image: MetaTensor,
    label_file: str | Path,
    label: MetaTensor,
    *,
    remedy: str = "resample the label to the image's grid",
) -> None:
    """Check that image and label, or another channel, two MetaTensors ``(C, D, H, W)``, lie on the same grid.

    Raises:
        GridMismatchError: when their shapes or their places in the world differ.
    """
    sizes = tuple(image.shape[1:]), tuple(label.shape[1:])
    if sizes[0] != sizes[1]:
        raise GridMismatchError(label_file, f"has the shape {sizes[1]}, its image {image_file} {sizes[0]}", remedy)
    shift = grid_distance(np.asarray(image.affine), np.asarray(label.affine), sizes[0])
    if is_above(shift, MAX_SHIFT):
        raise GridMismatchError(label_file, f"lies {shift:.2g} voxels off its image {image_file}", remedy)


def grid_distance(affine_a: np.ndarray, affine_b: np.ndarray, shape: Sequence[int]) -> float:
    """Return the largest distance between the corners of two grids of one shape, in voxels of the first."""
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in shape], [1], indexing="ij")).reshape(4, -1)
    shift = np.linalg.norm(((affine_a - affine_b) @ corners)[:3], axis=0).max()
    return float(shift / np.linalg.norm(affine_a[:3, :3], axis=0).min())


def _read_header(file: str | Path) -> nib.Nifti1Header:
    path = Path(file)
    check_presence(file)
    if path.is_dir():
        raise UnreadableFileError(file, "is a folder", "name a NIfTI file")
    if is_dicom(path):
        raise UnreadableFileError(file, "is a single DICOM file", "pass the folder that holds the series")
    try:
        image = nib.load(path)
        if not isinstance(image, nib.Nifti1Image):
            raise UnreadableFileError(file, "is no NIfTI file of one part", "convert it to .nii.gz")
        with ImageOpener(str(path)) as stream:
            return type(image.header).from_fileobj(stream, check=False)
    except BadInputError:
        raise
    except Exception as error:
        raise UnreadableFileError(file, f"cannot be read as NIfTI ({error})", "export or convert it again") from error


def _check_voxel_type(file: str | Path, header: nib.Nifti1Header) -> None:
    dtype = header.get_data_dtype()
    if dtype.kind == "c":
        raise VoxelTypeError(file, f"has complex voxels ({dtype})", "save the magnitude as a real volume")
    if dtype.fields:
        raise VoxelTypeError(file, "has color voxels", "save one channel as a real volume")


def _check_shape(file: str | Path, shape: Sequence[int]) -> None:
    if len(shape) > 3:
        raise DimensionError(
            file,
            f"has {len(shape)} axes {tuple(shape)}, 3 are expected",
            "save every volume of the series as its own file",
        )
    if len(shape) < 3 or min(shape) < 2:
        raise DimensionError(
            file, f"is no volume but has the shape {tuple(shape)}", "pass a volume with at least 2 voxels along 3 axes"
        )


def check_geometry(file: str | Path, header: nib.Nifti1Header, shape: Sequence[int]) -> None:
    """Check that a NIfTI header puts a volume at one place, on an orthogonal grid.

    Args:
        file: path of the file.
        header: its header.
        shape: size of the volume.

    Raises:
        BadInputError: of the type that says what is wrong.
    """
    sform, sform_code = header.get_sform(coded=True)
    qform_code = int(header["qform_code"])
    if not sform_code and not qform_code:
        raise MissingGeometryError(
            file,
            "has neither sform nor qform, so left and right are unknown",
            "set the orientation, e.g. with fslorient",
        )
    if not all(float(zoom) > 0 for zoom in header["pixdim"][1:4]):
        zooms = tuple(float(zoom) for zoom in header["pixdim"][1:4])
        raise SpacingError(file, f"has the voxel size {zooms} mm", "write the true voxel size into pixdim")
    try:
        qform = header.get_qform() if qform_code else None
    except (ValueError, nib.spatialimages.HeaderDataError) as error:
        raise AffineError(file, f"has a qform that is no rotation ({error})", "export it again") from error
    affine: Any = sform if sform_code else qform
    _check_affine(file, affine)
    if sform_code and qform is not None:
        shift = grid_distance(affine, qform, shape)
        if not is_at_most(shift, MAX_SHIFT):
            raise ConflictingGeometryError(
                file,
                f"has an sform and a qform that lie up to {shift:.2g} voxels apart",
                "keep the true one, e.g. with fslorient -copysform2qform",
            )


def _check_affine(file: str | Path, affine: np.ndarray) -> None:
    axes = affine[:3, :3]
    spacing = np.linalg.norm(axes, axis=0)
    remedy = "resample it to an orthogonal grid, or repair the header"
    if not np.isfinite(affine).all():
        raise AffineError(file, "has an affine with NaN or infinite entries", remedy)
    if (spacing == 0).any():
        raise SpacingError(file, f"has the voxel size {tuple(spacing.tolist())} mm", "write the true voxel size")
    cosines = np.abs((axes / spacing).T @ (axes / spacing))[np.triu_indices(3, 1)].max()
    if cosines > 1 - MAX_SHEAR:
        raise AffineError(file, "has a singular affine", remedy)
    if cosines > MAX_SHEAR:
        angle = np.degrees(np.arcsin(min(cosines, 1.0)))
        raise AffineError(file, f"has a sheared affine (axes {angle:.1f} degrees off the right angle)", remedy)


def _check_spacing(file: str | Path, affine: np.ndarray, spacing_range: Sequence[float]) -> None:
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    low, high = spacing_range
    if is_below(spacing.min(), low) or is_above(spacing.max(), high):
        sizes = " x ".join(f"{size:.3g}" for size in spacing)
        raise SpacingError(
            file,
            f"has voxels of {sizes} mm, the model is meant for {low:g} to {high:g} mm",
            "check the unit of the header, resample the volume, or widen spacing_range",
        )
