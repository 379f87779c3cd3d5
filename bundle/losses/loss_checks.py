"""What the losses of heat maps ask of their arguments."""

from __future__ import annotations

import torch


def check_maps(maps: torch.Tensor, target: torch.Tensor) -> None:
    """Refuse maps that do not fit their targets.

    Raises:
        ValueError: when the shapes differ or are not those of maps ``(B, J, ...)``.
    """
    if maps.dim() < 3 or maps.shape != target.shape:
        raise ValueError(
            f"heat maps and targets must have one shape (B, J, ...), got {tuple(maps.shape)} and {tuple(target.shape)}."
        )


def working_type(maps: torch.Tensor) -> torch.dtype:
    """Return the type that a loss is computed in: that of the maps, and single precision where theirs is half."""
    return torch.promote_types(maps.dtype, torch.float32)
