"""Cropping of a constant border, and restoring it around results."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import Crop, InvertibleTransform, MapTransform

from bundle.utils.image_remarks import add_remarks
from bundle.utils.parse_bool import parse_bool

from .constant_border import box_on_file, content_box, cropped_remark

CONTENT = "content"
"""Key in the metadata: for every axis of the file the start, the stop and the size of the axis."""

OUTSIDE = -1000.0
"""Score of a structure in the border: its probability is 0, by sigmoid or softmax."""


class CropConstantBorderd(MapTransform, InvertibleTransform):
    """Crop constant planes at the faces of an image ``(C, ...)``, such as padding of any value.

    So a network sees of a padded image what it sees of the image without padding. :class:`.LabelMapAssembler` and
    :class:`bundle.tasks.images.ImageTilesInferer` return results on the grid of the file, with background in the
    border. What was cropped is a remark. An image of one value is kept. See :mod:`bundle.grid.constant_border`.

    Args:
        keys: keys of the image and of maps on its grid, which are cropped alike.
        source_key: key of the image.
        enabled: false keeps everything, e.g. for networks whose training images have bars of a neutral color.
        allow_missing_keys: skip missing keys.

    Examples:
        >>> image = MetaTensor(torch.nn.functional.pad(torch.rand(1, 4, 5, 6), [3] * 6, value=-1024))
        >>> image = CropConstantBorderd("image")({"image": image})["image"]
        >>> image.shape, image.affine[:3, 3].tolist()
        (torch.Size([1, 4, 5, 6]), [3.0, 3.0, 3.0])
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        source_key: str = "image",
        enabled: bool | str = True,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.source_key, self.enabled = source_key, parse_bool("crop_border", enabled)
        self.crop = Crop()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Crop.

        Raises:
            ValueError: when the image is no longer on the grid of its file, except for the orientation.
        """
        d = dict(data)
        if not self.enabled:
            return d
        image = d[self.source_key]
        box = content_box(image.as_tensor())
        content = _content(box, image)
        remarks = cropped_remark(box, image.shape[1:])
        for key in self.key_iterator(d):
            d[key] = self.crop(d[key], box)
            d[key].meta[CONTENT] = content
            if remarks:
                d[key] = d[key].clone()
        if remarks:
            add_remarks(d[self.source_key], remarks)
        return d

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Pad with zeros what was cropped."""
        d = dict(data)
        for key in self.key_iterator(d) if self.enabled else ():
            d[key] = self.crop.inverse(d[key])
        return d


def content_of(image: Any, index: int = 0) -> tuple[tuple[slice, ...], tuple[int, ...]] | None:
    """Return the spatial ranges of the content on the grid of the file, and the size of the file.

    Args:
        image: image, or a batch of them.
        index: number of the image in the batch.

    Returns:
        None for an image that :class:`CropConstantBorderd` has not seen.
    """
    if not isinstance(image, MetaTensor) or CONTENT not in image.meta:
        return None
    numbers = np.asarray(image.meta[CONTENT])
    numbers = numbers.reshape(-1, *numbers.shape[-2:])[index]
    return tuple(slice(int(start), int(stop)) for start, stop, _ in numbers), tuple(int(size) for *_, size in numbers)


def restore_border(scores: torch.Tensor, image: Any, index: int = 0) -> torch.Tensor:
    """Return scores ``(K, ...)`` of the content of an image on the grid of its file.

    Args:
        scores: logits, of one structure or of several with the background first, on the grid of the cropped image.
        image: image, or a batch of them.
        index: number of the image in the batch.
    """
    content = content_of(image, index)
    if content is None or tuple(scores.shape[1:]) == content[1]:
        return scores
    box, size = content
    result = scores.new_full((len(scores), *size), OUTSIDE)
    if len(scores) > 1:
        result[0] = 0
    result[(slice(None), *box)] = scores
    return result


def _content(box: tuple[slice, ...], image: MetaTensor) -> np.ndarray:
    """Return the ranges ``(dims, 3)`` of a box of an image on the axes of its file: start, stop and size."""
    matrix = np.eye(len(box) + 1)
    if "original_affine" in image.meta:
        before, after = (np.asarray(matrix, dtype=float) for matrix in (image.meta["original_affine"], image.affine))
        matrix = np.linalg.solve(before, after)
    ranges, size = box_on_file(box, image.shape[1:], matrix)
    return np.array([[part.start, part.stop, count] for part, count in zip(ranges, size, strict=True)])
