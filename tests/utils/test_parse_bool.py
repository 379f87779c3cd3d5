"""Options that are on or off."""

from __future__ import annotations

from typing import Any

import pytest

from bundle.utils.parse_bool import parse_bool


@pytest.mark.parametrize(
    ("value", "expected"), [(True, True), ("true", True), ("True", True), (1, True), (False, False), ("false", False)]
)
def test_text_of_a_command_line_is_understood(value: Any, expected: bool) -> None:
    assert parse_bool("amp", value) is expected


@pytest.mark.parametrize("value", ["yes", "", 2, None])
def test_anything_else_is_refused_by_the_name_of_the_option(value: Any) -> None:
    with pytest.raises(ValueError, match="amp must be true or false, got"):
        parse_bool("amp", value)


@pytest.mark.parametrize("auto", [True, False])
def test_auto_stands_for_what_the_caller_has_found(auto: bool) -> None:
    assert parse_bool("search", "auto", auto=auto) is auto
    assert parse_bool("search", not auto, auto=auto) is not auto
    with pytest.raises(ValueError, match="search must be auto, true or false, got 'yes'"):
        parse_bool("search", "yes", auto=auto)


def test_auto_is_refused_where_it_has_no_meaning() -> None:
    with pytest.raises(ValueError, match="amp must be true or false, got 'auto'"):
        parse_bool("amp", "auto")
