"""Options of a cluster are those of every command that runs on one."""

from __future__ import annotations

import argparse

from bundle.cli.cluster_options import add_cluster_options, cluster_options
from bundle.cluster.connection import ClusterOptions


def options(*words: str) -> ClusterOptions:
    parser = argparse.ArgumentParser()
    add_cluster_options(parser)
    return cluster_options(parser.parse_args(words))


def test_without_an_option_everything_runs_in_this_process() -> None:
    assert options() == ClusterOptions()
    assert options().is_local


def test_options_are_read_with_their_types() -> None:
    found = options("--workers", "2", "--memory_limit", "8GB", "--resources", "GPU=1")
    assert found == ClusterOptions(workers=2, memory_limit="8GB", resources={"GPU": 1.0})
