"""Aligned Xception-65; what it shares with other trunks is tested in ``test_trunk.py``."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bundle.networks.backbones.xception import XceptionBlock, XceptionTrunk


def weights_of(pairs: list[tuple[int, int]], projection: tuple[int, int] | None) -> int:
    """Count a block by hand: kernels without bias, two numbers a channel for every batch normalization."""
    separable = sum(9 * a + 2 * a + a * b + 2 * b for a, b in pairs)
    return separable + (projection[0] * projection[1] + 2 * projection[1] if projection else 0)


def test_parameters_are_the_published_number() -> None:
    with torch.device("meta"):
        trunk = XceptionTrunk(2, 3)
    number = sum(parameter.numel() for parameter in trunk.parameters())
    stem = 27 * 32 + 2 * 32 + 9 * 32 * 64 + 2 * 64
    entry = sum(weights_of([(a, b), (b, b), (b, b)], (a, b)) for a, b in [(64, 128), (128, 256), (256, 728)])
    leave = weights_of([(728, 728), (728, 1024), (1024, 1024)], (728, 1024))
    leave += weights_of([(1024, 1536), (1536, 1536), (1536, 2048)], None)
    assert number == stem + entry + 16 * weights_of([(728, 728)] * 3, None) + leave
    assert f"{number / 1e6:.2f} M" == "37.87 M"


def test_channels_are_those_of_the_paper() -> None:
    with torch.device("meta"):
        assert XceptionTrunk(2, 3).channels == [64, 256, 256, 728, 2048]


@pytest.mark.parametrize(("output_stride", "middle", "leave"), [(32, 1, (1, 1)), (16, 1, (1, 2)), (8, 2, (2, 4))])
def test_dilations_are_those_of_the_paper(output_stride: int, middle: int, leave: tuple[int, int]) -> None:
    trunk = XceptionTrunk(2, 3, width=1 / 32, middle_blocks=2, output_stride=output_stride)

    def dilations(part: nn.Module) -> set[int]:
        return {conv.dilation[0] for conv in part.modules() if isinstance(conv, nn.Conv2d) and conv.groups > 1}

    assert dilations(trunk.entry3) == {1}
    assert (dilations(trunk.middle), dilations(trunk.exit1), dilations(trunk.exit2)) == (
        {middle},
        {leave[0]},
        {leave[1]},
    )


def test_low_level_feature_is_before_the_stride_of_the_second_entry_block() -> None:
    trunk, x = XceptionTrunk(2, 1, width=1 / 16, middle_blocks=1).eval(), torch.randn(1, 1, 48, 40)
    entry = trunk.entry1(trunk.stem(x))
    features = trunk(x)
    torch.testing.assert_close(features[1], trunk.entry2.first(entry))
    torch.testing.assert_close(features[2], trunk.entry2(entry))


@pytest.mark.parametrize("project", [True, False])
def test_block_activates_before_its_convolutions_and_not_its_shortcut(project: bool) -> None:
    block = XceptionBlock(3, 4, [4, 4, 4], project=project, act="relu", norm=None)
    x = -torch.rand(1, 4, 5, 5, 5)
    main = sum(part.numel() for part in (block.first, block.last) for part in part.parameters())
    assert main == 3 * (27 * 4 + 4 + 4 * 4 + 4)
    torch.testing.assert_close(block(x), block.shortcut(x))
    assert project or torch.equal(block(x), x)


def test_middle_flow_has_a_block_or_more() -> None:
    assert len(XceptionTrunk(2, 1, width=1 / 32, middle_blocks=3).middle) == 3
    with pytest.raises(ValueError, match=r"^middle_blocks must be at least 1, got 0"):
        XceptionTrunk(2, 1, middle_blocks=0)
