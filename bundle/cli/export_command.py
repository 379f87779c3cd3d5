"""``export``: write a model as ONNX for deployment."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from .output_paths import output_folder

logger = logging.getLogger(__name__)

HELP = "write a model as ONNX, with preprocessing and postprocessing inside"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("model", help="volumes, a folder in configs/, or a folder of a training")
    parser.add_argument("output", type=output_folder, metavar="OUT", help="folder for the graph, its test and report")
    parser.add_argument("--compare", nargs="+", default=[], metavar="IMAGE", help="images to compare with the workflow")


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from bundle.export.onnx_file import MODEL, export_onnx

    report = export_onnx(args.model, args.output, cases=args.compare)
    logger.info("%s: compared on %d images, worst %s", Path(args.output, MODEL), len(report["cases"]), report["worst"])
