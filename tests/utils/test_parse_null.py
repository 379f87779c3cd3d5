"""Options that may be null."""

from __future__ import annotations

from typing import Any

import pytest

from bundle.utils.parse_null import parse_null


@pytest.mark.parametrize("value", [None, "null", "None", "NULL"])
def test_null_of_a_config_and_of_a_command_line_is_none(value: Any) -> None:
    assert parse_null(value) is None


@pytest.mark.parametrize("value", [0, 0.0, False, "", "auto", []])
def test_any_other_value_is_kept(value: Any) -> None:
    assert parse_null(value) is value
