"""Random color changes of an image, which MONAI has only for single channels."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform
from monai.utils import convert_to_dst_type

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the brightness of a color, ITU-R BT.601."""


class RandColord(RandomizableTransform, MapTransform):
    """Change brightness, contrast, saturation and hue of RGB images ``(3, H, W)`` from 0 to 1, all at once.

    Brightness multiplies all values; contrast scales them about the mean luma of the image; saturation scales a color
    about its luma; hue rotates it about the gray axis. All four are linear, so they are one matrix and one offset per
    image. Values are clipped to the range.

    Args:
        keys: keys of the images; all get the same change.
        prob: probability of a change.
        brightness: largest relative change of the brightness, in [0, 1).
        contrast: largest relative change of the contrast, in [0, 1).
        saturation: largest relative change of the saturation, in [0, 1).
        hue: largest rotation in degrees, in [0, 180].
        allow_missing_keys: skip missing keys.

    Raises:
        ValueError: when a number is out of range.

    Examples:
        >>> RandColord("image", prob=1.0)({"image": torch.rand(3, 32, 32)})["image"].shape
        torch.Size([3, 32, 32])
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        prob: float = 0.5,
        brightness: float = 0.2,
        contrast: float = 0.2,
        saturation: float = 0.2,
        hue: float = 10.0,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        if not all(0 <= value < 1 for value in (brightness, contrast, saturation)) or not 0 <= hue <= 180:
            raise ValueError(
                "brightness, contrast and saturation must lie in [0, 1) and hue in [0, 180] degrees, "
                f"got {brightness}, {contrast}, {saturation} and {hue}."
            )
        self.largest = (brightness, contrast, saturation, hue)
        self.drawn = (1.0, 1.0, 1.0, 0.0)

    def randomize(self, data: Any = None) -> None:
        """Draw whether and how colors change."""
        super().randomize(None)
        steps = [float(self.R.uniform(-largest, largest)) for largest in self.largest]
        self.drawn = (1 + steps[0], 1 + steps[1], 1 + steps[2], steps[3])

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Change the images.

        Raises:
            ValueError: when an image does not have three channels.
        """
        d = dict(data)
        self.randomize()
        if self._do_transform:
            for key in self.key_iterator(d):
                d[key] = convert_to_dst_type(change_colors(torch.as_tensor(d[key]), *self.drawn), d[key])[0]
        return d


def change_colors(
    image: torch.Tensor, brightness: float, contrast: float, saturation: float, hue: float
) -> torch.Tensor:
    """Return an image ``(3, H, W)`` with its brightness, contrast and saturation multiplied and its hue rotated.

    Args:
        image: values from 0 to 1.
        brightness: factor; applied first, then the others in their order.
        contrast: factor.
        saturation: factor.
        hue: degrees, from red towards green.

    Raises:
        ValueError: when the image does not have three channels.
    """
    if image.shape[0] != 3:
        raise ValueError(f"color changes need images (3, H, W), got the shape {tuple(image.shape)}.")
    luma = np.array(LUMA)
    gray = np.tile(luma, (3, 1))
    colors = _hue_rotation(hue) @ (saturation * np.eye(3) + (1 - saturation) * gray)
    pixels = image.flatten(1)
    mean = float(luma @ pixels.mean(dim=1).double().cpu().numpy())
    offset = (1 - contrast) * brightness * mean
    matrix = torch.as_tensor(colors * (brightness * contrast), dtype=pixels.dtype, device=pixels.device)
    return (matrix @ pixels + offset).clamp_(0, 1).view_as(image)


def _hue_rotation(degrees: float) -> np.ndarray:
    """Return the rotation about the gray axis (Rodrigues' formula)."""
    angle, axis = np.radians(degrees), np.full(3, 1 / np.sqrt(3))
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
    return np.cos(angle) * np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * np.outer(axis, axis)
