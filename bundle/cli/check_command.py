"""``check``: validate a dataset."""

from __future__ import annotations

import argparse

from .output_paths import output_folder

HELP = "validate a dataset: files, labels, duplicates, leaks"

SPACING_RANGE = (0.1, 10.0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("dataset_dir", help="folder of the dataset: volumes or images, with labels")
    parser.add_argument("--datalist", help="datalist in MSD form (default: DIR/dataset.json where there is one)")
    parser.add_argument(
        "--output_dir", type=output_folder, help="folder for check.json and check.html (default: write nothing)"
    )
    parser.add_argument(
        "--label_names", help='classes as JSON, {"name": value}, or a JSON file that has them under label_names'
    )
    parser.add_argument(
        "--levels", type=int, nargs="+", default=[255], help="gray level of every class in masks (default: 255)"
    )
    parser.add_argument("--round_levels", action="store_true", help="take the nearest level in smoothed masks")
    parser.add_argument(
        "--spacing_range",
        type=float,
        nargs=2,
        default=list(SPACING_RANGE),
        metavar=("LOW", "HIGH"),
        help="voxel sizes in mm that are accepted (default: 0.1 10)",
    )
    parser.add_argument("--workers", type=int, help="items read at a time (default: one per processor, at most 8)")


def run(args: argparse.Namespace) -> None:
    """Run the command; exit with 2 when there is a fault."""
    from bundle.check.check_options import check_levels, check_workers, parse_label_names
    from bundle.check.dataset_check import check_dataset
    from bundle.inference.case_record import EXIT_BAD_CASES

    check_workers(args.workers)
    check_levels(args.levels)
    content = check_dataset(
        args.dataset_dir,
        args.datalist,
        args.output_dir,
        label_names=parse_label_names(args.label_names),
        levels=args.levels,
        round_levels=args.round_levels,
        spacing_range=args.spacing_range,
        workers=args.workers,
        command=args.command_line,
    )
    if content["faults"]:
        raise SystemExit(EXIT_BAD_CASES)
