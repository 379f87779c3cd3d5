"""Structures with a margin."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.phantoms import meta_tensor

from bundle.transforms import DilateLabelsd


def test_the_margin_is_in_mm() -> None:
    label = torch.zeros(1, 21, 21, 21)
    label[0, 10, 10, 10] = 1
    found = DilateLabelsd("label", labels=[1], margin=4.0)(
        {"label": meta_tensor(label, affine=np.diag([1.0, 2, 4, 1]))}
    )
    inside = found["label"][0].nonzero()
    assert (inside.max(0).values - inside.min(0).values).tolist() == [8, 4, 2]
    assert found["label"].sum() == 9 * 5 * 3


def test_dilated_structures_do_not_take_voxels_of_each_other() -> None:
    label = torch.tensor([[[[1, 0, 3, 0, 2, 2, 3, 3, 3]]]], dtype=torch.uint8)
    found = DilateLabelsd("label", labels=[1, 2], margin=2.0)({"label": meta_tensor(label)})["label"]
    assert found.flatten().tolist() == [1, 1, 1, 2, 2, 2, 2, 2, 3]
    assert found.dtype == torch.uint8


def test_a_negative_margin_is_refused() -> None:
    with pytest.raises(ValueError, match="margin must be 0 mm or more, got -1"):
        DilateLabelsd("label", labels=[1], margin=-1)
