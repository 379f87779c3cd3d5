"""The call of a workflow is found from within its components."""

from __future__ import annotations

import json
from pathlib import Path

from monai.bundle import ConfigParser, ConfigWorkflow, create_workflow

from bundle.workflow.workflow_call import WorkflowCall, current_call

CONFIG = {"size": 1, "call": {"_target_": "bundle.workflow.workflow_call.current_call"}, "initialize": ["@call"]}


def write_config(folder: Path) -> str:
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return str(folder / "config.json")


def test_a_component_finds_parser_files_and_options(tmp_path: Path) -> None:
    file = write_config(tmp_path)
    workflow = create_workflow(config_file=file, logging_file=False, workflow_type=None, size=2, run_id="preview")
    call = workflow.parser.get_parsed_content("call")
    assert call == WorkflowCall(workflow.parser, (file,), {"size": 2}, "preview")


def test_several_files_are_all_named(tmp_path: Path) -> None:
    file = write_config(tmp_path)
    workflow = create_workflow(config_file=[file, file], logging_file=False, workflow_type=None)
    assert workflow.parser.get_parsed_content("call").config_files == (file, file)


def test_the_options_of_a_workflow_made_in_python_are_unknown(tmp_path: Path) -> None:
    workflow = ConfigWorkflow(write_config(tmp_path), logging_file=False, workflow_type=None, size=2)
    workflow.initialize()
    assert workflow.parser.get_parsed_content("call") == WorkflowCall(workflow.parser)


def test_the_nearest_parser_is_that_of_the_component() -> None:
    parser = ConfigParser(CONFIG)
    assert parser.get_parsed_content("call").parser is parser
    assert current_call() == WorkflowCall(None)
