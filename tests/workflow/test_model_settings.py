"""The settings of a model folder replace those of a config, and are compared with the options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.model_folders import CLASSES, write_model
from monai.bundle import ConfigParser

from bundle import ROOT
from bundle.workflow.model_folder import ModelFolder
from bundle.workflow.model_settings import ModelSettingsError, use_model


@pytest.fixture
def model(tmp_path: Path) -> ModelFolder:
    return write_model(tmp_path / "m")


def parser_with(**options: Any) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config(str(Path(ROOT, "configs", "evaluate.json")))
    parser.update(options)
    return parser


def test_settings_weights_and_defaults_are_used(model: ModelFolder) -> None:
    parser = parser_with()
    use_model(parser, model)
    assert parser["label_names"] == CLASSES
    assert parser["checkpoint"] == str(model.weights)
    assert parser["label_values"] == {"ball": [7], "shell": [8]}
    assert parser.get_parsed_content("network")


def test_defaults_give_way_to_options(model: ModelFolder) -> None:
    parser = parser_with(label_values=None)
    use_model(parser, model, {"label_values": None})
    assert parser["label_values"] is None


def test_the_settings_can_be_used_without_the_weights(model: ModelFolder) -> None:
    parser = parser_with()
    use_model(parser, model, weights=False)
    assert parser["checkpoint"] == "$@bundle_root + '/models/model.pt'"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("roi_size", [8, 8, 8], r"roi_size is \[16, 16, 16\] there and \[8, 8, 8\] here"),
        ("roi_size", "$[8, 8, 8]", r"roi_size is \[16, 16, 16\] there and \[8, 8, 8\] here"),
        ("network_def#channels", [2, 4], r"network_def#channels is \[4, 8\] there and \[2, 4\] here"),
        ("network_def#act", "relu", 'network_def#act is null there and "relu" here'),
        ("checkpoint", "other.pt", r"--checkpoint is other\.pt here and .*model\.pt there"),
    ],
)
def test_other_values_are_refused_with_both(model: ModelFolder, name: str, value: Any, words: str) -> None:
    with pytest.raises(ModelSettingsError, match=words):
        use_model(parser_with(**{name: value}), model, {name: value})


def test_equal_values_are_accepted(model: ModelFolder) -> None:
    options = {"roi_size": (16, 16, 16), "network_def#attention": "se", "checkpoint": str(model.weights), "split": "x"}
    use_model(parser_with(**options), model, options)
