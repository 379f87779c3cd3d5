"""Dual attention."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from contracts import literal

from bundle.attention import DualAttention

SIZE = (3, 4, 5)


def features(conv: torch.nn.Module, sample: torch.Tensor, axes: list[int]) -> list[torch.Tensor]:
    """Convolve ``(C, ...)`` with a kernel of one voxel and cut it at every place of the axes, in their order."""
    weight = conv.weight.flatten(1)
    mapped = torch.stack([sum(w * c for w, c in zip(row, sample, strict=True)) for row in weight])
    mapped = mapped + conv.bias.reshape([-1] + [1] * (sample.dim() - 1))
    cuts = []
    for place in product(*(range(sample.shape[1 + axis]) for axis in axes)):
        index: list[Any] = [slice(None)] * sample.dim()
        for axis, number in zip(axes, place, strict=True):
            index[1 + axis] = number
        cuts.append(mapped[tuple(index)])
    return cuts


def softmax(values: list[torch.Tensor]) -> list[torch.Tensor]:
    """Return the shares of a list of numbers."""
    powers = [torch.exp(value) for value in values]
    return [power / sum(powers) for power in powers]


def literal_positions(block: DualAttention, sample: torch.Tensor, axes: list[int], mean: bool) -> torch.Tensor:
    """Mix the values of all places of the axes, for every one of them."""
    queries, keys, values = (features(conv, sample, axes) for conv in (block.query, block.key, block.value))
    folded = queries[0].numel() // len(block.query.weight) if mean else 1
    mixed = []
    for query in queries:
        shares = softmax([(query * key).sum() / folded for key in keys])
        mixed.append(sum(share * value for share, value in zip(shares, values, strict=True)))
    result = torch.empty_like(sample)
    for place, cut in zip(product(*(range(sample.shape[1 + axis]) for axis in axes)), mixed, strict=True):
        index: list[Any] = [slice(None)] * sample.dim()
        for axis, number in zip(axes, place, strict=True):
            index[1 + axis] = number
        result[tuple(index)] = cut
    return result


def literal_channels(sample: torch.Tensor, mean: bool) -> torch.Tensor:
    """Mix all channels, for every one of them; the least alike have the largest share."""
    mixed = []
    for channel in sample:
        energies = [(channel * other).sum() / (channel.numel() if mean else 1) for other in sample]
        highest = torch.stack(energies).max()
        shares = softmax([highest - energy for energy in energies])
        mixed.append(sum(share * other for share, other in zip(shares, sample, strict=True)))
    return torch.stack(mixed)


@pytest.mark.parametrize("energy", ["mean", "sum"])
@pytest.mark.parametrize(
    ("dims", "options", "axes"),
    [
        (2, {}, [0, 1]),
        (2, {"position": "plane", "reduction": 1}, [0, 1]),
        (3, {}, [2]),
        (3, {"position": "slices", "slice_dim": 0, "reduction": 1}, [0]),
        (3, {"slice_dim": -2}, [1]),
        (3, {"position": "plane"}, [0, 1]),
        (3, {"position": "plane", "slice_dim": 1}, [0, 2]),
    ],
)
def test_both_attended_maps_are_added(dims: int, options: dict[str, Any], axes: list[int], energy: str) -> None:
    torch.manual_seed(0)
    block = DualAttention(dims, 6, **{"reduction": 3, "energy": energy, **options}).double()
    for gamma in (block.gamma_position, block.gamma_channel):
        torch.nn.init.uniform_(gamma, 0.5, 1.5)
    mean = energy == "mean"

    def reference(x: torch.Tensor) -> torch.Tensor:
        samples = []
        for sample in x:
            position = block.gamma_position * literal_positions(block, sample, axes, mean)
            samples.append(sample + position + block.gamma_channel * literal_channels(sample, mean))
        return torch.stack(samples)

    literal.assert_same_function(block, reference, 0.5 * torch.randn(2, 6, *SIZE[:dims], dtype=torch.float64))


def test_new_block_returns_its_input() -> None:
    x = torch.randn(2, 8, 4, 5, 6)
    assert torch.equal(DualAttention(3, 8)(x), x)


def test_mean_energies_do_not_depend_on_how_often_the_plane_is_repeated() -> None:
    torch.manual_seed(0)
    block, x = DualAttention(3, 8), torch.randn(1, 8, 4, 5, 6)
    torch.nn.init.ones_(block.gamma_position)
    torch.nn.init.ones_(block.gamma_channel)
    torch.testing.assert_close(block(x.repeat(1, 1, 2, 2, 1)), block(x).repeat(1, 1, 2, 2, 1))


def test_mean_energies_of_a_large_map_fit_into_16_bits() -> None:
    x = torch.randn(1, 4, 50, 50, 50, dtype=torch.float16)
    assert DualAttention(3, 4, reduction=1).half().attend_channels(x).isfinite().all()


def test_slices_of_an_image_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^position must be 'plane' where spatial_dims is 2: an image has no slices"):
        DualAttention(2, 8, position="slices")
