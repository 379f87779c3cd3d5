"""Loading of weights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bundle.networks import WeightsError, load_weights


def network(width: int = 3) -> nn.Module:
    return nn.Sequential(nn.Linear(2, width), nn.Linear(width, 1))


def saved(content: Any, folder: Path) -> Path:
    file = folder / "weights.pt"
    torch.save(content, file)
    return file


def refusal(checkpoint: str | Path) -> str:
    """Return the message, which names the file, and prove that the network was left alone."""
    target = network()
    before = {key: value.clone() for key, value in target.state_dict().items()}
    with pytest.raises(WeightsError, match=re.escape(str(checkpoint))) as caught:
        load_weights(target, checkpoint)
    assert all(torch.equal(value, before[key]) for key, value in target.state_dict().items())
    return str(caught.value)


@pytest.mark.parametrize("key", [None, "model", "network"])
@pytest.mark.parametrize("kind", [Path, str])
def test_state_dict_is_loaded_bare_or_under_its_key(key: str | None, kind: type, tmp_path: Path) -> None:
    source, target = network(), network()
    state = source.state_dict()
    checkpoint = saved(state if key is None else {key: state, "epoch": 3}, tmp_path)
    assert load_weights(target, kind(checkpoint)) is target
    assert all(torch.equal(value, state[name]) for name, value in target.state_dict().items())


def test_no_checkpoint_leaves_the_weights_as_they_are() -> None:
    target = network()
    before = target[0].weight.clone()
    assert load_weights(target, None) is target
    assert torch.equal(target[0].weight, before)


def test_network_is_put_on_the_device() -> None:
    assert load_weights(network(), None, "meta")[0].weight.device.type == "meta"


def test_missing_file_is_named(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "absent.pt")


def test_folder_is_no_checkpoint(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 truncated"])
def test_file_that_torch_cannot_read_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    file.write_bytes(content)
    assert "cannot be read as a file of weights" in refusal(file)


def test_file_that_holds_code_is_refused(tmp_path: Path) -> None:
    assert "cannot be read as a file of weights" in refusal(saved(network(), tmp_path))


@pytest.mark.parametrize("content", [[1, 2], 3, torch.zeros(2), {"model": 3}, {"0.weight": 1}, {"network": [1]}])
def test_file_without_a_state_dict_is_refused(content: Any, tmp_path: Path) -> None:
    assert "holds no state dict" in refusal(saved(content, tmp_path))


def test_missing_surplus_and_misshapen_keys_are_counted_and_named(tmp_path: Path) -> None:
    state = dict(network(width=4).state_dict())
    del state["1.bias"]
    state["2.weight"] = torch.zeros(1)
    message = refusal(saved(state, tmp_path))
    assert "1 keys missing (1.bias)" in message
    assert "1 keys not in the network (2.weight)" in message
    assert "3 keys of another shape (0.bias, 0.weight, 1.weight)" in message


def test_only_what_is_wrong_is_reported(tmp_path: Path) -> None:
    state = dict(network().state_dict())
    del state["1.bias"]
    message = refusal(saved({"model": state}, tmp_path))
    assert "1 keys missing" in message
    assert "not in the network" not in message
    assert "another shape" not in message


def test_weights_may_have_their_channels_last() -> None:
    target = nn.Conv2d(3, 4, 3)
    image = torch.randn(1, 3, 8, 8)
    expected = target(image)
    assert load_weights(target, None, channels_last=True).weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(target(image), expected)
