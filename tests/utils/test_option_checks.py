"""Checks of the options of constructors."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from bundle.utils.option_checks import (
    check_choice,
    check_group_positive,
    check_level_channels,
    check_positive,
    check_spatial_dims,
    fill_options,
)


@pytest.mark.parametrize("choices", [Literal["max", "add"], ("max", "add"), ["max", "add"]])
def test_choice_is_one_of_a_literal_type_or_a_sequence(choices: Any) -> None:
    check_choice("fusion", "add", choices)
    with pytest.raises(ValueError, match=r"^fusion must be one of max, add, got 'multiply'"):
        check_choice("fusion", "multiply", choices)


def test_number_below_1_is_refused_by_its_name() -> None:
    check_positive(growth=1, stem=8)
    with pytest.raises(ValueError, match=r"^stem must be at least 1, got 0"):
        check_positive(growth=1, stem=0)


def test_option_of_a_group_is_named_as_in_a_config() -> None:
    check_group_positive("branch_2d", {"growth": 1, "stem": 0}, "growth")
    with pytest.raises(ValueError, match=r"^branch_2d#stem must be at least 1, got 0"):
        check_group_positive("branch_2d", {"growth": 1, "stem": 0}, "growth", "stem")


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
