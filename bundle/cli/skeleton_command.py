"""``skeleton``: fit the skeleton prior of the disc search."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .output_paths import output_file

logger = logging.getLogger(__name__)

HELP = "fit the positions of the discs of a spine relative to each other"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("dataset_dir", nargs="+", help="folders of datasets whose labels are disc points")
    parser.add_argument("--output", type=output_file, required=True, help="file to write, .json")


def run(args: argparse.Namespace) -> None:
    """Run the command; exit with 2 when cases were skipped."""
    from bundle.data.datalist import load_datalist
    from bundle.inference.case_record import EXIT_BAD_CASES
    from bundle.tasks.spine.discs.skeleton import SkeletonPrior
    from bundle.utils.errors import BundleError

    cases = [case for folder in args.dataset_dir for case in load_datalist(folder)["training"]]
    points = _read_points(cases)
    failed, points = len(cases) - len(points), [found for found in points if len(found) > 1]
    try:
        prior = SkeletonPrior.fit(points, source=args.command_line)
    except ValueError as error:
        raise BundleError(f"{', '.join(args.dataset_dir)}: {error}") from error
    Path(args.output).parent.mkdir(parents=True, exist_ok=True)
    prior.save(args.output)
    logger.info("%s: %d levels from %d cases", args.output, len(prior.levels), len(points))
    if failed:
        logger.error("%d of %d cases skipped", failed, len(cases))
        raise SystemExit(EXIT_BAD_CASES)


def _read_points(cases: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Return the points of the cases that can be used; the others are logged."""
    from bundle.inference.case_record import CaseRecord
    from bundle.tasks.spine.discs.skeleton import check_case
    from bundle.tasks.spine.load_disc_points import LoadDiscPointsd

    load, points = LoadDiscPointsd("label"), []
    for case in cases:
        try:
            found = load({"label": case["label"]})["points"]
            check_case(found, "the spine")
            points.append(found)
            if len(found) < 2:
                logger.warning("%s: has no two discs, so the skeleton is fitted without it", case["label"])
        except Exception as error:
            CaseRecord(case["case"], case["label"]).fail(error)
    return points
