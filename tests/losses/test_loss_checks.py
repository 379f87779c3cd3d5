"""What the losses of heat maps ask of their arguments."""

from __future__ import annotations

import pytest
import torch

from bundle.losses.loss_checks import check_maps, working_type


def test_maps_of_the_shape_of_their_targets_pass() -> None:
    check_maps(torch.zeros(1, 2, 3), torch.zeros(1, 2, 3))


def test_error_tells_both_shapes() -> None:
    with pytest.raises(ValueError, match=r"got \(1, 2, 3\) and \(1, 2, 4\)"):
        check_maps(torch.zeros(1, 2, 3), torch.zeros(1, 2, 4))


@pytest.mark.parametrize("given", [torch.float16, torch.bfloat16, torch.float32])
def test_half_precision_is_computed_in_single(given: torch.dtype) -> None:
    assert working_type(torch.zeros((), dtype=given)) == torch.float32
    assert working_type(torch.zeros((), dtype=torch.float64)) == torch.float64
