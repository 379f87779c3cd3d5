"""The factory ``Attention`` and :func:`get_attention_layer`, which builds a mechanism from a config value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monai.networks.layers.factories import LayerFactory
from torch import nn

from bundle.utils.option_checks import split_name
from bundle.utils.parse_null import parse_null

from .ag import AttentionGate
from .cbam import CBAM
from .csa import ChannelSliceAttention
from .dual import DualAttention
from .large_kernel import LargeKernelAttention
from .pam import ProgressiveAttention
from .pe import ProjectExcitation
from .sa import SliceAttention
from .sca import SliceChannelAttention
from .scse import SpatialChannelExcitation
from .se import SqueezeExcitation
from .split_attention import SplitAttention
from .stn import SpatialTransformer

AttentionSpec = str | Sequence[Any] | None
"""How a config names a mechanism: ``"pam"``, ``("pam", {"key_gradient": False})``, or None for none."""

Attention = LayerFactory("Attention layers", "Factory for the attention mechanisms of the project.")
"""The attention mechanisms by name, a :class:`monai.networks.layers.factories.LayerFactory`."""

Attention.add_factory_class("se", SqueezeExcitation)
Attention.add_factory_class("sa", SliceAttention)
Attention.add_factory_class("csa", ChannelSliceAttention)
Attention.add_factory_class("sca", SliceChannelAttention)
Attention.add_factory_class("pam", ProgressiveAttention)
Attention.add_factory_class("ag", AttentionGate)
Attention.add_factory_class("pe", ProjectExcitation)
Attention.add_factory_class("cbam", CBAM)
Attention.add_factory_class("scse", SpatialChannelExcitation)
Attention.add_factory_class("split", SplitAttention)
Attention.add_factory_class("dual", DualAttention)
Attention.add_factory_class("stn", SpatialTransformer)
Attention.add_factory_class("lka", LargeKernelAttention)


def get_attention_layer(
    name: AttentionSpec, spatial_dims: int, channels: int, spatial_size: Sequence[int] | None = None
) -> nn.Module:
    """Build an attention block, a module that maps ``(B, channels, ...)`` to the same shape.

    Args:
        name: a name of the factory :data:`Attention` (case does not matter), a pair of a name and the keyword
            arguments of the mechanism; None, or the text ``"null"`` of a command line, for the identity.
        spatial_dims: number of spatial axes of the map.
        channels: channels of the map.
        spatial_size: spatial size of the map; the slice mechanisms make their weights for it.

    Raises:
        ValueError: when the name is unknown, the value has another form, or the mechanism rejects its arguments.

    Examples:
        >>> get_attention_layer(("se", {"reduction": 4}), spatial_dims=3, channels=16).channel.fc[0]
        Linear(in_features=16, out_features=4, bias=True)
        >>> get_attention_layer("pam", spatial_dims=3, channels=16, spatial_size=[8, 8, 10]).slice.slices
        10
        >>> get_attention_layer(None, spatial_dims=3, channels=16)
        Identity()
    """
    name = parse_null(name)
    if name is None:
        return nn.Identity()
    kind, options = split_attention(name)
    if kind.upper() not in Attention.names:
        known = ", ".join(sorted(known.lower() for known in Attention.names))
        raise ValueError(f"attention {kind!r} is unknown; choose one of {known}, or null for none.")
    try:
        return Attention[kind](spatial_dims, channels, spatial_size, **options)
    except TypeError as error:
        raise ValueError(f"attention {kind!r} does not take the options {options}: {error}.") from error


def is_skip_gate(name: AttentionSpec) -> bool:
    """Return whether a mechanism weights a skip connection, ``forward(x, gating)`` instead of ``forward(x)``.

    A name that is not in the factory is not a skip gate; :func:`get_attention_layer` rejects it.
    """
    name = parse_null(name)
    kind = None if name is None else split_attention(name)[0].upper()
    return kind in Attention.names and getattr(Attention[kind], "takes_gating", False)


def split_attention(name: str | Sequence[Any]) -> tuple[str, dict[str, Any]]:
    """Return the name and the options of a mechanism that a config names.

    Raises:
        ValueError: when the value is neither a name nor a pair of a name and options.
    """
    return split_name("attention", name)
