"""The factory of attention mechanisms, and the contract that every one of them fulfils."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from contracts.attention import MECHANISMS, AttentionContract

from bundle.attention import Attention, ProgressiveAttention, SqueezeExcitation, get_attention_layer


class TestEveryMechanism(AttentionContract):
    """The contract of ``tests/contracts/attention.py``."""


def test_contract_covers_the_whole_factory() -> None:
    assert {mechanism.name for mechanism in MECHANISMS} == {name.lower() for name in Attention.names}


@pytest.mark.parametrize("name", [None, "null", "none"])
def test_none_is_the_identity(name: Any) -> None:
    x = torch.randn(2, 3, 4, 5)
    block = get_attention_layer(name, 2, 3)
    assert block(x) is x
    assert not block.state_dict()


@pytest.mark.parametrize("name", ["pam", "PAM", ("pam", {}), ["Pam", {"key_gradient": True}]])
def test_name_is_a_string_or_a_pair_in_any_case(name: Any) -> None:
    assert isinstance(get_attention_layer(name, 3, 4, [4, 4, 4]), ProgressiveAttention)


def test_options_reach_the_mechanism() -> None:
    block = get_attention_layer(["se", {"reduction": 2}], 2, 8)
    assert isinstance(block, SqueezeExcitation)
    assert block.channel.fc[0].out_features == 4


def test_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"attention 'pan' is unknown; choose one of .*pam.*, or null"):
        get_attention_layer("pan", 3, 4, [4, 4, 4])


def test_unknown_option_is_refused_with_the_name_of_the_mechanism() -> None:
    with pytest.raises(ValueError, match=r"attention 'se' does not take the options .*'slice_dim'"):
        get_attention_layer(("se", {"slice_dim": 0}), 3, 4)


@pytest.mark.parametrize("name", [("pam",), ("pam", {}, {}), ("pam", 8), (3, {}), 3, {"pam": {}}])
def test_value_of_another_form_is_refused(name: Any) -> None:
    with pytest.raises(ValueError, match="attention must be a name or a pair"):
        get_attention_layer(name, 3, 4, [4, 4, 4])
