from __future__ import annotations

from typing import Any

import pytest

from bundle.experiments import ExperimentError
from bundle.experiments.compare import parse_attention


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none,se, pam", [None, "se", "pam"]),
        ('["none", "pam", ["pam", {"key_gradient": false}]]', [None, "pam", ["pam", {"key_gradient": False}]]),
        ('["pam", {"key_gradient": false}]', [["pam", {"key_gradient": False}]]),
        ('["none", "se"]', [None, "se"]),
    ],
)
def test_attention_is_names_or_a_json_list(text: str, expected: list[Any]) -> None:
    assert parse_attention(text) == expected


def test_a_broken_list_of_mechanisms_is_refused() -> None:
    with pytest.raises(ExperimentError, match="attention '\\[pam' is not a JSON list"):
        parse_attention("[pam")
