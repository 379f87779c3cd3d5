"""AutocastInferer computes in bfloat16 and gives back float32."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.data import MetaTensor
from monai.inferers import SimpleInferer
from torch import nn

from bundle.inference import AutocastInferer, SlabInferer


class Probe(nn.Module):
    """A convolution that remembers the types that it saw."""

    def __init__(self, copies: int = 1) -> None:
        super().__init__()
        self.conv, self.copies, self.seen = nn.Conv3d(1, 2, 1), copies, []

    def forward(self, x: torch.Tensor, scale: float = 1.0) -> Any:
        y = self.conv(x) * scale
        self.seen.append(y.dtype)
        return y if self.copies == 1 else [y] * self.copies


IMAGE = torch.randn(1, 1, 4, 4, 4, generator=torch.Generator().manual_seed(0))


def test_the_network_runs_in_bfloat16_and_the_result_is_float32() -> None:
    probe = Probe()
    result = AutocastInferer(SimpleInferer())(IMAGE, probe)
    assert probe.seen == [torch.bfloat16]
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, probe.conv(IMAGE), atol=0.05, rtol=0.02)


def test_weights_stay_in_float32_and_get_gradients() -> None:
    probe = Probe()
    AutocastInferer(SimpleInferer())(IMAGE, probe).sum().backward()
    assert probe.conv.weight.dtype == probe.conv.weight.grad.dtype == torch.float32


@pytest.mark.parametrize("kind", [list, tuple])
def test_every_tensor_of_a_list_is_float32(kind: type) -> None:
    result = AutocastInferer(lambda inputs, network: kind(network(inputs)))(IMAGE, Probe(3))
    assert [item.dtype for item in result] == [torch.float32] * 3


def test_labels_are_left_as_they_are() -> None:
    probe = Probe()
    result = AutocastInferer(SlabInferer((4, 4, 4), output="labels"))(IMAGE, probe)
    assert probe.seen == [torch.bfloat16]
    assert result.dtype == torch.uint8


def test_metadata_is_kept() -> None:
    image = MetaTensor(IMAGE, meta={"name": "a"})
    result = AutocastInferer(SimpleInferer())(image, Probe())
    assert isinstance(result, MetaTensor)
    assert result.dtype == torch.float32
    assert result.meta["name"] == "a"


@pytest.mark.parametrize("enabled", [False, "false"])
def test_disabled_it_only_calls_the_wrapped_inferer(enabled: Any) -> None:
    probe = Probe()
    result = AutocastInferer(SimpleInferer(), enabled=enabled)(IMAGE, probe)
    assert probe.seen == [torch.float32]
    assert torch.equal(result, probe.conv(IMAGE))


def test_further_arguments_reach_the_network() -> None:
    probe = Probe()
    inferer = AutocastInferer(SimpleInferer(), enabled=False)
    assert torch.equal(inferer(IMAGE, probe, 3.0), inferer(IMAGE, probe, scale=3.0))
