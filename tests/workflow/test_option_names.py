"""Options that no config knows are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bundle.workflow.option_names import OptionNameError, check_option_names


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    contents = {"a.json": {"output_format": 1, "network_def": {}}, "b.json": {"+handlers": [], "network_def#x": 1}}
    for name, content in contents.items():
        (tmp_path / name).write_text(json.dumps(content))
    return [str(tmp_path / name) for name in contents]


def test_ids_of_any_config_and_their_parts_are_known(files: list[str]) -> None:
    check_option_names(["output_format", "network_def#y", "network_def::y::0", "handlers"], files)


def test_the_nearest_name_is_proposed(files: list[str]) -> None:
    with pytest.raises(OptionNameError, match=r"^--output_fromat is no option .* did you mean --output_format\?"):
        check_option_names(["output_fromat"], files)


def test_without_a_near_name_the_configs_are_named(files: list[str]) -> None:
    with pytest.raises(OptionNameError, match=r"--zzz is no option .* those of .*a\.json, .*b\.json"):
        check_option_names(["zzz"], files)


def test_an_underscore_marks_what_is_added_on_purpose(files: list[str]) -> None:
    check_option_names(["_mine", "_meta_#version"], files)


def test_the_options_of_mlflow_are_known(files: list[str]) -> None:
    check_option_names(["tracking_uri", "experiment_name"], files)
