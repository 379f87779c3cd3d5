"""Loading of weights, strictly."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bundle.utils.errors import BundleError
from bundle.utils.path_options import check_path_options


class WeightsError(BundleError):
    """A weights file that cannot be read or is of another network; the message names the file."""


def load_weights(
    network: nn.Module,
    checkpoint: str | Path | None,
    device: torch.device | str = "cpu",
    *,
    channels_last: bool = False,
) -> nn.Module:
    """Put a network on a device and, if a file is named, load its weights; every key and shape must fit.

    Args:
        network: network to load into.
        checkpoint: file with a state dict, bare or under ``"model"`` or ``"network"``; None or ``""`` loads nothing.
        device: device to put the network on.
        channels_last: keep the weights of 2D convolutions with the channels last in memory. The numbers are the same;
            with bfloat16 on a CPU a training step of a hourglass network takes 0.6 of the time.

    Returns:
        The network.

    Raises:
        WeightsError: when the file is missing, holds more than weights or no state dict, or does not fit.
    """
    check_path_options(checkpoint=checkpoint)
    network = network.to(device)
    if channels_last:
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if not checkpoint:
        return network
    path = Path(checkpoint)
    state = read_state(path, device)
    mismatch = describe_mismatch(network.state_dict(), state)
    if mismatch:
        raise WeightsError(
            f"checkpoint {path} is of another network than network_def: {mismatch}. Set attention, network_def and "
            "roi_size as in its training, or pass --checkpoint FILE."
        )
    network.load_state_dict(state)
    return network


def read_state(path: str | Path, device: torch.device | str = "cpu") -> dict[str, torch.Tensor]:
    """Read a state dict from a file, bare or under ``"model"`` or ``"network"``.

    Args:
        path: file.
        device: device to read to.

    Raises:
        WeightsError: when the file is missing, holds more than weights or no state dict.
    """
    if not Path(path).is_file():
        raise WeightsError(f"checkpoint {path} does not exist; pass --checkpoint FILE.")
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        raise WeightsError(f"checkpoint {path} cannot be read as a file of weights: {error}") from error
    state = _state_dict(content)
    if state is None:
        raise WeightsError(f"checkpoint {path} holds no state dict, neither bare nor under 'model' or 'network'.")
    return state


def describe_mismatch(
    expected: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor], optional: Collection[str] = ()
) -> str:
    """Return the keys and shapes in which a state dict differs from the expected one, "" where it does not.

    Args:
        expected: state dict of the network.
        state: state dict of a file.
        optional: keys that the file may lack.
    """
    both = expected.keys() & state.keys()
    lists = {
        "missing": sorted(expected.keys() - state.keys() - set(optional)),
        "not in the network": sorted(state.keys() - expected.keys()),
        "of another shape": sorted(key for key in both if expected[key].shape != state[key].shape),
    }
    return "; ".join(f"{len(keys)} keys {what} ({', '.join(keys[:3])})" for what, keys in lists.items() if keys)


def _state_dict(content: Any) -> dict[str, torch.Tensor] | None:
    if isinstance(content, dict):
        content = next((content[key] for key in ("model", "network") if key in content), content)
    is_state = isinstance(content, dict) and all(isinstance(value, torch.Tensor) for value in content.values())
    return content if is_state else None
