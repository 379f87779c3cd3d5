"""Computing of single cases in a worker: network, plan and weights stay in memory between cases."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from monai.bundle import create_workflow

from bundle.cluster.worker_memory import release_trim_threshold
from bundle.utils.digests import sha256_of_values
from bundle.utils.errors import BundleError

Outcome = Literal["completed", "failed", "taken"]


class RunnerError(BundleError):
    """A config that a worker cannot run."""


LOADER = {
    "_target_": "DataLoader",
    "dataset": "@dataset",
    "batch_size": 1,
    "num_workers": 0,
    "collate_fn": "$bundle.inference.collate_cases",
}
"""Loader of one case, which the worker has claimed."""


@dataclass(frozen=True)
class Request:
    """What is computed.

    Attributes:
        config_files: inference config, and overlays.
        options: values by config id, ``output_dir`` among them.
    """

    config_files: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Digest of the request."""
        return sha256_of_values([self.config_files, dict(self.options)])


def create_inference(request: Request, **parts: Any) -> Any:
    """Create the workflow of a request, which resumes.

    Args:
        request: config and options.
        parts: further values by config id.
    """
    given = {name: "$None" if value is None else value for name, value in request.options.items()}
    values = {**given, "resume": True, **parts}  # monai 1.6.1 drops options that are None
    files = list(request.config_files)
    logging.getLogger("monai.bundle").setLevel(logging.ERROR)  # it would log all options for every worker
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="parsing config_file")
        return create_workflow(config_file=files, workflow_type="infer", logging_file=False, **values)


class CaseRunner:
    """Run the inference of a config case by case.

    Args:
        request: config and options; ``resume`` is true.
        case: the first case.
    """

    def __init__(self, request: Request, case: Mapping[str, Any]) -> None:
        parts = {"dataset#data": [dict(case)], "dataloader": LOADER, "handlers": []}
        parser = create_inference(request, **parts).parser
        names = ("dataset", "completed", "evaluator", "writer")
        self.dataset, self.completed, self.evaluator, self.writer = map(parser.get_parsed_content, names)

    def compute(self, case: Mapping[str, Any]) -> Outcome:
        """Compute a case, unless it is completed; ``"taken"`` if another process computes it."""
        if self.completed.begin(case) == "taken":
            return "taken"
        self.dataset.data = [dict(case)]
        self.evaluator.run()
        self.writer.finish()
        (record,) = self.evaluator.records
        record.settle()
        if record.status == "taken over":
            return "taken"
        return "failed" if record.status == "failed" else "completed"


def describe_cause(error: BaseException) -> str:
    """Return type and message of the first error of a chain."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}"


_runners: dict[int, tuple[str, CaseRunner]] = {}
"""The last request and its runner of every thread."""


def compute_case(request: Request, case: Mapping[str, Any]) -> Outcome:
    """Compute a case with the runner of this thread, which is made for its first case and for another request.

    Raises:
        RunnerError: if it cannot be made.
    """
    thread = threading.get_ident()
    digest, runner = _runners.get(thread, ("", None))
    if runner is None or digest != request.digest:
        _forget(thread)
        release_trim_threshold()
        try:
            runner = CaseRunner(request, case)
        except Exception as error:  # its cause would not cross to the other process
            raise RunnerError(describe_cause(error)) from None
        _runners[thread] = request.digest, runner
    return runner.compute(case)


def forget_runners(digest: str) -> None:
    """Forget the runners of a request in all threads, and end their claims, whose start is that of their cohort."""
    for thread in [thread for thread, (found, _) in list(_runners.items()) if found == digest]:
        _forget(thread)


def _forget(thread: int) -> None:
    _, runner = _runners.pop(thread, ("", None))
    if runner is not None:
        runner.completed.claims.close()
