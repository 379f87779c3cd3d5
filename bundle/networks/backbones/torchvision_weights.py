"""Loading of torchvision's ResNet weights into a trunk.

A file of torchvision's ``resnet50`` or a sibling: its state dict under torchvision's key names. torchvision itself is
not needed.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bundle.networks.weights import WeightsError, describe_mismatch

from .resnet import ResNetTrunk

logger = logging.getLogger(__name__)

CLASSIFIER = frozenset({"fc.weight", "fc.bias"})


def load_torchvision_weights(network: nn.Module, file: str | Path | None) -> nn.Module:
    """Load the weights of a torchvision ResNet into a trunk; every key and shape must fit.

    The classifier of the file (``fc``) is skipped. The attention of the trunk is not changed, nor are the counts of
    batches (``num_batches_tracked``) if the file does not have them, as the oldest ones of torchvision.

    Args:
        network: a :class:`ResNetTrunk`, or a network that has one as its ``trunk``; with 2 spatial axes, 3 input
            channels and batch normalization.
        file: file with the state dict, bare or under ``"model"``; None or ``""`` loads nothing.

    Returns:
        The network.

    Raises:
        WeightsError: when the network or the file does not fit; the message names the file.
    """
    if not file:
        return network
    path = Path(file)
    trunk = network if isinstance(network, ResNetTrunk) else getattr(network, "trunk", None)
    if not isinstance(trunk, ResNetTrunk):
        raise WeightsError(f"network must have a ResNet as its trunk for {path}, got {type(network).__name__}.")
    if trunk.conv1.weight.ndim != 4:
        raise WeightsError(f"spatial_dims must be 2 for the weights of {path}, the network has 3.")
    if trunk.conv1.in_channels != 3:
        raise WeightsError(
            f"in_channels must be 3 for the weights of {path}, the network has {trunk.conv1.in_channels}."
        )
    state = {key: value for key, value in _read(path).items() if key not in CLASSIFIER}
    expected = {key: value for key, value in trunk.state_dict().items() if not _is_attention(key)}
    optional = {key for key in expected if key.endswith("num_batches_tracked")}
    mismatch = describe_mismatch(expected, state, optional)
    if mismatch:
        raise WeightsError(
            f"file {path} does not fit the trunk: {mismatch}. Set its depth and norm to those of the file."
        )
    trunk.load_state_dict(state, strict=False)
    logger.info("loaded %d tensors of %s", len(state), path)
    return network


def _is_attention(key: str) -> bool:
    """Return whether a key belongs to the attention after the features (``gates``) or in the blocks (``attention``)."""
    return key.startswith("gates.") or ".attention." in key


def _read(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise WeightsError(f"file {path} does not exist.")
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(f"file {path} cannot be read as a file of weights: {error}") from error
    if isinstance(content, dict):
        content = content.get("model", content)
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise WeightsError(f"file {path} holds no state dict, neither bare nor under 'model'.")
    return content
