"""The registry ``Network`` and :func:`get_network`, which builds a network by its name."""

from __future__ import annotations

from typing import Any

from monai.networks.layers.factories import LayerFactory
from torch import nn

Network = LayerFactory("Networks", "Registry of the networks of the project; :mod:`bundle.networks` fills it.")
"""The networks by name, a :class:`monai.networks.layers.factories.LayerFactory`."""


def get_network(name: str, spatial_dims: int, in_channels: int, out_channels: int, **options: Any) -> nn.Module:
    """Build a network, a module that maps an image ``(B, in_channels, ...)`` to logits ``(B, out_channels, ...)``.

    Args:
        name: a name of the registry :data:`Network` (case does not matter).
        spatial_dims: number of spatial axes of the image.
        in_channels: channels of the image.
        out_channels: number of classes.
        options: keyword arguments of the network.

    Raises:
        ValueError: when the name is unknown or the network rejects its arguments.

    Examples:
        >>> type(get_network("unet", 3, 1, 3, channels=[8, 16], attention=None)).__name__
        'AttentionUNet'
    """
    if name.upper() not in Network.names:
        known = ", ".join(sorted(known.lower() for known in Network.names))
        raise ValueError(f"network {name!r} is unknown; choose one of {known}.")
    try:
        return Network[name](spatial_dims, in_channels, out_channels, **options)
    except TypeError as error:
        raise ValueError(f"network {name!r} does not take the options {sorted(options)}: {error}.") from error
