"""Options that are one of a few names."""

from __future__ import annotations

import pytest

from bundle.utils.check_choice import check_choice


def test_a_choice_passes() -> None:
    check_choice("order", "RAS", ("RAS", "LPS"))


def test_another_value_is_refused_with_the_choices() -> None:
    with pytest.raises(ValueError, match=r"^order must be one of RAS, LPS, got 'XYZ'\.$"):
        check_choice("order", "XYZ", ("RAS", "LPS"))
