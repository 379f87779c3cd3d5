"""Classification of a picture by the mean over crops of several scales and the whole."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from torch.nn import functional


class CropAverageInferer(Inferer):
    """Average the logits of a network over crops of a picture, all resized to one size.

    Source: Zhang et al., Attention Residual Learning for Skin Lesion Classification, IEEE TMI 2019, whose test
    predictions are means over 9 crops, cut as in training (:class:`bundle.tasks.classification.RandScaleCropd`): by
    default two of each of four scales, and the whole. There they lie at random; here they have fixed places, on a
    diagonal of the region that training cuts them from, so that a picture has one score.

    Args:
        spatial_size: ``(H, W)`` of what the network gets.
        scales: sides of the crops, as shares of those of the picture, in (0, 1].
        crops: crops of every scale.
        jitter: how much larger than a crop, relative to it, the central region is in which it lies.
        whole: take the whole picture as well.
        batch_size: crops that the network gets at once.

    Raises:
        ValueError: when a number is out of its range, or there is nothing to average over.
    """

    def __init__(
        self,
        spatial_size: Sequence[int],
        *,
        scales: Sequence[float] = (0.2, 0.4, 0.6, 0.8),
        crops: int = 2,
        jitter: float = 0.25,
        whole: bool = True,
        batch_size: int = 16,
    ) -> None:
        super().__init__()
        if len(spatial_size) != 2 or min(spatial_size) < 1 or batch_size < 1:
            raise ValueError(
                "spatial_size must be two positive numbers and batch_size one, "
                f"got {list(spatial_size)} and {batch_size}."
            )
        if not all(0 < scale <= 1 for scale in scales) or crops < 0 or jitter < 0:
            raise ValueError(
                "scales must lie in (0, 1], and neither crops nor jitter be negative, "
                f"got {list(scales)}, {crops} and {jitter}."
            )
        if not whole and (not crops or not scales):
            raise ValueError("without the whole picture, one scale and one crop are needed at least.")
        self.spatial_size, self.batch_size = tuple(spatial_size), batch_size
        self.scales, self.crops, self.jitter, self.whole = list(scales), crops, jitter, whole

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Return mean logits ``(B, K)``, float32, of pictures ``(B, C, H, W)``.

        Raises:
            ValueError: when ``inputs`` has not four axes.
        """
        if inputs.ndim != 4:
            raise ValueError(f"pictures must have the shape (B, C, H, W), got {tuple(inputs.shape)}.")
        pictures = (inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs).float()
        options: dict[str, Any] = {"size": self.spatial_size, "mode": "bilinear", "antialias": True}
        boxes = self.boxes(inputs.shape[2:])
        parts = [functional.interpolate(pictures[:, :, rows, columns], **options) for rows, columns in boxes]
        stacked = torch.stack(parts, dim=1).flatten(0, 1)
        logits = [network(batch, *args, **kwargs).detach().float() for batch in stacked.split(self.batch_size)]
        return torch.cat(logits).unflatten(0, (len(pictures), len(parts))).mean(dim=1)

    def boxes(self, size: Sequence[int]) -> Iterator[tuple[slice, slice]]:
        """Yield the crops of a picture of ``size`` pixels as slices of its rows and columns."""
        if self.whole:
            yield slice(0, size[0]), slice(0, size[1])
        for (number, scale), crop in itertools.product(enumerate(self.scales), range(self.crops)):
            along = crop / (self.crops - 1) if self.crops > 1 else 0.5
            across = along if number % 2 == 0 else 1 - along
            yield self._side(size[0], scale, along), self._side(size[1], scale, across)

    def _side(self, side: int, scale: float, place: float) -> slice:
        length = max(round(side * scale), 1)
        region = min(max(round(side * scale * (1 + self.jitter)), length), side)
        start = (side - region) // 2 + round((region - length) * place)
        return slice(start, start + length)
