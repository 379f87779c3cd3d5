"""Classification of an image by the mean over crops of several scales and the complete image."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from torch.nn import functional

from bundle.utils.parse_bool import parse_bool

from .scale_crops import crop_side


class CropAverageInferer(Inferer):
    """Average the logits of a network over crops of an image, all resized to one size.

    Source: Zhang et al., Attention Residual Learning for Skin Lesion Classification, IEEE TMI 2019, whose test
    predictions are means over 9 crops, cut as in training (:class:`bundle.tasks.classification.RandScaleCropd`): by
    default two of each of four scales, and the complete image. The crops of the source are random; here they have fixed
    positions, on a diagonal of the region of the training crops, so that the score of an image is reproducible.

    Args:
        spatial_size: input size ``(H, W)`` of the network.
        scales: sides of the crops as fractions of those of the image, in (0, 1].
        crops: number of crops per scale.
        jitter: how much larger than a crop, relative to it, the central region of the crops is.
        whole: also use the complete image.
        mirror: also use every crop mirrored left to right.
        sw_batch_size: number of crops per forward pass of the network.

    Raises:
        ValueError: when a number is out of range, or there is nothing to average.

    Examples:
        >>> network = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 2))
        >>> CropAverageInferer((32, 32))(torch.rand(1, 3, 60, 90), network).shape
        torch.Size([1, 2])
    """

    def __init__(
        self,
        spatial_size: Sequence[int],
        *,
        scales: Sequence[float] = (0.2, 0.4, 0.6, 0.8),
        crops: int = 2,
        jitter: float = 0.25,
        whole: bool = True,
        mirror: bool = False,
        sw_batch_size: int = 16,
    ) -> None:
        super().__init__()
        if len(spatial_size) != 2 or min(spatial_size) < 1 or sw_batch_size < 1:
            raise ValueError(
                "spatial_size must be two positive numbers and sw_batch_size one, "
                f"got {list(spatial_size)} and {sw_batch_size}."
            )
        if not all(0 < scale <= 1 for scale in scales) or crops < 0 or jitter < 0:
            raise ValueError(
                "scales must lie in (0, 1], and neither crops nor jitter be negative, "
                f"got {list(scales)}, {crops} and {jitter}."
            )
        if not whole and (not crops or not scales):
            raise ValueError("without the complete image, at least one scale and one crop are needed.")
        self.roi_size, self.sw_batch_size = tuple(spatial_size), sw_batch_size
        self.scales, self.crops, self.jitter, self.whole = list(scales), crops, jitter, whole
        self.mirror = parse_bool("mirror", mirror)

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Return mean logits ``(B, K)``, float32, of images ``(B, C, H, W)``.

        Raises:
            ValueError: when ``inputs`` does not have four axes.
        """
        if inputs.ndim != 4:
            raise ValueError(f"images must have the shape (B, C, H, W), got {tuple(inputs.shape)}.")
        parts = [self._crop(inputs, box) for box in self.boxes(inputs.shape[2:])]
        if self.mirror:
            parts += [part.flip(-1) for part in parts]
        stacked = torch.stack(parts, dim=1).flatten(0, 1)
        logits = [network(batch, *args, **kwargs).detach().float() for batch in stacked.split(self.sw_batch_size)]
        return torch.cat(logits).unflatten(0, (len(inputs), len(parts))).mean(dim=1)

    def example(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the first crop ``(1, C, h, w)`` of the first image."""
        return self._crop(inputs[:1], next(self.boxes(inputs.shape[2:])))

    def _crop(self, inputs: torch.Tensor, box: tuple[slice, slice]) -> torch.Tensor:
        """Return a region of images, resized to the input size of the network."""
        images = (inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs).float()
        return functional.interpolate(images[(..., *box)], size=self.roi_size, mode="bilinear", antialias=True)

    def boxes(self, size: Sequence[int]) -> Iterator[tuple[slice, slice]]:
        """Yield the crops of an image of ``size`` pixels as slices of rows and columns."""
        if self.whole:
            yield slice(0, size[0]), slice(0, size[1])
        for (number, scale), crop in itertools.product(enumerate(self.scales), range(self.crops)):
            along = crop / (self.crops - 1) if self.crops > 1 else 0.5
            across = along if number % 2 == 0 else 1 - along
            yield crop_side(size[0], scale, along, self.jitter), crop_side(size[1], scale, across, self.jitter)
