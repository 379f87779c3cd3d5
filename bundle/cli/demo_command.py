"""``demo``: segment the hippocampi of the MNI152 template."""

from __future__ import annotations

import argparse

from .output_paths import output_folder

HELP = "segment the hippocampi of the MNI152 template"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--output_dir", type=output_folder, default="demo", help="folder to write to (default: demo)")


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from .demo import run_demo

    run_demo(args.output_dir)
