"""Checks of the arguments of the losses."""

from __future__ import annotations

import torch


def check_logits(logits: torch.Tensor, target: torch.Tensor) -> None:
    """Check that logits and their targets have the same shape ``(B, C, ...)``.

    Raises:
        ValueError: when the shapes differ or have fewer axes.
    """
    _check_shapes("logits and targets", "(B, C, ...)", 2, logits, target)


def check_maps(maps: torch.Tensor, target: torch.Tensor) -> None:
    """Check that heat maps and their targets have the same shape ``(B, J, ...)``.

    Raises:
        ValueError: when the shapes differ or have no spatial axis.
    """
    _check_shapes("heat maps and targets", "(B, J, ...)", 3, maps, target)


def working_type(maps: torch.Tensor) -> torch.dtype:
    """Return the type in which a loss is computed: that of the maps, but at least single precision."""
    return torch.promote_types(maps.dtype, torch.float32)


def _check_shapes(what: str, form: str, axes: int, first: torch.Tensor, second: torch.Tensor) -> None:
    if first.dim() < axes or first.shape != second.shape:
        raise ValueError(f"{what} must have the same shape {form}, got {tuple(first.shape)} and {tuple(second.shape)}.")
