"""Loading of weights: completely, or without the head for other classes."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import nn

from bundle.utils.check_choice import check_choice
from bundle.utils.errors import BundleError
from bundle.utils.path_options import check_path_options

logger = logging.getLogger(__name__)

Head = Literal["keep", "new"]
HEADS: tuple[Head, ...] = get_args(Head)

MAX_HEAD_SHARE = 0.25
"""Largest share of the tensors that may depend on the number of classes."""


class WeightsError(BundleError):
    """A weights file that cannot be read or is of another network; the message names the file."""


def load_weights(
    network: nn.Module,
    checkpoint: str | Path | None,
    device: torch.device | str = "cpu",
    *,
    channels_last: bool = False,
    head: Head = "keep",
    option: str = "checkpoint",
) -> nn.Module:
    """Put a network on a device and, if a file is named, load its weights.

    Args:
        network: network to load into.
        checkpoint: file with a state dict, bare or under ``"model"``, ``"average"`` or ``"network"``; None or ``""``
            loads nothing.
        device: device to put the network on.
        channels_last: keep the weights of 2D convolutions with the channels last in memory. The numbers are the same;
            with bfloat16 on a CPU a training step of a hourglass network takes 0.6 of the time.
        head: ``"keep"``: every key and shape must fit. ``"new"``, to train for other classes: tensors whose shape
            depends on the number of classes keep their random values and are logged; everything else must fit.
        option: id of the config that holds the path, for messages: ``"checkpoint"`` or, with a prefix that the id of
            the network has, too, such as ``"finder_checkpoint"`` and ``finder_network_def``.

    Returns:
        The network.

    Raises:
        WeightsError: when the file is missing, holds more than weights or no state dict, or does not fit.
        ValueError: when ``head`` is neither.
    """
    check_path_options(**{option: checkpoint})
    check_choice("checkpoint_head", head, HEADS)
    network = network.to(device)
    if channels_last:
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if not checkpoint:
        return network
    path = Path(checkpoint)
    state = read_state(path, device, option=option)
    expected = network.state_dict()
    mismatch = describe_mismatch(expected, state)
    left = find_head(expected, state) if mismatch else []
    if mismatch and (head == "keep" or not left):
        definition = option.replace("checkpoint", "network_def")
        raise WeightsError(
            f"{option} {path} is of another network than {definition}: {mismatch}. {_remedy(option, left)}"
        )
    network.load_state_dict({**state, **{key: expected[key] for key in left}})
    if head == "new":
        _log_head(path, left)
    return network


def find_head(expected: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor]) -> list[str]:
    """Return the keys whose shapes differ, if they differ by the number of classes alone; an empty list otherwise.

    The number of classes is known from biases: all that differ do so in the same way. Other tensors must differ by the
    same number in their input or output channels. The first layer, which reads the image, must fit.

    Args:
        expected: state dict of the network.
        state: state dict of a file.
    """
    if expected.keys() != state.keys():
        return []
    shapes = {key: (tuple(state[key].shape), tuple(expected[key].shape)) for key in expected}
    left = {key: pair for key, pair in shapes.items() if pair[0] != pair[1]}
    biases = {pair for pair in left.values() if len(pair[0]) == len(pair[1]) == 1}
    first = next((key for key, pair in shapes.items() if len(pair[1]) > 1), None)
    if len(biases) != 1 or first in left or len(left) > MAX_HEAD_SHARE * len(expected):
        return []
    (((old,), (new,)),) = biases
    fits = all(_differ_in_channels(*pair, new - old) for pair in left.values())
    return list(left) if fits else []


def _differ_in_channels(found: tuple[int, ...], wanted: tuple[int, ...], difference: int) -> bool:
    """Return whether two shapes differ by a number in their first two axes, or one of them, and not elsewhere."""
    if len(found) != len(wanted) or found[2:] != wanted[2:]:
        return False
    return all(other - one in (0, difference) for one, other in zip(found[:2], wanted[:2], strict=True))


def _remedy(option: str, head: list[str]) -> str:
    if option != "checkpoint":
        return f"Pass --{option} FILE."
    if head:
        return (
            f"It has another number of classes ({', '.join(head[:3])}): set the classes of network_def as in its "
            "training; to train for other classes from these weights, pass --checkpoint_head new to the training."
        )
    return "Set attention, network_def and roi_size as in its training, or pass --checkpoint FILE."


def _log_head(path: Path, left: list[str]) -> None:
    if left:
        logger.warning(
            "%s: loaded without the %d tensors of the head, which are new: %s", path, len(left), ", ".join(left)
        )
    else:
        logger.warning("%s: has the same number of classes, so that the head is loaded, too", path)


def first_sentence(error: Exception) -> str:
    """Return what an error says first: PyTorch goes on with the advice to load files that may run code."""
    return str(error).partition("\n")[0].partition(". ")[0] or type(error).__name__


def read_state(
    path: str | Path, device: torch.device | str = "cpu", *, option: str = "checkpoint"
) -> dict[str, torch.Tensor]:
    """Read a state dict from a file, bare or under ``"model"``, ``"average"`` or ``"network"``.

    ``last.pt`` of a training with a moving average has both; the average is what its validation has measured.

    Args:
        path: file.
        device: device to read to.
        option: id of the config that holds the path, for messages.

    Raises:
        WeightsError: when the file is missing, holds more than weights or no state dict.
    """
    if not Path(path).is_file():
        raise WeightsError(f"{option} {path} does not exist; pass --{option} FILE.")
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        raise WeightsError(
            f"{option} {path} cannot be read as a file of weights ({first_sentence(error)}); name a file of a training."
        ) from error
    state = _state_dict(content)
    if state is None:
        raise WeightsError(
            f"{option} {path} holds no state dict, neither bare nor under 'model', 'average' or 'network'."
        )
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
        content = next((content[key] for key in ("model", "average", "network") if key in content), content)
    is_state = isinstance(content, dict) and all(isinstance(value, torch.Tensor) for value in content.values())
    return content if is_state else None
