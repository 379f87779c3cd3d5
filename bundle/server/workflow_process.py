"""Running of a workflow of the bundle in a process of its own, as a user does on the command line."""

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

from bundle.inference.summary import EXIT_BAD_CASES

logger = logging.getLogger(__name__)

TOLD = 15
"""Lines at the end of a failed run that its error repeats."""


_QUIET = re.compile(r"\s*$|.* INFO ignite\.|.* - INFO - ")
"""What need not be told while a workflow runs: empty lines, Ignite's beginnings and ends, MONAI's list of arguments."""

_STAMP = re.compile(r"\d{4}-\d\d-\d\d [\d:,]+ (INFO )?")


class WorkflowError(RuntimeError):
    """A workflow that failed; the message holds the end of what it said."""


def run_workflow(config_file: str | Path, overrides: Mapping[str, Any], folder: str | Path) -> dict[str, Any]:
    """Run a config as ``python -m monai.bundle run`` does, and pass on what it says, but for idle words, to the log.

    The overrides go through a file, so that no name of a file is taken for a piece of Python. The process is a child of
    this one, which MONAI Label's request to stop a task ends too.

    Args:
        config_file: config of the workflow.
        overrides: values by config id; ``output_dir`` is set to ``folder``.
        folder: folder of the run.

    Returns:
        The content of ``summary.json``; its ``failures`` are the cases that were left out.

    Raises:
        WorkflowError: when the run fails.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.json").unlink(missing_ok=True)
    arguments = folder / "arguments.json"
    content = {"config_file": str(config_file), **overrides, "output_dir": str(folder)}
    arguments.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", "--args_file", str(arguments)]
    last: deque[str] = deque(maxlen=TOLD)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            last.append(line.rstrip())
            if not _QUIET.match(line):
                logger.info("%s", _STAMP.sub("", line.rstrip(), count=1))
    summary = folder / "summary.json"
    if process.returncode not in (0, EXIT_BAD_CASES) or not summary.is_file():
        raise WorkflowError(f"{config_file} failed with status {process.returncode}:\n" + "\n".join(last))
    return json.loads(summary.read_text(encoding="utf-8"))
