"""The workflow that is being run: its parser, its config files and the options of the call.

MONAI 1.6.1 passes a component neither the parser that creates it nor the options of the command. Both are local
variables of functions that wait on the call stack, and are read there.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow

CALLER = "create_workflow"
"""The function of MONAI that makes a workflow from the options of ``monai.bundle run``."""

ARGUMENTS = frozenset(inspect.signature(ConfigWorkflow.__init__).parameters)
"""Options of the command that are not ids of a config."""


@dataclass(frozen=True)
class WorkflowCall:
    """The call of a workflow.

    Attributes:
        parser: the parser of the config.
        config_files: names of the config and its overlays; empty where the workflow was not made by MONAI's command.
        options: values by config id, as they were given.
        run_id: id that is run.
    """

    parser: ConfigParser | None
    config_files: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    run_id: str = "run"


def current_call() -> WorkflowCall:
    """Return the call of the workflow that creates the component that asks."""
    parser = next((found for found in _locals("self") if isinstance(found, ConfigParser)), None)
    for frame in _frames():
        names = frame.f_locals
        if frame.f_code.co_name == CALLER and isinstance(names.get("_args"), dict):
            files = names.get("config_file")
            listed = (files,) if isinstance(files, str) else tuple(files or ())
            options = {name: value for name, value in names["_args"].items() if name not in ARGUMENTS}
            return WorkflowCall(parser, tuple(map(str, listed)), options, names["_args"].get("run_id") or "run")
    return WorkflowCall(parser)


def _locals(name: str) -> Iterator[Any]:
    return (frame.f_locals.get(name) for frame in _frames())


def _frames() -> Iterator[Any]:
    frame = inspect.currentframe()
    while frame is not None:
        yield frame
        frame = frame.f_back
