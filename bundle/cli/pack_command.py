"""``pack``: write a task as a standalone MONAI bundle."""

from __future__ import annotations

import argparse
import logging

from .output_paths import output_folder

logger = logging.getLogger(__name__)

HELP = "write a task as a standalone MONAI bundle"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("task", help="volumes, or the name of a folder in configs/")
    parser.add_argument(
        "output", type=output_folder, metavar="OUT", help="folder to write to; its name is that of the bundle"
    )
    parser.add_argument("--model", help="folder that a training has written (default: the shipped weights)")
    parser.add_argument("--overwrite", action="store_true", help="replace files of the same names in OUT")
    parser.add_argument("--zip", action="store_true", help="also write OUT.zip")


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from bundle.export.pack import write_pack

    target = write_pack(args.task, args.output, model=args.model, overwrite=args.overwrite, archive=args.zip)
    logger.info("%s: the task %r as a MONAI bundle; docs/README.md describes how to run it", target, args.task)
