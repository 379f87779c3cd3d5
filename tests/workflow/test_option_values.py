"""A word where a number, or true or false, is expected is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bundle.workflow.option_values import OptionValueError, check_option_values


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    first = {
        "epochs": 80,
        "amp": True,
        "name": "x",
        "pretrained": True,
        "fold": 0,
        "labels": {"a": 1},
        "net": {"_target_": "x"},
    }
    contents: dict[str, Any] = {"a.json": first, "b.json": {"epochs": 3}}
    for name, content in contents.items():
        (tmp_path / name).write_text(json.dumps(content))
    return [str(tmp_path / name) for name in contents]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("epochs", value) for value in (5, "5", "1e3", "$2 * 3", "@fold", None, "null", "auto")],
        *[("fold", "all"), ("name", "anything"), ("other", "anything"), ("pretrained", "resnet50.pth")],
        *[("labels", {"b": 2}), ("labels", "null"), ("net", "x")],
        *[("amp", value) for value in (False, "false", "True", "0", "auto", "$1 > 0")],
    ],
)
def test_numbers_and_switches_are_accepted(name: str, value: Any, files: list[str]) -> None:
    check_option_values({name: value}, files)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("epochs", "ten", r"--epochs must be a number, got 'ten'; in the config it is 3\."),
        ("labels", "a", r"--labels must be a dictionary, got 'a'; in the config it is \{\"a\": 1\}\."),
        ("amp", "ture", r"--amp must be true or false, got 'ture'; in the config it is true\."),
    ],
)
def test_other_words_are_refused(name: str, value: str, message: str, files: list[str]) -> None:
    with pytest.raises(OptionValueError, match=message):
        check_option_values({name: value}, files)
