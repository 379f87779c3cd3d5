"""Connection to a Dask cluster: one that runs, one on this machine, or jobs of a batch system."""

from __future__ import annotations

import importlib
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from pydoc import locate
from typing import TYPE_CHECKING, Any

import yaml

from bundle.utils.errors import BundleError

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)

TIMEOUT = 30.0
"""Seconds to wait for a scheduler."""

SETTINGS = {
    "distributed.worker.daemon": False,  # a training may start processes that load its cases
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None,  # or memory is not reused between windows
}
"""Configuration of Dask for workers of this machine, also for those that their nanny starts again."""

INSTALL = "pip install 'keyslice[cluster]'"


class ClusterError(BundleError):
    """A cluster that cannot be used; the message names the option and what to do."""


@dataclass(frozen=True)
class ClusterOptions:
    """Where tasks run. With neither scheduler, workers nor jobqueue, they run in this process, without Dask.

    Attributes:
        scheduler: address of a running scheduler, ``"tcp://HOST:PORT"``.
        workers: number of worker processes on this machine, of one thread each.
        jobqueue: file, YAML or JSON, with ``cluster``, a class of ``dask_jobqueue``, ``jobs``, their number, and
            ``options`` of the class.
        memory_limit: memory of each of ``workers``, such as ``"8GB"``, above which it is killed; None for its share.
        resources: resources that a task needs, such as ``{"GPU": 1}``; each of ``workers`` has them, other workers have
            those that they were started with.
    """

    scheduler: str | None = None
    workers: int | None = None
    jobqueue: str | Path | None = None
    memory_limit: str | None = None
    resources: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given = [name for name in ("scheduler", "workers", "jobqueue") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ClusterError(f"--{given[0]} and --{given[1]} are two clusters; pass one of them.")
        if self.workers is not None and self.workers < 1:
            raise ClusterError(f"--workers must be 1 or more, got {self.workers}.")
        if self.memory_limit is not None and self.workers is None:
            raise ClusterError("--memory_limit is for --workers; other workers have the limit they were started with.")

    @property
    def is_local(self) -> bool:
        """Whether tasks run in this process."""
        return self.scheduler is None and self.workers is None and self.jobqueue is None


def parse_resources(text: str) -> dict[str, float]:
    """Read ``GPU=1,MEMORY=16e9``, as ``dask worker --resources`` takes it.

    Raises:
        ClusterError: if it has another form.

    Examples:
        >>> parse_resources("GPU=1")
        {'GPU': 1.0}
    """
    pairs = [part.partition("=") for part in text.split(",")]
    try:
        return {name.strip(): float(number) for name, _, number in pairs}
    except ValueError:
        raise ClusterError(f"--resources must be NAME=NUMBER, such as GPU=1, got {text!r}.") from None


@contextmanager
def connect(options: ClusterOptions) -> Iterator[Client]:
    """Connect to the cluster; one that was started for it ends with it.

    Raises:
        ClusterError: if Dask is not installed, or the cluster cannot be reached or started.
    """
    distributed = _require("distributed")
    logging.getLogger("distributed").setLevel(logging.WARNING)
    with ExitStack() as stack:
        if options.workers is not None:
            stack.enter_context(_require("dask").config.set(SETTINGS))
            target = stack.enter_context(_local_cluster(distributed, options))
        elif options.jobqueue is not None:
            target = stack.enter_context(_jobs(options.jobqueue))
        else:
            target = options.scheduler
        try:
            client = stack.enter_context(distributed.Client(target, timeout=TIMEOUT, set_as_default=False))
        except (OSError, ValueError) as error:
            raise ClusterError(
                f"the scheduler {options.scheduler} cannot be reached ({error}); start one with dask scheduler."
            ) from error
        logger.info("cluster %s, dashboard %s", client.scheduler.address, client.dashboard_link)
        yield client


def _local_cluster(distributed: Any, options: ClusterOptions) -> Any:
    try:
        return distributed.LocalCluster(
            n_workers=options.workers,
            threads_per_worker=1,
            memory_limit=options.memory_limit or "auto",
            resources=dict(options.resources) or None,
            dashboard_address="127.0.0.1:0",
        )
    except ValueError as error:
        raise ClusterError(
            f"the workers cannot be started ({error}); --memory_limit must be a size such as 8GB, "
            f"got {options.memory_limit!r}."
        ) from error


def _jobs(path: str | Path) -> Any:
    """Start the jobs of a batch system that a file describes."""
    jobqueue = _require("dask_jobqueue")
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        name, jobs, options = content["cluster"], int(content["jobs"]), dict(content.get("options") or {})
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise ClusterError(
            f"{path}: is not a description of jobs ({error}); it needs cluster, such as SLURMCluster, jobs, a number, "
            "and options of the cluster."
        ) from error
    kind = locate(f"{jobqueue.__name__}.{name}")
    if kind is None:
        raise ClusterError(
            f"{path}: dask_jobqueue has no {name}; it has SLURMCluster, PBSCluster, LSFCluster and others."
        )
    try:
        cluster: Any = kind(**options)  # type: ignore[operator]
    except (TypeError, ValueError) as error:
        raise ClusterError(f"{path}: {name} does not take the options {json.dumps(options)} ({error}).") from error
    cluster.scale(jobs=jobs)
    return cluster


def _require(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ClusterError(f"{name} is not installed: {INSTALL}.") from error
