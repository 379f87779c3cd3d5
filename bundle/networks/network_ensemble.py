"""Several networks of one architecture as one network, whose scores are the mean of theirs.

The weights of all members are one state dict in one file, so that whatever takes a network and a checkpoint (inference,
evaluation, export, the record of a result) takes an ensemble as well.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from bundle.utils.option_checks import check_positive


class NetworkEnsemble(nn.Module):
    """The mean of the logits of networks of one architecture, computed one after the other.

    Args:
        network: the architecture; every member is a copy of it.
        count: number of members.

    Raises:
        ValueError: when there is no member.

    Examples:
        >>> ensemble = NetworkEnsemble(nn.Conv2d(1, 3, 1), count=2)
        >>> ensemble(torch.rand(1, 1, 8, 8)).shape
        torch.Size([1, 3, 8, 8])
    """

    def __init__(self, network: nn.Module, count: int) -> None:
        super().__init__()
        check_positive(count=count)
        self.members = nn.ModuleList([copy.deepcopy(network) for _ in range(count)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the mean of the members' logits for ``x`` ``(B, C, ...)``."""
        total = torch.zeros(0)
        for number, member in enumerate(self.members):
            scores = member(x)
            total = scores if number == 0 else total + scores
        return total / len(self.members)

    @staticmethod
    def join(states: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the state dict of the ensemble whose members have these state dicts."""
        return {f"members.{number}.{key}": value for number, state in enumerate(states) for key, value in state.items()}
