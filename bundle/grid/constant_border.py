"""Content of an image without its constant border, such as padding or what a mask has set to one value.

The value of the border is found, not assumed to be 0. Two kinds are known: planes at a face of the image in which every
channel has one value, the same in all of them (padding), and the surroundings of a masked image, as after skull
stripping: one value that fills most of all faces.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

ROUNDING = 1e-6
"""Largest difference in a constant plane relative to its value; resampling rounds."""

MASKED = 0.75
"""Minimum share of the faces that have the value of the corners in a masked image.

In sagittal volumes of the spine, with tissue on two faces and zeros as air, the share is at most a half."""


class Content(NamedTuple):
    """The content of an image.

    Attributes:
        values: ``(C, ...)``, the image without padding, or ``(C, n)``, the voxels within the mask.
        share: share of the voxels of the image that it has; 1 for an image without a constant border.
    """

    values: torch.Tensor
    share: float


def find_content(image: torch.Tensor) -> Content:
    """Return the content of an image ``(C, ...)``; all of an image that has one value.

    Examples:
        >>> padded = torch.nn.functional.pad(torch.arange(12.0).reshape(1, 3, 4), (2, 2, 2, 2), value=-7)
        >>> find_content(padded).values.shape
        torch.Size([1, 3, 4])
    """
    inside = image[(slice(None), *content_box(image))]
    outside = _background(inside)
    content = inside if outside is None else inside[:, ~outside]
    if not content.numel():
        return Content(image, 1.0)
    return Content(content, content.numel() / image.numel())


def content_box(image: torch.Tensor) -> tuple[slice, ...]:
    """Return the spatial ranges of an image ``(C, ...)`` without constant planes at its faces.

    Planes are looked at from the faces inwards, up to the first that has not the value of the face; then again, as a
    border may lie within another. An image of one value is kept.

    Examples:
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


def _inner_box(image: torch.Tensor) -> tuple[slice, ...]:
    """Return the ranges of an image without its outermost border."""
    box, inside = [], image
    for axis in range(1, image.ndim):
        first, count = _planes(inside, axis, backward=False), inside.shape[axis]
        if first == count:
            return tuple(slice(0, size) for size in image.shape[1:])
        inside = inside.narrow(axis, first, count - first)
        last = _planes(inside, axis, backward=True)
        inside = inside.narrow(axis, 0, inside.shape[axis] - last)
        box.append(slice(first, count - last))
    return tuple(box)


def _planes(image: torch.Tensor, axis: int, *, backward: bool) -> int:
    """Return the number of planes at one end of an axis that have one value per channel, that of the first plane."""
    count = image.shape[axis]
    value = None
    for number in range(count):
        plane = image.select(axis, count - 1 - number if backward else number).reshape(len(image), -1)
        value = plane[:, :1] if value is None else value
        if plane.shape[1] < 2 or not bool(_is_equal(plane, value).all()):
            return number
    return count


def _background(image: torch.Tensor) -> torch.Tensor | None:
    """Return where an image has the value of its surroundings, ``(...)``; None if it is not masked."""
    corners = image[(slice(None), *[slice(None, None, max(size - 1, 1)) for size in image.shape[1:]])].flatten(1)
    value = corners.median(1, keepdim=True).values
    met = total = 0
    for axis in range(1, image.ndim):
        for end in (0, image.shape[axis] - 1):
            face = image.select(axis, end).reshape(len(image), -1)
            met, total = met + int(_is_equal(face, value).all(0).sum()), total + face.shape[1]
    if met < MASKED * total:
        return None
    return _is_equal(image.flatten(1), value).all(0).reshape(image.shape[1:])


def _is_equal(values: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    if not values.is_floating_point():
        return values == value
    return (values - value).abs() <= ROUNDING * value.abs()
