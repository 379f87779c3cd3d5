"""Checks of the options of constructors."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any

import pytest

from bundle.utils.option_checks import (
    check_above_zero,
    check_group_positive,
    check_level_channels,
    check_not_negative,
    check_positive,
    check_sizes_mm,
    check_spatial_dims,
    fill_options,
    split_name,
)


def test_number_below_1_is_refused_by_its_name() -> None:
    check_positive(growth=1, stem=8)
    with pytest.raises(ValueError, match=r"^stem must be at least 1, got 0"):
        check_positive(growth=1, stem=0)


def test_option_of_a_group_is_named_as_in_a_config() -> None:
    check_group_positive("branch_2d", {"growth": 1, "stem": 0}, "growth")
    with pytest.raises(ValueError, match=r"^branch_2d#stem must be at least 1, got 0"):
        check_group_positive("branch_2d", {"growth": 1, "stem": 0}, "growth", "stem")


@pytest.mark.parametrize("value", [-0.1, math.nan])
def test_weight_is_0_or_more(value: float) -> None:
    check_not_negative(foreground=0.0)
    with pytest.raises(ValueError, match=f"^foreground must be 0 or more, got {value}"):
        check_not_negative(foreground=value)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_factor_is_positive(value: float) -> None:
    check_above_zero(sharpness=0.1)
    with pytest.raises(ValueError, match=f"^sharpness must be positive, got {value}"):
        check_above_zero(sharpness=value)


@pytest.mark.parametrize("value", ["se", ("se", {}), ["se", {}], ("se", MappingProxyType({"reduction": 2}))])
def test_component_is_a_name_or_a_pair(value: Any) -> None:
    assert split_name("attention", value) == ("se", {"reduction": 2} if isinstance(value[1], MappingProxyType) else {})


@pytest.mark.parametrize("value", [("se",), ("se", {}, {}), ("se", 8), (3, {}), 3, {"se": {}}])
def test_component_of_another_form_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^attention must be a name or a pair"):
        split_name("attention", value)


@pytest.mark.parametrize("spatial_dims", [1, 4])
def test_other_numbers_of_axes_are_refused(spatial_dims: int) -> None:
    check_spatial_dims(2)
    check_spatial_dims(3)
    with pytest.raises(ValueError, match=f"^spatial_dims must be 2 or 3, got {spatial_dims}"):
        check_spatial_dims(spatial_dims)


@pytest.mark.parametrize("channels", [[], [8], [8, 0]])
def test_levels_need_two_positive_widths(channels: list[int]) -> None:
    check_level_channels([8, 8])
    with pytest.raises(ValueError, match=r"^channels needs two positive widths or more"):
        check_level_channels(channels)


def test_options_that_are_not_given_have_their_defaults() -> None:
    defaults = {"channels": 256, "rates": None}
    assert fill_options("aspp", None, defaults) == fill_options("aspp", {}, defaults) == defaults
    assert fill_options("aspp", {"rates": [2]}, defaults) == {"channels": 256, "rates": [2]}
    assert defaults == {"channels": 256, "rates": None}


def test_unknown_option_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"^aspp does not have the option 'width'; its options are channels, rates"):
        fill_options("aspp", {"width": 3}, {"channels": 256, "rates": None})


def test_value_that_is_not_a_dictionary_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^aspp must be a dictionary of options, got 256"):
        fill_options("aspp", 256, {"channels": 256})  # type: ignore[arg-type]


@pytest.mark.parametrize("sizes", [None, 3, "123", [1, 2], [1, 2, 3, 4], [1, 2, 0], [1, 2, "3"]])
def test_sizes_are_three_positive_numbers(sizes: Any) -> None:
    check_sizes_mm(region_size_mm=[1, 2.5, 3], largest_crop_mm=(1, 2, 3))
    with pytest.raises(ValueError, match=r"^region_size_mm must be three positive sizes in mm, got "):
        check_sizes_mm(region_size_mm=sizes)
