"""Building of a feature trunk from a config value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from bundle.utils.check_choice import check_choice
from bundle.utils.option_checks import split_name

from .efficientnet_lite import BATCH_NORM, SCALING, EfficientNetLiteTrunk
from .resnet import ResNetTrunk
from .trunk import Trunk
from .vgg import VGGTrunk
from .xception import XceptionTrunk

TrunkSpec = str | Sequence[Any]
"""How a config names a trunk: ``"resnet"`` or ``("resnet", {"depth": 101})``."""

LITE = tuple(f"efficientnet_lite{version}" for version in SCALING)

TRUNKS: dict[str, Callable[..., Trunk]] = {
    "resnet": ResNetTrunk,
    "vgg": VGGTrunk,
    "xception": XceptionTrunk,
    **{name: partial(EfficientNetLiteTrunk, version=version) for version, name in enumerate(LITE)},
}

PUBLISHED: dict[str, dict[str, Any]] = {name: {"act": "relu6", "norm": BATCH_NORM} for name in LITE}
"""Options that a trunk keeps whatever those of its network are, since its published weights need them."""


def get_trunk(
    trunk: TrunkSpec, spatial_dims: int, in_channels: int, *, choice: Sequence[str] = tuple(TRUNKS), **options: Any
) -> Trunk:
    """Build a trunk.

    Args:
        trunk: a name, or a pair of a name and the keyword arguments of this trunk.
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        choice: allowed names.
        options: keyword arguments of all trunks, such as ``output_stride``, ``act`` and ``norm``. An EfficientNet-Lite
            keeps its own ``act`` and ``norm``, unless the pair names others.

    Raises:
        ValueError: when the name is none of ``choice``, the value has another form, or the trunk rejects its arguments.
    """
    name, trunk_options = split_trunk(trunk)
    check_choice("trunk", name, choice)
    published = PUBLISHED.get(name, {})
    shared = {key: value for key, value in options.items() if key not in published}
    try:
        return TRUNKS[name](spatial_dims, in_channels, **shared, **{**published, **trunk_options})
    except TypeError as error:
        raise ValueError(f"trunk {name!r} does not take the options {trunk_options}: {error}.") from error


def split_trunk(trunk: TrunkSpec) -> tuple[str, dict[str, Any]]:
    """Return the name and the options of a trunk that a config names.

    Raises:
        ValueError: when the value is neither a name nor a pair of a name and options.
    """
    return split_name("trunk", trunk)
