"""Inference on the parallel slabs of a volume as a batch of images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer


class SlabBatchInferer(Inferer):
    """Run a 2D network over the slabs ``(B, N, 1, A, S)`` of volumes; its maps are returned as ``(B, N, C, a, s)``.

    The N parallel sagittal slabs of a spine are separate images for the network.

    Args:
        sw_batch_size: number of slabs per forward pass of the network.

    Attributes:
        roi_size: empty, since the size of the slabs is that of the volume.

    Raises:
        ValueError: when ``sw_batch_size`` is below 1.

    Examples:
        >>> network = torch.nn.Conv2d(1, 24, kernel_size=4, stride=4)
        >>> SlabBatchInferer()(torch.rand(1, 5, 1, 64, 96), network).shape
        torch.Size([1, 5, 24, 16, 24])
    """

    def __init__(self, *, sw_batch_size: int = 4) -> None:
        super().__init__()
        if sw_batch_size < 1:
            raise ValueError(f"sw_batch_size must be 1 or more, got {sw_batch_size}.")
        self.sw_batch_size = sw_batch_size
        self.roi_size: tuple[int, ...] = ()

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Return the maps of all slabs.

        Raises:
            ValueError: when ``inputs`` does not have five axes with one channel per slab.
        """
        if inputs.ndim != 5 or inputs.shape[2] != 1:
            raise ValueError(f"slabs must have the shape (B, N, 1, A, S), got {tuple(inputs.shape)}.")
        maps = [network(batch, *args, **kwargs) for batch in inputs.flatten(0, 1).split(self.sw_batch_size)]
        return torch.cat(maps).unflatten(0, inputs.shape[:2])

    def example(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return different slabs ``(N, 1, A, S)`` of the first volume: the middle, the first and the last one."""
        slabs = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs
        count = slabs.shape[1]
        return slabs[0, list(dict.fromkeys([count // 2, 0, count - 1]))]
