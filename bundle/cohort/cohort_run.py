"""Inference of a cohort: every case once, in this process or on the workers of a cluster."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from bundle.cluster.connection import ClusterOptions, connect
from bundle.cluster.task_stream import TaskStream
from bundle.data.datalist_file import Case
from bundle.inference.claims import Claims
from bundle.io.remote_files import is_remote
from bundle.results.result_folder import Counts
from bundle.utils.errors import BundleError
from bundle.utils.path_options import EXPRESSIONS

from .case_runner import Request, compute_case, create_inference, forget_runners
from .cohort_outputs import ClusterOutputs, wanted_tables
from .summarize import summarize

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)

PATHS = ("input", "model", "config_file")
"""Options that are paths, besides checkpoints and files."""

WAIT = 2.0
"""Seconds between two looks at cases that other processes compute."""


class CohortError(BundleError):
    """A cohort that cannot be computed; the message names the reason."""


def run_cohort(
    config_files: Sequence[str],
    output_dir: str | Path,
    *,
    options: Mapping[str, Any] | None = None,
    cluster: ClusterOptions | None = None,
) -> Counts:
    """Compute all cases that have no result yet, and write the summary and the tables.

    Args:
        config_files: inference config of a task, and overlays.
        output_dir: folder of the results, on a file system that all workers share.
        options: further values by config id, such as ``input``.
        cluster: where the cases are computed; None for this process.

    Returns:
        The numbers of completed and failed cases, also of those whose failure could not be written.

    Raises:
        ClusterError: if the cluster cannot be used.
        CohortError: if the workers cannot run the config.
        DatalistError: if the input cannot be used.
        OutputError: if an option cannot be served on a cluster.
    """
    folder = Path(output_dir).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    values = {name: _absolute(name, value) for name, value in (options or {}).items()}
    request = Request(
        tuple(_absolute("config_file", file) for file in config_files), {**values, "output_dir": str(folder)}
    )
    inference = create_inference(request)
    tables = wanted_tables(inference.parser)
    if cluster is None or cluster.is_local:
        inference.run()
        failed = len(inference.parser.get_parsed_content("evaluator").failures)
        counts = summarize(folder, tables=tables)
    else:
        outputs = ClusterOutputs(inference.parser)
        failed = _run_on_cluster(request, inference.parser.get_parsed_content("dataset#data"), folder, cluster)
        counts = summarize(folder, tables=tables)
        outputs.write(folder, counts)
    if failed > counts.failed:
        logger.error("%d cases failed, but only %d have a JSON in %s; see the log", failed, counts.failed, folder)
    return Counts(counts.completed, max(failed, counts.failed))


def _run_on_cluster(request: Request, cases: Sequence[Case], folder: Path, options: ClusterOptions) -> int:
    """Compute the cases on a cluster; return how many failed."""
    claims = Claims(folder)
    claims.open()  # the start of the run: cases that fail from now on are not tried again
    try:
        with connect(options) as client:
            stream = TaskStream(client, partial(compute_case, request), resources=options.resources)
            _forget_runners(client, request)  # a killed cohort has left them, and its failed cases are tried again
            try:
                return _follow(stream, cases)
            finally:
                _forget_runners(client, request)
    finally:
        claims.close()


def _forget_runners(client: Client, request: Request) -> None:
    with suppress(Exception):
        client.run(forget_runners, request.digest)


def _follow(stream: TaskStream, cases: Sequence[Case]) -> int:
    """Compute cases, and show the progress; return how many failed."""
    counts: Counter[str] = Counter()
    with tqdm(total=len(cases), unit="case", disable=None, dynamic_ncols=True) as bar:
        for case, outcome in _outcomes(stream, cases):
            if isinstance(outcome, BaseException):
                raise CohortError(f"{case['case']}: {type(outcome).__name__}: {outcome}") from outcome
            counts[outcome] += 1
            bar.set_postfix_str(f"{counts['failed']} failed, {stream.workers} workers")
            bar.update()
    return counts["failed"]


def _outcomes(stream: TaskStream, cases: Iterable[Case]) -> Iterator[tuple[Case, Any]]:
    """Yield cases with their outcomes; those that other processes compute are asked for again."""
    left: Iterable[Case] = cases
    while left:
        taken = []
        for case, outcome in stream.run(left):
            if outcome == "taken":
                taken.append(case)
            else:
                yield case, outcome
        left = taken
        if taken:
            time.sleep(WAIT)


def _absolute(name: str, value: Any) -> Any:
    """Return the value of an option for processes in other folders: paths are absolute, also a pattern of inputs."""
    is_path = name in PATHS or name.endswith(("checkpoint", "_file"))
    if not is_path or not isinstance(value, str | Path) or not str(value):
        return value
    if is_remote(value) or str(value).startswith(EXPRESSIONS):
        return value
    return str(Path(value).absolute()) if name == "input" or Path(value).exists() else value
