"""``cohort``: inference over many cases, in this process or on a Dask cluster."""

from __future__ import annotations

import argparse

from .cluster_options import add_cluster_options, cluster_options
from .output_paths import output_folder

HELP = "run an inference over many cases, in this process or on many machines, and summarize it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command; further ones override the config."""
    parser.allow_abbrev = False
    parser.epilog = "Further --id value arguments override the config. Run the command again to resume."
    parser.set_defaults(takes_overrides=True)
    parser.add_argument("config_file", help="inference config of a task, or a list of it and overlays")
    parser.add_argument("--input", required=True, help="a folder, a datalist, or a manifest (CSV or JSON lines)")
    parser.add_argument("--output_dir", type=output_folder, required=True, help="folder to write to, or to resume")
    add_cluster_options(parser)


def run(args: argparse.Namespace) -> None:
    """Run the command; exit with 2 when a case failed."""
    from bundle.cohort.cohort_run import run_cohort
    from bundle.experiments.experiment_options import parse_files, parse_overrides
    from bundle.inference.summary import EXIT_BAD_CASES

    counts = run_cohort(
        parse_files(args.config_file),
        args.output_dir,
        options={**parse_overrides(args.overrides), "input": args.input},
        cluster=cluster_options(args),
    )
    if counts.failed:
        raise SystemExit(EXIT_BAD_CASES)
