"""``skeleton``: fit the skeleton prior of the disc search."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

logger = logging.getLogger(__name__)

HELP = "fit the positions of the discs of a spine relative to each other"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("dataset_dir", nargs="+", help="folders of datasets whose labels are disc points")
    parser.add_argument("--output", required=True, help="file to write, .json")


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from bundle.data.datalist import load_datalist
    from bundle.tasks.spine.discs.skeleton import SkeletonPrior
    from bundle.tasks.spine.load_disc_points import LoadDiscPointsd

    load = LoadDiscPointsd("label")
    cases = [case for folder in args.dataset_dir for case in load_datalist(folder)["training"]]
    points = [load({"label": case["label"]})["points"] for case in cases]
    prior = SkeletonPrior.fit(points, source=args.command_line)
    Path(args.output).parent.mkdir(parents=True, exist_ok=True)
    prior.save(args.output)
    logger.info("%s: %d levels from %d cases", args.output, len(prior.levels), len(cases))
