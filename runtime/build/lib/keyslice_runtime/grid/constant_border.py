"""Content of an image without its constant border, such as padding or what a mask has set to one value.

The value of the border is found, not assumed to be 0. Two kinds are known: planes at a face of the image in which every
channel has one value, the same in all of them (padding), and the surroundings of a masked image, as after skull
stripping: one value that fills most of all faces.

Images are tensors or arrays: what is done to them is the same for both, and :mod:`bundle.runtime` has no PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

ROUNDING = 1e-6
"""Largest difference in a constant plane relative to its value; resampling rounds."""

TURN_ERROR = 1e-3
"""Largest error of an affine between two orientations of the same grid, in voxels."""

MASKED = 0.75
"""Minimum share of the faces that have the value of the corners in a masked image.

In sagittal volumes of the spine, with tissue on two faces and zeros as air, the share is at most a half."""


class Content(NamedTuple):
    """The content of an image.

    Attributes:
        values: ``(C, ...)``, the image without padding, or ``(C, n)``, the voxels within the mask.
        share: share of the voxels of the image that it has; 1 for an image without a constant border.
    """

    values: Any
    share: float


def find_content(image: Any) -> Content:
    """Return the content of an image ``(C, ...)``; all of an image that has one value.

    Examples:
        >>> import torch
        >>> padded = torch.nn.functional.pad(torch.arange(12.0).reshape(1, 3, 4), (2, 2, 2, 2), value=-7)
        >>> find_content(padded).values.shape
        torch.Size([1, 3, 4])
    """
    inside = image[(slice(None), *content_box(image))]
    outside = _background(inside)
    content = inside if outside is None else inside[:, ~outside]
    if 0 in content.shape:
        return Content(image, 1.0)
    return Content(content, math.prod(content.shape) / math.prod(image.shape))


def content_box(image: Any) -> tuple[slice, ...]:
    """Return the spatial ranges of an image ``(C, ...)`` without constant planes at its faces.

    Planes are looked at from the faces inwards, up to the first that has not the value of the face; then again, as a
    border may lie within another. An image of one value is kept.

    Examples:
        >>> import torch
        >>> content_box(torch.nn.functional.pad(torch.arange(6.0).reshape(1, 2, 3), (4, 0, 1, 1), value=7))
        (slice(1, 3, None), slice(4, 7, None))
    """
    box = tuple(slice(0, size) for size in image.shape[1:])
    inside = image
    while True:
        inner = _inner_box(inside)
        if all(part.stop - part.start == size for part, size in zip(inner, inside.shape[1:], strict=True)):
            return box
        inside = inside[(slice(None), *inner)]
        box = tuple(slice(o.start + i.start, o.start + i.stop) for o, i in zip(box, inner, strict=True))


def cropped_remark(box: tuple[slice, ...], size: Sequence[int]) -> list[str]:
    """Return what is remarked on an image of ``size`` that is cropped to a box."""
    cropped = 1 - math.prod(part.stop - part.start for part in box) / math.prod(size)
    return [f"a constant border, {cropped:.1%} of the image, was cropped"] if cropped else []


def excluded_remark(content: Content) -> list[str]:
    """Return what is remarked on an image whose statistics are those of its content."""
    if content.share == 1:
        return []
    return [f"a constant border, {1 - content.share:.1%} of the image, does not count in the intensity statistics"]


def box_on_file(box: tuple[slice, ...], size: Sequence[int], matrix: np.ndarray) -> tuple[list[slice], list[int]]:
    """Return a box of an image on the axes of its file, and the size of the file.

    Args:
        box: spatial ranges.
        size: size of the image.
        matrix: affine from the voxels of the image to those of the file, a change of orientation.

    Raises:
        ValueError: when the image is on another grid.
    """
    dims = len(box)
    ends = np.array([[part.start, part.stop - 1] for part in box]).T
    turn = matrix[:dims, :dims].round()
    if np.abs(matrix[:dims, :dims] - turn).max() * max(size) > TURN_ERROR:
        raise ValueError("CropConstantBorderd must be used before resampling, on the grid of the file.")
    ends = (ends @ turn.T + matrix[:dims, -1]).round().astype(int)
    full = np.abs(turn @ np.array(size)).astype(int).tolist()
    return [slice(int(low), int(high) + 1) for low, high in zip(ends.min(0), ends.max(0), strict=True)], full


def _inner_box(image: Any) -> tuple[slice, ...]:
    """Return the ranges of an image without its outermost border."""
    box, inside = [], image
    for axis in range(1, image.ndim):
        first, count = _planes(inside, axis, backward=False), inside.shape[axis]
        if first == count:
            return tuple(slice(0, size) for size in image.shape[1:])
        inside = inside[_along(axis, slice(first, count))]
        last = _planes(inside, axis, backward=True)
        inside = inside[_along(axis, slice(0, inside.shape[axis] - last))]
        box.append(slice(first, count - last))
    return tuple(box)


def _planes(image: Any, axis: int, *, backward: bool) -> int:
    """Return the number of planes at one end of an axis that have one value per channel, that of the first plane."""
    count = image.shape[axis]
    value = None
    for number in range(count):
        plane = image[_along(axis, count - 1 - number if backward else number)].reshape(len(image), -1)
        value = plane[:, :1] if value is None else value
        if plane.shape[1] < 2 or not bool(_is_equal(plane, value).all()):
            return number
    return count


def _background(image: Any) -> Any:
    """Return where an image has the value of its surroundings, ``(...)``; None if it is not masked."""
    corners = image[(slice(None), *[slice(None, None, max(size - 1, 1)) for size in image.shape[1:]])].reshape(
        len(image), -1
    )
    medians = [sorted(range(len(row)), key=row.__getitem__)[(len(row) - 1) // 2] for row in corners.tolist()]
    value = corners[list(range(len(image))), medians][:, None]
    met = total = 0
    for axis in range(1, image.ndim):
        for end in (0, image.shape[axis] - 1):
            face = image[_along(axis, end)].reshape(len(image), -1)
            met, total = met + int(_is_equal(face, value).all(0).sum()), total + face.shape[1]
    if met < MASKED * total:
        return None
    return _is_equal(image.reshape(len(image), -1), value).all(0).reshape(image.shape[1:])


def _along(axis: int, place: int | slice) -> tuple[Any, ...]:
    """Return the index of a place along an axis, for all of the axes before it."""
    return (*[slice(None)] * axis, place)


def _is_equal(values: Any, value: Any) -> Any:
    if "float" not in str(values.dtype):
        return values == value
    return abs(values - value) <= ROUNDING * abs(value)
