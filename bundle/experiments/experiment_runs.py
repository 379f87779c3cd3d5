"""The runs of an experiment, each in a folder with its ``result.json``: those without a result are run."""

from __future__ import annotations

import json
import logging
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from bundle.utils.write_json import write_json

from .experiment_configs import root_cause

logger = logging.getLogger(__name__)

T = TypeVar("T")

Result = dict[str, Any]
"""Content of the ``result.json`` of a run; ``"failures"`` are the records of its skipped cases."""

RESULT = "result.json"
ERROR = "error.txt"


def run_all(
    folders: Mapping[T, Path], run: Callable[[T], Result], describe: Callable[[Result], str]
) -> tuple[list[Result], list[dict[str, str]]]:
    """Run what has no result yet; a run that fails is recorded, and the others continue.

    Args:
        folders: folder of every run.
        run: runs one of them and returns its result.
        describe: returns the words about a result for the log.

    Returns:
        The results, and the names and errors of the runs that failed.
    """
    results, failed, seconds = [], [], []
    for number, (key, folder) in enumerate(folders.items(), start=1):
        if (folder / RESULT).is_file():
            results.append(read_result(folder))
            continue
        started = time.monotonic()
        try:
            result = run(key)
        except Exception as error:
            failed.append(_record_error(folder, error))
            logger.error("run %d/%d %s failed: %s", number, len(folders), folder.name, failed[-1]["error"])
        else:
            results.append(result)
            seconds.append(time.monotonic() - started)
            left = sum(seconds) / len(seconds) * (len(folders) - number)
            message = "run %d/%d %s: %s, %.0f s, about %.0f s left"
            logger.info(message, number, len(folders), folder.name, describe(result), seconds[-1], left)
    return results, failed


def write_result(result: Result, folder: Path) -> None:
    """Write the result of a run, and remove what an earlier try of it left."""
    write_json(folder / RESULT, result)
    (folder / ERROR).unlink(missing_ok=True)


def read_result(folder: Path) -> Result:
    """Return the result of a run."""
    result: Result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    return result


def skipped_cases(results: Sequence[Result]) -> list[str]:
    """Return the messages about the cases that runs have skipped."""
    return sorted({failure["message"] for result in results for failure in result["failures"]})


def _record_error(folder: Path, error: Exception) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ERROR).write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    cause = root_cause(error)
    return {"run": folder.name, "error": f"{type(cause).__name__}: {cause}"}
