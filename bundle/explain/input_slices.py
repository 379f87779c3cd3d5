"""Slices of an input file along an axis of the volume made from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from monai.data import MetaTensor


@dataclass
class InputSlices:
    """Slices of an input file along an axis of the preprocessed volume.

    Attributes:
        axis: axis of the file's array.
        nearest: slice of the preprocessed volume that is closest to each slice of the file.
        position_mm: position of each slice of the file along its normal, in scanner coordinates; where the file is not
            oblique, its x, y or z coordinate.
    """

    axis: int
    nearest: np.ndarray
    position_mm: np.ndarray


def input_slices(image: MetaTensor, axis: int) -> InputSlices:
    """Find the slices of the input file along ``axis`` of the preprocessed volume ``(1, D, H, W)`` made from it."""
    before = np.asarray(image.meta["original_affine"], dtype=float)
    after = np.asarray(image.affine, dtype=float)
    to_file = np.linalg.solve(before, after)
    file_axis = int(np.abs(to_file[:3, axis]).argmax())
    numbers = np.arange(int(np.asarray(image.meta["spatial_shape"])[file_axis]))
    places = (numbers - to_file[file_axis, 3]) / to_file[file_axis, axis]
    nearest = places.round().astype(int).clip(0, image.shape[1 + axis] - 1)
    normal = after[:3, axis] / np.linalg.norm(after[:3, axis])
    positions = normal @ before[:3, 3] + (normal @ before[:3, file_axis]) * numbers
    return InputSlices(file_axis, nearest, positions)
