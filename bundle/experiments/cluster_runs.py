"""Runs of an experiment as tasks of a Dask cluster."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import chdir
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from bundle.cluster.connection import ClusterOptions, connect
from bundle.cluster.task_stream import TaskStream
from bundle.inference.claims import Claims

from .experiment_runs import RESULT, Result, describe_failure, read_result, record_error

T = TypeVar("T")

WAIT = 5.0
"""Seconds between two looks at runs of other processes."""

State = Literal["completed", "failed", "taken"]

_ONE = threading.Lock()
"""A process trains one network at a time: its random numbers are those of the process."""


def run_on_cluster(
    folders: Mapping[T, Path], run: Callable[[T], Result], options: ClusterOptions
) -> Iterator[tuple[T, State, dict[str, Any]]]:
    """Yield runs as they end: those that are completed with their results, those that failed with name and error.

    A run whose worker dies is begun again on another one, and continues as after any interruption. A run that ended
    two workers has failed.

    Args:
        folders: folder of every run.
        run: runs one of them and returns its result; it is pickled.
        options: the cluster.
    """
    paths = {key: folder.absolute() for key, folder in folders.items()}
    with connect(options) as client:
        task = partial(run_claimed, run, str(Path.cwd()))
        stream = TaskStream(client, task, resources=options.resources)
        left: Iterable[tuple[T, Path]] = paths.items()
        while left:
            taken = []
            for item, outcome in stream.run(left):
                if isinstance(outcome, BaseException):
                    yield item[0], "failed", describe_failure(item[1], outcome)
                elif outcome[0] == "taken":
                    taken.append(item)
                else:
                    yield item[0], *outcome
            left = taken
            if taken:
                time.sleep(WAIT)


def run_claimed(run: Callable[[T], Result], cwd: str, item: tuple[T, Path]) -> tuple[State, dict[str, Any]]:
    """Run one run on a worker, unless another process runs it."""
    key, folder = item
    with _ONE, chdir(cwd):
        claims = Claims(folder.parent)
        claim = claims.take(folder.name)
        try:
            if claim is None:
                return "taken", {}
            if (folder / RESULT).is_file():
                return "completed", read_result(folder)
            claim.check_attempts()
            return "completed", run(key)
        except Exception as error:
            return "failed", record_error(folder, error)
        finally:
            if claim is not None:
                claim.release()
            claims.close()
