"""Fields of view that end within the object."""

from __future__ import annotations

import pytest
import torch

from bundle.transforms import RandCutFieldOfViewd


def test_what_is_left_is_a_box_of_all_maps() -> None:
    cut = RandCutFieldOfViewd(["image", "label"], prob=0.7, max_share=0.4).set_random_state(seed=0)
    image, label = torch.rand(2, 20, 30, 25) + 1, torch.ones(1, 20, 30, 25)
    sizes = set()
    for _ in range(10):
        found = cut({"image": image, "label": label})
        kept = found["label"][0] > 0
        assert torch.equal(found["image"], image * kept)
        inside = kept.nonzero()
        size = inside.max(0).values - inside.min(0).values + 1
        assert size.prod() == kept.sum()
        assert all(count >= 0.19 * full for count, full in zip(size, kept.shape, strict=True))
        sizes.add(tuple(size.tolist()))
    assert len(sizes) == 10


def test_without_luck_nothing_is_cut() -> None:
    image = torch.ones(1, 4, 4, 4)
    assert torch.equal(RandCutFieldOfViewd("image", prob=0.0)({"image": image})["image"], image)


def test_a_share_beyond_the_middle_is_refused() -> None:
    with pytest.raises(ValueError, match=r"max_share must lie in \[0, 0.5\], got 0.6"):
        RandCutFieldOfViewd("image", max_share=0.6)
