"""The options of ``python -m bundle check``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bundle.check.check_options import parse_label_names
from bundle.cli import main as commands
from bundle.data import DatalistError


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the logging of the test run alone."""
    monkeypatch.setattr(commands.logging, "basicConfig", lambda **_: None)


def test_classes_are_json_or_a_file_that_has_them(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"label_names": {"a": 1}}))
    assert parse_label_names(str(file)) == parse_label_names('{"a": 1}') == {"a": 1}
    assert parse_label_names(None) is None


@pytest.mark.parametrize("text", ["{", "no.json", "{}", '{"a": "1"}', '{"a": true}', '{"label_names": [1]}'])
def test_classes_of_another_form_are_an_error(text: str) -> None:
    with pytest.raises(DatalistError, match="--label_names"):
        parse_label_names(text)


def test_a_list_does_not_name_classes(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(DatalistError, match="holds no classes"):
        parse_label_names(str(tmp_path / "a.json"))


@pytest.mark.parametrize("option", [["--workers", "0"], ["--levels", "9", "3"], ["--levels", "300"], ["--levels", "0"]])
def test_numbers_out_of_range_end_the_command_with_2(tmp_path: Path, option: list[str]) -> None:
    assert commands.main(["check", str(tmp_path), *option]) == 2
