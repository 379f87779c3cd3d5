"""``demo``: segment the hippocampi of the MNI152 template."""

from __future__ import annotations

import argparse

HELP = "segment the hippocampi of the MNI152 template"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--output_dir", default="demo", help="folder to write to (default: demo)")


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from .demo import run_demo

    run_demo(args.output_dir)
