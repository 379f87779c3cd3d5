"""Building of a trunk from a config value."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from bundle.networks.backbones.resnet import ResNetTrunk
from bundle.networks.backbones.trunk_factory import get_trunk
from bundle.networks.backbones.vgg import VGGTrunk
from bundle.networks.backbones.xception import XceptionTrunk

TINY = {"width": 1 / 32}


@pytest.mark.parametrize(("name", "kind"), [("resnet", ResNetTrunk), ("vgg", VGGTrunk), ("xception", XceptionTrunk)])
@pytest.mark.parametrize("pair", [list, tuple])
def test_trunk_is_built_by_name_with_its_options(name: str, kind: type, pair: type) -> None:
    trunk = get_trunk(pair([name, TINY]), 2, 3, act="mish")
    assert isinstance(trunk, kind)
    assert trunk.channels[-1] <= 64


def test_options_may_be_any_mapping_and_may_be_absent() -> None:
    assert isinstance(get_trunk(("vgg", MappingProxyType(TINY)), 2, 3), VGGTrunk)
    assert get_trunk("vgg", 2, 3).channels[-1] == 512


@pytest.mark.parametrize("trunk", [None, 5, ["resnet"], ["resnet", 5], [5, {}], ["resnet", {}, {}], {"resnet": {}}])
def test_value_of_another_form_is_refused(trunk: Any) -> None:
    with pytest.raises(ValueError, match=r"^trunk must be a name or a pair"):
        get_trunk(trunk, 2, 3)


@pytest.mark.parametrize(("choice", "name"), [(("resnet", "vgg"), "xception"), (("resnet",), "densenet")])
def test_name_that_is_not_offered_is_refused_with_those_that_are(choice: tuple[str, ...], name: str) -> None:
    with pytest.raises(ValueError, match=f"^trunk must be one of {', '.join(choice)}, got '{name}'"):
        get_trunk(name, 2, 3, choice=choice)


@pytest.mark.parametrize("options", [{"layers": 3}, {"act": "relu"}, {"depth": "deep"}])
def test_options_that_the_trunk_does_not_take_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^trunk 'resnet' does not take the options"):
        get_trunk(("resnet", options), 2, 3, act="mish")
