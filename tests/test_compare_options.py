from __future__ import annotations

from typing import Any

import pytest

from bundle.compare import CompareError, parse_attention, parse_files, parse_overrides


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
    with pytest.raises(CompareError, match="attention '\\[pam' is no JSON list"):
        parse_attention("[pam")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a.json", ["a.json"]), ("['a.json','b.json']", ["a.json", "b.json"]), ('["a.json"]', ["a.json"])],
)
def test_config_files_are_named_as_for_monai(text: str, expected: list[str]) -> None:
    assert parse_files(text) == expected


def test_overrides_are_json_or_what_monai_reads() -> None:
    words = ["--a#b", "[8,16]", "--amp=false", "--lr", "1e-3", "--device", "cpu", "--names", "{'a': 1}", "--x", "-1"]
    assert parse_overrides(words) == {
        "a#b": [8, 16],
        "amp": False,
        "lr": 0.001,
        "device": "cpu",
        "names": {"a": 1},
        "x": -1,
    }


@pytest.mark.parametrize(
    ("words", "message"), [(["value"], "'value' is neither an option"), (["--a"], "--a has no value")]
)
def test_a_stray_word_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(CompareError, match=message):
        parse_overrides(words)
