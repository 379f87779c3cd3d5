"""``summarize``: summary and tables of a folder of results."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "write the summary and the tables of a folder of results, from the JSONs of its cases"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("folder", type=Path, help="output_dir of an inference or a cohort, also of one that is running")


def run(args: argparse.Namespace) -> None:
    """Run the command; exit with 2 when a case failed."""
    from bundle.cohort.summarize import summarize

    if summarize(args.folder).failed:
        raise SystemExit(2)
