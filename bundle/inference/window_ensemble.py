"""The mean of the scores of several networks for windows and their mirror images."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch

Network = Callable[..., torch.Tensor]


class Ensemble:
    """Mean of the scores of networks and mirrorings, added in one buffer that is reused for every batch.

    Args:
        networks: networks, called with windows ``(N, C, ...)`` and the further arguments of :meth:`__call__`.
        mirrorings: lists of axes to mirror, the empty one for none.
    """

    def __init__(self, networks: Sequence[Network], mirrorings: Sequence[list[int]]) -> None:
        self.networks, self.mirrorings = networks, mirrorings
        self.total = torch.empty(0)

    def __call__(self, windows: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return scores ``(N, K, ...)`` of windows ``(N, C, ...)``; they are valid until the next call.

        Raises:
            ValueError: when a network does not return one tensor of scores for every voxel, or networks differ in their
            classes.
        """
        passes = list(itertools.product(self.networks, self.mirrorings))
        for number, (network, axes) in enumerate(passes):
            scores = _checked(network(windows.flip(axes) if axes else windows, *args, **kwargs), windows)
            if len(passes) == 1:
                return scores
            if number == 0:
                self._reset(scores)
            if scores.shape[1] != self.total.shape[1]:
                raise ValueError(
                    f"networks must agree on the classes, got {self.total.shape[1]} and {scores.shape[1]}."
                )
            for value in range(scores.shape[1]):
                part = scores[:, value]
                self.total[: len(windows), value] += part.flip([axis - 1 for axis in axes]) if axes else part
        return self.total[: len(windows)].div_(len(passes))

    def _reset(self, scores: torch.Tensor) -> None:
        if len(self.total) < len(scores) or self.total.shape[1:] != scores.shape[1:]:
            self.total = torch.empty(scores.shape, dtype=torch.float32, device=scores.device)
        self.total.zero_()


def _checked(scores: Any, windows: torch.Tensor) -> torch.Tensor:
    if not isinstance(scores, torch.Tensor):
        raise ValueError(f"network must return one tensor of scores, got {type(scores).__name__}.")
    if scores.ndim != windows.ndim or scores.shape[0] != len(windows) or scores.shape[2:] != windows.shape[2:]:
        raise ValueError(
            f"network must return scores for every voxel: for windows {tuple(windows.shape)} got {tuple(scores.shape)}."
        )
    return scores.detach()
