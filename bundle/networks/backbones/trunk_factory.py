"""Building of a feature trunk from a config value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .resnet import ResNetTrunk
from .trunk import Trunk
from .vgg import VGGTrunk
from .xception import XceptionTrunk

TrunkSpec = str | Sequence[Any]
"""How a config names a trunk: ``"resnet"`` or ``("resnet", {"depth": 101})``."""

TRUNKS: dict[str, Callable[..., Trunk]] = {"resnet": ResNetTrunk, "vgg": VGGTrunk, "xception": XceptionTrunk}


def get_trunk(
    trunk: TrunkSpec, spatial_dims: int, in_channels: int, *, choice: Sequence[str] = tuple(TRUNKS), **options: Any
) -> Trunk:
    """Build a trunk.

    Args:
        trunk: a name, or a pair of a name and the keyword arguments of the trunk alone.
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        choice: names that are taken.
        options: keyword arguments that all trunks have, such as ``output_stride``, ``act`` and ``norm``.

    Raises:
        ValueError: when the name is none of ``choice``, the value has another form, or the trunk refuses its arguments.
    """
    name, own = split_trunk(trunk)
    if name not in choice:
        raise ValueError(f"trunk must be one of {', '.join(choice)}, got {name!r}.")
    try:
        return TRUNKS[name](spatial_dims, in_channels, **options, **own)
    except TypeError as error:
        raise ValueError(f"trunk {name!r} does not take the options {own}: {error}.") from error


def split_trunk(trunk: TrunkSpec) -> tuple[str, dict[str, Any]]:
    """Return the name and the options of a trunk that a config names.

    Raises:
        ValueError: when the value is neither a name nor a pair of a name and options.
    """
    if isinstance(trunk, str):
        return trunk, {}
    if isinstance(trunk, Sequence) and len(trunk) == 2 and isinstance(trunk[0], str) and isinstance(trunk[1], Mapping):
        return trunk[0], dict(trunk[1])
    raise ValueError(f"trunk must be a name or a pair [name, {{options}}], got {trunk!r}.")
