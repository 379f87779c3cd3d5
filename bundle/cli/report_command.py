"""``report``: one HTML page for a finished run."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "write one HTML page for a finished run: what to distrust, figures, volumes, and a review of the cases"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("run_dir", type=Path, help="output_dir of an inference or an evaluation")
    parser.add_argument("--output", type=Path, help="page to write; default: report.html in run_dir")
    parser.add_argument("--no_volumes", action="store_true", help="do not embed volumes, for a smaller page")


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from bundle.review import write_report

    write_report(args.run_dir, args.output, volumes=not args.no_volumes)
