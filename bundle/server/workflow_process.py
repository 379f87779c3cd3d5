"""Running of a workflow of the bundle in a child process."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bundle.inference.case_record import EXIT_BAD_CASES
from bundle.utils.write_json import write_json

logger = logging.getLogger(__name__)

TAIL_LINES = 15
"""Number of last lines of a failed run in its error message."""


_SKIPPED_LINE = re.compile(r"\s*$|.* INFO ignite\.|.* - INFO - ")
"""Lines that are not logged: empty lines, starts and ends of Ignite's engines, MONAI's list of arguments."""

_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d [\d:,]+ (INFO )?")


class WorkflowError(RuntimeError):
    """A failed workflow; the message contains its last output."""


def run_workflow(config_file: str | Path, overrides: Mapping[str, Any], folder: str | Path) -> dict[str, Any]:
    """Run a config with ``python -m monai.bundle run`` and log its output.

    The overrides are passed in a file, so that no file name is evaluated as Python. MONAI Label stops child processes
    together with a task.

    Args:
        config_file: config of the workflow.
        overrides: values by config id; ``output_dir`` is set to ``folder``.
        folder: folder of the run.

    Returns:
        The content of ``summary.json``; its ``failures`` are the skipped cases.

    Raises:
        WorkflowError: if the run fails.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.json").unlink(missing_ok=True)
    arguments = folder / "arguments.json"
    write_json(arguments, {"config_file": str(config_file), **overrides, "output_dir": str(folder)})
    command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", "--args_file", str(arguments)]
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            tail.append(line.rstrip())
            if not _SKIPPED_LINE.match(line):
                logger.info("%s", _TIMESTAMP.sub("", line.rstrip(), count=1))
    summary = folder / "summary.json"
    if process.returncode not in (0, EXIT_BAD_CASES) or not summary.is_file():
        raise WorkflowError(f"{config_file} failed with status {process.returncode}:\n" + "\n".join(tail))
    return json.loads(summary.read_text(encoding="utf-8"))
