"""Checks of the arguments of the losses."""

from __future__ import annotations

import pytest
import torch

from bundle.losses.loss_checks import check_logits, check_maps, working_type


def test_maps_of_the_shape_of_their_targets_pass() -> None:
    check_maps(torch.zeros(1, 2, 3), torch.zeros(1, 2, 3))


def test_error_states_both_shapes() -> None:
    with pytest.raises(ValueError, match=r"got \(1, 2, 3\) and \(1, 2, 4\)"):
        check_maps(torch.zeros(1, 2, 3), torch.zeros(1, 2, 4))


def test_logits_need_the_shape_of_their_targets() -> None:
    check_logits(torch.zeros(2, 3), torch.zeros(2, 3))
    for logits, target in (((2, 3), (2, 1)), ((3,), (3,))):
        with pytest.raises(ValueError, match="logits and targets must have the same shape"):
            check_logits(torch.zeros(logits), torch.zeros(target))


@pytest.mark.parametrize("given", [torch.float16, torch.bfloat16, torch.float32])
def test_half_precision_is_computed_in_single(given: torch.dtype) -> None:
    assert working_type(torch.zeros((), dtype=given)) == torch.float32
    assert working_type(torch.zeros((), dtype=torch.float64)) == torch.float64
