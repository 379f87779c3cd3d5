"""``quantize``: write a network in int8 for CPUs next to its weights."""

from __future__ import annotations

import argparse
import logging

logger = logging.getLogger(__name__)

HELP = "write a network in int8 for CPUs next to its weights, calibrated on images"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("model", help="volumes, a folder in configs/, or a folder of a training")
    parser.add_argument(
        "images", nargs="+", metavar="IMAGES", help="images or folders of images, such as the training set"
    )


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from bundle.export.quantize import quantize

    about = quantize(args.model, args.images)
    check = about["check"]
    logger.info("checked on %d images, worst agreement %.4f%%", check["images"], 100 * check["worst_agreement"])
