"""Options of the commands that run on a Dask cluster."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bundle.cluster.connection import ClusterOptions


def add_cluster_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the tasks run; without one, they run in this process."""
    group = parser.add_argument_group("cluster", "by default, everything runs in this process")
    group.add_argument("--scheduler", help="address of a running Dask scheduler, tcp://HOST:PORT")
    group.add_argument("--workers", type=int, help="worker processes on this machine")
    group.add_argument("--jobqueue", help="file that describes jobs of SLURM, PBS or LSF, see docs/cohort.md")
    group.add_argument("--memory_limit", help="memory of each of --workers, such as 8GB, above which it is killed")
    group.add_argument("--resources", help="resources that a task needs, such as GPU=1")


def cluster_options(args: argparse.Namespace) -> ClusterOptions:
    """Return the options of a command."""
    from bundle.cluster.connection import ClusterOptions, parse_resources

    resources = parse_resources(args.resources) if args.resources else {}
    names = ("scheduler", "workers", "jobqueue", "memory_limit")
    return ClusterOptions(**{name: getattr(args, name) for name in names}, resources=resources)
