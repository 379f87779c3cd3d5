"""Inference on the parallel slabs of a volume as a batch of images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import Inferer


class SlabBatchInferer(Inferer):
    """Run a 2D network over the slabs ``(B, N, 1, A, S)`` of volumes; its maps are returned as ``(B, N, C, a, s)``.

    The N parallel sagittal slabs of a spine are separate images for the network.

    Args:
        batch_size: number of slabs per forward pass of the network.

    Raises:
        ValueError: when ``batch_size`` is below 1.

    Examples:
        >>> network = torch.nn.Conv2d(1, 24, kernel_size=4, stride=4)
        >>> SlabBatchInferer()(torch.rand(1, 5, 1, 64, 96), network).shape
        torch.Size([1, 5, 24, 16, 24])
    """

    def __init__(self, *, batch_size: int = 4) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more, got {batch_size}.")
        self.batch_size = batch_size

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Return the maps of all slabs.

        Raises:
            ValueError: when ``inputs`` does not have five axes with one channel per slab.
        """
        if inputs.ndim != 5 or inputs.shape[2] != 1:
            raise ValueError(f"slabs must have the shape (B, N, 1, A, S), got {tuple(inputs.shape)}.")
        maps = [network(batch, *args, **kwargs) for batch in inputs.flatten(0, 1).split(self.batch_size)]
        return torch.cat(maps).unflatten(0, inputs.shape[:2])
