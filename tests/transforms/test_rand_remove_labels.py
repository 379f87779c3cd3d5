"""Structures that are missing."""

from __future__ import annotations

import pytest
import torch

from bundle.transforms import RandRemoveLabelsd


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.float32])
def test_all_structures_are_removed_together(dtype: torch.dtype) -> None:
    label = torch.tensor([[0, 3, 7, 3, 9]], dtype=dtype)
    found = RandRemoveLabelsd("label", labels=[3, 9], prob=1.0)({"label": label})["label"]
    assert found.tolist() == [[0, 0, 7, 0, 0]]
    assert found.dtype == dtype
    assert label.max() == 9


def test_without_luck_nothing_changes() -> None:
    label = torch.tensor([[3]])
    assert RandRemoveLabelsd("label", labels=[3], prob=0.0)({"label": label})["label"] is label
