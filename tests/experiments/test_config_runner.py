"""Running of a config in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser

from bundle.experiments import execute, read_failures, root_cause, run_training


class Handler:
    """A handler that can be closed."""

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


def config(run: str) -> dict[str, Any]:
    return {
        "done": [],
        "train": {"handlers": [{"_target_": "test_config_runner.Handler"}, {"_target_": "builtins.object"}]},
        "initialize": ["$@done.append('initialize')"],
        "run": [run],
    }


def test_a_section_is_executed_in_order_where_there_is_one() -> None:
    parser = ConfigParser({"done": [], "run": ["$@done.append(1)", "$@done.append(2)"]})
    execute(parser, "run")
    execute(parser, "absent")
    assert parser.get_parsed_content("done") == [1, 2]


def test_a_training_is_initialized_run_timed_and_closed() -> None:
    parser = ConfigParser(config("$@done.append('run')"))
    times = run_training(parser)
    assert parser.get_parsed_content("done") == ["initialize", "run"]
    assert parser.get_parsed_content("train#handlers")[0].closed
    assert set(times) == {"seconds", "cpu_seconds"}


def test_handlers_are_closed_where_a_training_fails() -> None:
    parser = ConfigParser(config("$1 / 0"))
    with pytest.raises(RuntimeError) as error:
        run_training(parser)
    assert isinstance(root_cause(error.value), ZeroDivisionError)
    assert parser.get_parsed_content("train#handlers")[0].closed


def test_failures_are_those_of_the_summary(tmp_path: Path) -> None:
    assert read_failures(tmp_path) == []
    (tmp_path / "summary.json").write_text(json.dumps({"failures": [{"case": "a"}]}))
    assert read_failures(tmp_path) == [{"case": "a"}]
