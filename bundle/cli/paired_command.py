"""``paired``: compare two evaluations of the same cases."""

from __future__ import annotations

import argparse

from .output_paths import output_folder

HELP = "compare two evaluations of the same cases, with paired intervals"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("first", help="output folder of an evaluation")
    parser.add_argument("second", help="output folder of another evaluation of the same cases")
    parser.add_argument("--output_dir", type=output_folder, help="folder for paired.json (default: write nothing)")


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from bundle.experiments.paired import compare_evaluations

    compare_evaluations(args.first, args.second, args.output_dir)
