"""DeepMedic; what it shares with other networks is tested in ``test_network_factory.py``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from bundle.networks.deepmedic import DeepMedic, extend

PLAIN: dict[str, Any] = {"channels": (2, 2, 3, 3, 3, 3, 4, 4), "fc_channels": (6, 6), "dropout": 0.0}
WIDE: dict[str, Any] = {
    **PLAIN,
    "scales": (1, 3, 5),
    "residual": (4, 6, 8),
    "fc_channels": (12, 14),
    "fc_kernel_size": 3,
    "fc_residual": (2,),
}


def spell_out(network: DeepMedic, x: torch.Tensor, options: dict[str, Any]) -> torch.Tensor:
    """Compute the logits of images with NumPy's padding and torch's functions; batch statistics as in training."""
    state = network.state_dict()

    def layer(x: torch.Tensor, name: str) -> torch.Tensor:
        if f"{name}.0.N.weight" not in state:
            return functional.conv2d(x, state[f"{name}.0.weight"])
        x = functional.batch_norm(x, None, None, state[f"{name}.0.N.weight"], state[f"{name}.0.N.bias"], training=True)
        x = torch.where(x > 0, x, state[f"{name}.0.A.weight"] * x)
        return functional.conv2d(x, state[f"{name}.2.weight"], state.get(f"{name}.2.bias"))

    def stack(x: torch.Tensor, name: str, count: int, residual: tuple[int, ...]) -> torch.Tensor:
        maps = [x]
        for number in range(1, count + 1):
            y = layer(maps[-1], f"{name}.layers.{number - 1}")
            if number in residual:
                older = maps[number - 2]
                edge = (older.shape[2] - y.shape[2]) // 2
                middle = older[:, :, edge : edge + y.shape[2], edge : edge + y.shape[3]]
                y = torch.cat([y[:, : middle.shape[1]] + middle, y[:, middle.shape[1] :]], dim=1)
            maps.append(y)
        return maps[-1]

    margin = options.get("fc_kernel_size", 1) // 2
    (side,) = set(x.shape[2:])
    wanted = side + 2 * margin
    seen = []
    for index, scale in enumerate(options.get("scales", (1, 3))):
        cells = -(-wanted // scale)
        start = (cells * scale - wanted) // 2
        before = 8 * scale + margin + start
        after = (cells + 16) * scale - side - before
        image = np.pad(x.numpy(), [(0, 0), (0, 0), (before, after), (before, after)], mode="reflect")
        count, wide = image.shape[0], cells + 16
        blocks = image.reshape(count, -1, wide, scale, wide, scale)
        y = stack(torch.from_numpy(blocks.mean((3, 5))), f"pathways.{index}.stack", 8, options.get("residual", ()))
        y = torch.from_numpy(y.numpy().repeat(scale, 2).repeat(scale, 3))
        seen.append(y[:, :, start : start + wanted, start : start + wanted])
    y = stack(torch.cat(seen, dim=1), "fc", 2, options.get("fc_residual", ()))
    return layer(y, "head")


@pytest.mark.parametrize("options", [PLAIN, WIDE], ids=["plain", "wide"])
@pytest.mark.parametrize("side", [9, 10, 33])
def test_network_is_valid_convolutions_of_the_reflected_image_at_every_scale(side: int, options: Any) -> None:
    torch.manual_seed(0)
    network = DeepMedic(2, 2, 3, **options).double().train()
    for name, parameter in network.named_parameters():
        if name.endswith(("N.weight", "N.bias", "head.2.bias")):
            nn.init.normal_(parameter)
    x = torch.randn(2, 2, side, side, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(network(x), spell_out(network, x, options), rtol=0, atol=1e-10)


def test_default_network_has_the_parameters_of_the_paper() -> None:
    convs = 27 * (4 * 30 + 30 * 30 + 30 * 40 + 3 * 40 * 40 + 40 * 50 + 50 * 50)
    norms = 2 * (30 + 30 + 40 + 40 + 40 + 40 + 50)
    fc, fc_norms = 100 * 150 + 150 * 150 + 150 * 5 + 5, 2 * (100 + 150 + 150)
    wanted = 2 * (convs + norms + 7) + fc + fc_norms + 3
    assert sum(parameter.numel() for parameter in DeepMedic(3, 4, 5).parameters()) == wanted


@pytest.mark.parametrize(("scale", "seen"), [(1, 17), (3, 51), (5, 85)])
def test_voxel_sees_17_voxels_of_its_pathway(scale: int, seen: int) -> None:
    torch.manual_seed(0)
    side = 3 * 5 * 7
    network = DeepMedic(2, 1, 1, **{**PLAIN, "scales": [scale], "norm": None}).double()
    x = torch.randn(1, 1, side, side, dtype=torch.float64, requires_grad=True)
    network(x)[0, 0, side // 2, side // 2].backward()
    assert x.grad is not None
    for axis in (0, 1):
        touched = torch.nonzero(x.grad[0, 0].any(axis)).flatten()
        assert len(touched) == touched[-1] - touched[0] + 1 == seen
        assert touched[0] == side // 2 - seen // 2


@pytest.mark.parametrize("size", [1, 2, 3, 5, 40])
def test_axis_of_any_length_is_extended_as_by_numpy(size: int) -> None:
    x = torch.randn(2, 1, size, 3)
    wanted = np.pad(x.numpy(), [(0, 0), (0, 0), (11, 13), (0, 0)], mode="reflect")
    assert torch.equal(extend(x, 2, 11, size + 24), torch.from_numpy(wanted))


def test_dropout_precedes_the_last_convolutions() -> None:
    network = DeepMedic(2, 1, 2)
    assert [layer[1].p for layer in (*network.fc.layers, network.head)] == [0, 0.5, 0.5]
    assert [layer[1].p for layer in (*DeepMedic(2, 1, 2, dropout=0.2).fc.layers,)] == [0.2, 0.2]
    assert all(layer[1].p == 0 for pathway in network.pathways for layer in pathway.stack.layers[1:])


def test_weights_start_with_the_deviation_of_he() -> None:
    torch.manual_seed(0)
    weight = DeepMedic(3, 1, 2).pathways[1].stack.layers[7][2].weight
    assert weight.std().item() == pytest.approx((2 / (50 * 27)) ** 0.5, rel=0.02)


def test_convolutions_have_a_bias_only_where_no_normalization_cancels_it() -> None:
    assert [name for name, _ in DeepMedic(3, 1, 2).named_parameters() if "2.bias" in name] == ["head.2.bias"]
    convs = [module for module in DeepMedic(3, 1, 2, norm=None).modules() if isinstance(module, nn.Conv3d)]
    assert all(conv.bias is not None for conv in convs)


def test_volume_of_one_slice_is_segmented_and_an_empty_one_refused() -> None:
    network = DeepMedic(3, 1, 2, **PLAIN).eval()
    assert network(torch.randn(1, 1, 5, 4, 1)).shape == (1, 2, 5, 4, 1)
    with pytest.raises(ValueError, match="every spatial axis needs at least 1 voxels"):
        network(torch.zeros(1, 1, 5, 4, 0))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("scales", []),
        ("scales", [1, 0]),
        ("channels", []),
        ("fc_channels", [0]),
        ("fc_kernel_size", 2),
        ("residual", [1]),
        ("residual", [9]),
        ("fc_residual", [2]),
        ("dropout", [0, 0.5]),
        ("dropout", 1),
    ],
)
def test_bad_option_is_refused_by_its_name(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{key} "):
        DeepMedic(3, 1, 2, **{**PLAIN, key: value})


def test_only_images_and_volumes_are_taken() -> None:
    with pytest.raises(ValueError, match="spatial_dims must be 2 or 3, got 1"):
        DeepMedic(1, 1, 2)
