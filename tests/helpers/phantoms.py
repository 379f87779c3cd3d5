"""Small volumes for tests: a writer of NIfTI files with wrong headers on request, and synthetic images with labels."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.data import MetaTensor


def write_nifti(
    path: str | Path,
    array: np.ndarray,
    affine: np.ndarray | Sequence[Sequence[float]] | None = None,
    sform_code: int = 1,
    qform_code: int = 1,
    *,
    qform: np.ndarray | None = None,
    image: type = nib.Nifti1Image,
    big_endian: bool = False,
    header: dict[str, Any] | None = None,
) -> Path:
    """Write ``array`` as NIfTI file.

    Args:
        path: file to write; its folder is made when missing.
        array: voxels, stored in their own type.
        affine: sform and qform; the identity when None. A sheared or singular one can only be an sform.
        sform_code: 0 leaves the sform unset.
        qform_code: 0 leaves the qform unset.
        qform: qform, where it differs from ``affine``.
        image: ``nib.Nifti1Image``, ``nib.Nifti2Image`` or ``nib.Nifti1Pair``.
        big_endian: store with the other byte order.
        header: raw header fields written last, past all checks of nibabel.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    matrix = np.eye(4) if affine is None else np.asarray(affine, dtype=float)
    head = image.header_class(endianness=">" if big_endian else "<")
    head.set_data_dtype(array.dtype.newbyteorder(">") if big_endian else array.dtype)
    head.set_data_shape(array.shape)
    nifti = image(array, None, head)
    nifti.header.set_sform(matrix if sform_code else None, sform_code)
    if qform_code:
        nifti.header.set_qform(matrix if qform is None else qform, qform_code)
    else:
        zooms = np.linalg.norm(matrix[:3, :3], axis=0)
        nifti.header["pixdim"][1:4] = np.where(zooms > 0, zooms, 1)
    nifti.header["vox_offset"] = 352 if header else 0
    for name, value in (header or {}).items():
        nifti.header[name] = value
    if image is nib.Nifti1Image and header:
        return _write_raw(path, nifti)
    nib.save(nifti, path)
    return path


def _write_raw(path: Path, nifti: nib.Nifti1Image) -> Path:
    """Write header fields as they are: nibabel corrects some of them on saving."""
    head = nifti.header
    head["magic"] = b"n+1"
    data = np.asarray(nifti.dataobj).astype(head.get_data_dtype()).tobytes(order="F")
    content = head.binaryblock + b"\0\0\0\0" + data
    path.write_bytes(gzip.compress(content, mtime=0) if path.name.endswith(".gz") else content)
    return path


def noise(shape: Sequence[int] = (6, 7, 8), seed: int = 0, dtype: Any = np.float32) -> np.ndarray:
    """Return seeded normal noise, scaled to the hundreds for integer types."""
    values = np.random.default_rng(seed).normal(size=tuple(shape))
    return values.astype(dtype) if np.dtype(dtype).kind == "f" else (values * 20 + 120).clip(0, 250).astype(dtype)


def ball(shape: Sequence[int] = (12, 12, 12), radius: float = 3.5) -> np.ndarray:
    """Return a label map with a ball of class 1 whose upper half is class 2."""
    grid = np.indices(shape) - (np.array(shape).reshape(-1, *[1] * len(shape)) - 1) / 2
    inside = (grid**2).sum(0) <= radius**2
    return np.where(inside, 1 + (grid[-1] > 0), 0).astype(np.uint8)


def write_case(folder: str | Path, name: str, shape: Sequence[int] = (12, 12, 12), seed: int = 0) -> dict[str, str]:
    """Write ``images/<name>.nii.gz`` and ``labels/<name>.nii.gz`` and return the case."""
    label = ball(shape)
    image = write_nifti(Path(folder) / "images" / f"{name}.nii.gz", noise(shape, seed) * 0.3 + label)
    mask = write_nifti(Path(folder) / "labels" / f"{name}.nii.gz", label)
    return {"case": name, "image": str(image), "label": str(mask)}


def rotation(*degrees: float) -> np.ndarray:
    """Return the 4 x 4 rotation about x, then y, then z."""
    matrix = np.eye(4)
    for axis, angle in enumerate(np.radians(degrees)):
        a, b = [other for other in range(3) if other != axis]
        turn = np.eye(4)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix


def orientations() -> list[str]:
    """Return the axis codes of all 48 orientations."""
    orders = itertools.permutations(("RL", "AP", "SI"))
    return ["".join(code) for order in orders for code in itertools.product(*order)]


def orientation_affine(code: str, spacing: Sequence[float] = (1, 1, 1)) -> np.ndarray:
    """Return an affine whose array axes point to the directions of ``code``."""
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for axis, letter in enumerate(code):
        world = next(i for i, pair in enumerate(("RL", "AP", "SI")) if letter in pair)
        affine[world, axis] = spacing[axis] * (1 if letter in "RAS" else -1)
    affine[:3, 3] = 11, -7, 5
    return affine


def meta_tensor(array: np.ndarray | torch.Tensor, affine: np.ndarray | None = None, **meta: Any) -> MetaTensor:
    """Return a MetaTensor as a loader makes it: channel first, with the affine of its file."""
    matrix = torch.as_tensor(np.eye(4) if affine is None else affine, dtype=torch.float64)
    return MetaTensor(torch.as_tensor(array), meta={"affine": matrix, "original_affine": matrix.clone(), **meta})
