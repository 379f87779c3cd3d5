"""``bids``: the results of a run as a BIDS derivative."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from .output_paths import output_folder

logger = logging.getLogger(__name__)

HELP = "copy the label maps of a finished run to a BIDS derivative"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("folder", type=Path, help="output_dir of an inference of discs or volumes")
    parser.add_argument("derivative", type=output_folder, help="folder to write to, such as DATASET/derivatives/labels")
    parser.add_argument("--overwrite", action="store_true", help="replace files that have another content")


def run(args: argparse.Namespace) -> None:
    """Run the command; exit with 2 when something was left out."""
    from bundle.inference.bids_derivative import write_bids_derivative

    written = write_bids_derivative(args.folder, args.derivative, overwrite=args.overwrite)
    logger.info("%s: %d cases", args.derivative, written.cases)
    if written.skipped:
        raise SystemExit(2)
