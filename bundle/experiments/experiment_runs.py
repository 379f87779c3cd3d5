"""The runs of an experiment, each in a folder with its ``result.json``: those without a result are run."""

from __future__ import annotations

import json
import logging
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from bundle.cluster.connection import ClusterOptions
from bundle.utils.write_json import write_json

from .experiment_configs import root_cause

logger = logging.getLogger(__name__)

T = TypeVar("T")

Result = dict[str, Any]
"""Content of the ``result.json`` of a run; ``"failures"`` are the records of its skipped cases."""

RESULT = "result.json"
ERROR = "error.txt"


def run_all(
    folders: Mapping[T, Path],
    run: Callable[[T], Result],
    describe: Callable[[Result], str],
    *,
    cluster: ClusterOptions | None = None,
) -> tuple[list[Result], list[dict[str, str]]]:
    """Run what has no result yet; a run that fails is recorded, and the others continue.

    Args:
        folders: folder of every run.
        run: runs one of them and returns its result.
        describe: returns the words about a result for the log.
        cluster: where they run; None for one after another in this process.

    Returns:
        The results, and the names and errors of the runs that failed, in the order of the folders.
    """
    results = {key: read_result(folder) for key, folder in folders.items() if (folder / RESULT).is_file()}
    failed: dict[T, dict[str, str]] = {}
    left = {key: folder for key, folder in folders.items() if key not in results}
    started, ended, total = time.monotonic(), len(results), len(folders)
    for number, (key, state, content) in enumerate(_run(left, run, cluster), start=1):
        seconds, name = time.monotonic() - started, folders[key].name
        if state == "failed":
            failed[key] = content
            logger.error("run %d/%d %s failed: %s", ended + number, total, name, content["error"])
        else:
            results[key] = content
            words = describe(content), seconds, seconds / number * (len(left) - number)
            logger.info("run %d/%d %s: %s, %.0f s, about %.0f s left", ended + number, total, name, *words)
    return [results[key] for key in folders if key in results], [failed[key] for key in folders if key in failed]


def _run(
    folders: Mapping[T, Path], run: Callable[[T], Result], cluster: ClusterOptions | None
) -> Iterator[tuple[T, str, dict[str, Any]]]:
    """Yield every run, whether it is completed or failed, and its result or error."""
    if cluster is not None and not cluster.is_local:
        from .cluster_runs import run_on_cluster

        yield from run_on_cluster(folders, run, cluster)
        return
    for key, folder in folders.items():
        try:
            yield key, "completed", run(key)
        except Exception as error:
            yield key, "failed", record_error(folder, error)


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


def record_error(folder: Path, error: BaseException) -> dict[str, str]:
    """Write the traceback of a run that failed, and return its name and error."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ERROR).write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    return describe_failure(folder, error)


def describe_failure(folder: Path, error: BaseException) -> dict[str, str]:
    """Return name and error of a run that failed."""
    cause = root_cause(error)
    return {"run": folder.name, "error": f"{type(cause).__name__}: {cause}"}
