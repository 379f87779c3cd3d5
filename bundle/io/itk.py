"""NRRD and MetaImage through SimpleITK, under the contract for bad input.

ITK's world is LPS+, this project's RAS+: the first two world axes change their sign.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.utils import optional_import

from .input_checks import (
    DimensionError,
    MissingGeometryError,
    UnreadableFileError,
    VoxelTypeError,
    check_grid,
    check_presence,
)
from .length_units import MILLIMETER, LengthUnit, named_unit

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
NRRD = (".nrrd", ".nhdr")
SPACES = ("left-posterior-superior", "right-anterior-superior", "left-anterior-superior", "lps", "ras", "las")
"""Anatomical spaces of NRRD that ITK turns to its own."""

HEADER_BYTES = 2**16


def require(name: str, file: str | Path) -> Any:
    """Import a package of the extra ``dicom``, or a part of it.

    Raises:
        UnreadableFileError: when it is not installed.
    """
    module, found = optional_import(name)
    if not found:
        package = name.split(".")[0]
        raise UnreadableFileError(
            file, f"needs the package {package}, which is not installed", "pip install 'keyslice[dicom]'"
        )
    return module


def open_itk(file: str | Path, spacing_range: Sequence[float]) -> tuple[tuple[int, ...], np.ndarray, list[str]]:
    """Check the header of a NRRD or MetaImage file and return its size, its affine in RAS+ in mm, and remarks.

    Raises:
        BadInputError: of the type that says what is wrong.
    """
    check_presence(file)
    sitk = require("SimpleITK", file)
    shape, affine = itk_grid(file)
    reader = _reader(sitk, file)
    if "complex" in sitk.GetPixelIDValueAsString(reader.GetPixelID()):
        raise VoxelTypeError(file, "has complex voxels", "save the magnitude as a real volume")
    if reader.GetNumberOfComponents() > 1:
        raise VoxelTypeError(
            file, f"has {reader.GetNumberOfComponents()} values a voxel", "save one channel as a real volume"
        )
    _check_declared(file)
    check_grid(file, shape, affine, spacing_range)
    return shape, affine, _unit(file).remarks()


def itk_grid(file: str | Path) -> tuple[tuple[int, ...], np.ndarray]:
    """Return the size ``(D, H, W)`` of a file that ITK reads, fastest axis first, and the affine in RAS+ in mm.

    Raises:
        UnreadableFileError: when ITK cannot read the header.
        DimensionError: when the file has not three axes.
        MissingGeometryError: when its unit of length is unknown.
    """
    reader = _reader(require("SimpleITK", file), file)
    shape = tuple(reader.GetSize())
    if len(shape) != 3:
        raise DimensionError(file, f"has {len(shape)} axes {shape}, 3 are expected", "save it as a volume of 3 axes")
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(reader.GetDirection(), (3, 3)) * np.array(reader.GetSpacing())
    affine[:3, 3] = reader.GetOrigin()
    return shape, _unit(file).convert(LPS_TO_RAS @ affine)


def read_itk(file: str | Path, affine: np.ndarray) -> MetaTensor:
    """Return the voxels as a MetaTensor ``(1, D, H, W)``, float32, with ``affine``."""
    sitk = require("SimpleITK", file)
    return as_meta_tensor(sitk.ReadImage(str(file), sitk.sitkFloat32), file, affine)


def as_meta_tensor(image: Any, file: str | Path, affine: np.ndarray) -> MetaTensor:
    """Return an image of SimpleITK as a MetaTensor ``(1, D, H, W)`` as a reader of MONAI makes it."""
    return to_meta_tensor(require("SimpleITK", file).GetArrayViewFromImage(image).transpose(2, 1, 0), file, affine)


def to_meta_tensor(voxels: np.ndarray, file: str | Path, affine: np.ndarray) -> MetaTensor:
    """Return voxels ``(D, H, W)`` as a MetaTensor ``(1, D, H, W)`` as a reader of MONAI makes it."""
    voxels = np.ascontiguousarray(voxels)
    meta = {
        "affine": torch.as_tensor(affine),
        "original_affine": affine.copy(),
        "spatial_shape": np.array(voxels.shape),
        "original_channel_dim": float("nan"),
        "space": "RAS",
        "filename_or_obj": str(file),
    }
    return MetaTensor(torch.from_numpy(voxels)[None], meta=meta)


def write_itk(voxels: np.ndarray, target: str | Path, affine: np.ndarray) -> None:
    """Write voxels ``(D, H, W)`` with an affine in RAS+, compressed; the format is that of the file name."""
    sitk = require("SimpleITK", target)
    image = sitk.GetImageFromArray(np.ascontiguousarray(voxels.transpose(2, 1, 0)))
    matrix = LPS_TO_RAS @ affine
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((matrix[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(matrix[:3, 3].tolist())
    sitk.WriteImage(image, str(target), True)


def _reader(sitk: ModuleType, file: str | Path) -> Any:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(file))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise UnreadableFileError(
            file, f"cannot be read by ITK ({last_line(error)})", "export or convert it again"
        ) from error
    return reader


def last_line(error: BaseException) -> str:
    """Return the last line of an error of ITK, which is the one that says what is wrong; without text, its type."""
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__


def _check_declared(file: str | Path) -> None:
    """Check that the header has voxel size and orientation; ITK fills in what is missing."""
    fields = _fields(Path(file))
    if Path(file).name.lower().endswith(NRRD):
        space = fields.get("space", "none")
        if space.lower() not in SPACES or "space directions" not in fields:
            raise MissingGeometryError(
                file,
                f"has the space {space!r} and {'' if 'space directions' in fields else 'no '}space directions, "
                "so left and right are unknown",
                f"write both into the header; the space must be one of {', '.join(SPACES[:3])}",
            )
        return
    sizes, turns = ("ElementSpacing", "ElementSize"), ("TransformMatrix", "Rotation", "Orientation")
    for names in (sizes, turns):
        if not any(name in fields for name in names):
            raise MissingGeometryError(
                file, f"has no {names[0]}, so its place in the world is unknown", "write it into the header"
            )


def _unit(file: str | Path) -> LengthUnit:
    """Return the unit of length that a header names; mm if it names none.

    ITK reads neither NRRD's ``space units`` nor MetaImage's ``DistanceUnits``.

    Raises:
        MissingGeometryError: when the unit is unknown, or not the same along all axes.
    """
    fields = _fields(Path(file))
    named = fields.get("space units", fields.get("DistanceUnits"))
    if named is None:
        return MILLIMETER
    units = {named_unit(name) for name in re.findall(r'"([^"]*)"', named) or [named]}
    unit = units.pop()
    if unit is None or units:
        raise MissingGeometryError(
            file, f"has the unit of length {named}, which is not read", "write all lengths in mm into the header"
        )
    return unit


def _fields(path: Path) -> dict[str, str]:
    """Return the fields of the text at the beginning of a file; the names of NRRD in lower case."""
    with open(path, "rb") as stream:
        text = stream.read(HEADER_BYTES).decode("latin-1")
    is_nrrd, fields = path.name.lower().endswith(NRRD), {}
    for line in text.split("\n"):
        name, found, value = line.partition(":" if is_nrrd else "=")
        if not line.strip() or name.strip() == "ElementDataFile":
            break
        if found:
            fields[name.strip().lower() if is_nrrd else name.strip()] = value.removeprefix("=").strip()
    return fields
