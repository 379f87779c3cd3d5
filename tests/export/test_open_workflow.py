"""The inference of a shipped model or of a model folder, with the options that an export sets."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.model_folders import CLASSES, write_model

from bundle import ROOT
from bundle.export.onnx_task import BUILDERS
from bundle.export.open_workflow import NAMES, ExportError, open_workflow


@pytest.mark.parametrize("name", NAMES)
def test_the_config_of_a_task_is_opened_with_the_options(name: str) -> None:
    found, parser = open_workflow(name, ROOT, {"device": "cpu", "plan": "fp32"})
    assert found == name
    assert (parser["device"], parser["plan"], parser["bundle_root"]) == ("cpu", "fp32", ROOT)
    assert "preprocessing" in parser


def test_a_model_folder_gives_its_settings_and_weights(tmp_path: Path) -> None:
    write_model(tmp_path)
    name, parser = open_workflow(str(tmp_path), ROOT, {"device": "cpu"})
    assert name == "volumes"
    assert parser.get_parsed_content("label_names") == CLASSES
    assert parser.get_parsed_content("checkpoint") == str(tmp_path / "model.pt")


def test_another_name_is_an_error_that_lists_the_tasks() -> None:
    with pytest.raises(ExportError, match="'knees' is neither a model folder nor one of volumes, disc_labeling, "):
        open_workflow("knees", ROOT, {})


def test_every_task_can_be_exported() -> None:
    assert tuple(BUILDERS) == NAMES
