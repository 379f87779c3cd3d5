"""Layers that the DenseUNets share; what they compute is tested with the networks."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bundle.networks.blocks.dense import LAYERS_2D, LAYERS_3D, check_dropout, dense_layers, stack, unstack


@pytest.mark.parametrize("axis", [2, 3, 4])
def test_slices_as_a_batch_are_those_of_the_volume(axis: int) -> None:
    x = torch.randn(2, 3, 4, 5, 6)
    slices = unstack(x, axis)
    wanted = [x[sample].select(axis - 1, index) for sample in range(2) for index in range(x.shape[axis])]
    assert torch.equal(slices, torch.stack(wanted))
    assert torch.equal(stack(slices, x.shape[axis], axis), x)


def test_options_are_those_of_the_paper_unless_they_are_given() -> None:
    assert dense_layers("branch_2d", None, LAYERS_2D) == LAYERS_2D
    assert dense_layers("branch_3d", {"growth": 8}, LAYERS_3D) == {**LAYERS_3D, "growth": 8}


@pytest.mark.parametrize(
    ("option", "value"),
    [("blocks", []), ("growth", 0), ("stem", 0), ("decoder", [8]), ("compression", 2), ("bottleneck", 0)],
)
def test_bad_option_is_refused_by_the_names_of_group_and_option(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^branch_2d#{option} "):
        dense_layers("branch_2d", {option: value}, LAYERS_2D)


@pytest.mark.parametrize("dropout", [-0.1, 1])
def test_dropout_is_a_probability_below_1(dropout: float) -> None:
    check_dropout(0.0)
    with pytest.raises(ValueError, match=r"^dropout must be in \[0, 1\), got"):
        check_dropout(dropout)
