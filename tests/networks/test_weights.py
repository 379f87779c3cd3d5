"""Loading of weights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bundle.networks import WeightsError, load_weights
from bundle.networks.weights import find_head


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


@pytest.mark.parametrize("key", [None, "model", "average", "network"])
@pytest.mark.parametrize("kind", [Path, str])
def test_state_dict_is_loaded_bare_or_under_its_key(key: str | None, kind: type, tmp_path: Path) -> None:
    source, target = network(), network()
    state = source.state_dict()
    checkpoint = saved(state if key is None else {key: state, "epoch": 3}, tmp_path)
    assert load_weights(target, kind(checkpoint)) is target
    assert all(torch.equal(value, state[name]) for name, value in target.state_dict().items())


def test_of_the_last_state_of_a_training_the_moving_average_is_loaded(tmp_path: Path) -> None:
    newest, average, target = network(), network(), network()
    load_weights(target, saved({"network": newest.state_dict(), "average": average.state_dict(), "epoch": 3}, tmp_path))
    assert all(torch.equal(value, average.state_dict()[name]) for name, value in target.state_dict().items())


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
    message = refusal(file)
    assert "cannot be read as a file of weights" in message
    assert "weights_only" not in message


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


@pytest.mark.parametrize("content", [None, b"no weights", [1, 2]])
def test_messages_name_another_id_of_the_path(content: Any, tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content:
        torch.save(content, file)
    with pytest.raises(WeightsError, match=f"^finder_checkpoint {re.escape(str(file))} "):
        load_weights(network(), file, option="finder_checkpoint")


def test_the_remedy_for_weights_of_another_network_names_another_id(tmp_path: Path) -> None:
    file = saved(network(width=4).state_dict(), tmp_path)
    with pytest.raises(WeightsError, match=r"than finder_network_def: .* Pass --finder_checkpoint FILE"):
        load_weights(network(), file, option="finder_checkpoint")


class TestHead:
    """Weights for other classes: everything except for the head is loaded."""

    def network(self, classes: int, width: int = 3, depth: int = 4) -> nn.Module:
        hidden = [nn.Linear(width, width) for _ in range(depth)]
        return nn.Sequential(nn.Linear(2, width), *hidden, nn.Linear(width, classes))

    def load(self, source: nn.Module, target: nn.Module, folder: Path, head: Any = "new") -> nn.Module:
        return load_weights(target, saved(source.state_dict(), folder), head=head)

    def test_what_is_left_is_logged(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        source, target = self.network(2), self.network(5)
        before = target[-1].weight.clone()
        self.load(source, target, tmp_path)
        assert torch.equal(target[-1].weight, before)
        assert all(torch.equal(target[place].weight, source[place].weight) for place in range(5))
        assert "loaded without the 2 tensors of the head, which are new: 5.weight, 5.bias" in caplog.text

    def test_a_head_of_the_same_size_is_loaded_and_that_is_logged(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        source, target = self.network(2), self.network(2)
        self.load(source, target, tmp_path)
        assert torch.equal(target[-1].weight, source[-1].weight)
        assert "has the same number of classes, so that the head is loaded, too" in caplog.text

    def test_the_option_is_named_where_the_classes_differ_and_only_there(self, tmp_path: Path) -> None:
        with pytest.raises(
            WeightsError, match=r"another number of classes \(5\.weight, 5\.bias\).*--checkpoint_head new"
        ):
            self.load(self.network(2), self.network(5), tmp_path, "keep")
        with pytest.raises(WeightsError, match="Set attention, network_def and roi_size as in its training"):
            self.load(self.network(2, width=4), self.network(5), tmp_path, "keep")

    @pytest.mark.parametrize(
        ("source", "why"),
        [
            ({"width": 4}, "another width"),
            ({"depth": 3}, "other keys"),
            ({"depth": 4, "width": 6}, "all layers"),
        ],
    )
    def test_another_network_is_refused(self, source: dict[str, int], why: str, tmp_path: Path) -> None:
        with pytest.raises(WeightsError, match="is of another network than network_def"):
            self.load(self.network(2, **source), self.network(5), tmp_path)

    def test_too_many_tensors_are_not_a_head(self, tmp_path: Path) -> None:
        with pytest.raises(WeightsError, match="is of another network"):
            self.load(self.network(2, depth=0), self.network(5, depth=0), tmp_path)

    @pytest.mark.parametrize(("found", "wanted"), [((4, 3, 3), (4, 3, 6)), ((4, 3, 3), (4, 3)), ((4, 3), (4, 4))])
    def test_other_kernels_and_other_widths_are_not_a_number_of_classes(
        self, found: tuple[int, ...], wanted: tuple[int, ...]
    ) -> None:
        same = {str(place): torch.zeros(2, 2) for place in range(20)}
        state, expected = {**same, "bias": torch.zeros(2)}, {**same, "bias": torch.zeros(5)}
        assert find_head(expected, state) == ["bias"]
        assert find_head({**expected, "x": torch.zeros(wanted)}, {**state, "x": torch.zeros(found)}) == []

    def test_the_option_has_two_values(self) -> None:
        with pytest.raises(ValueError, match="checkpoint_head must be one of keep, new, got 'none'"):
            load_weights(self.network(2), None, head="none")
