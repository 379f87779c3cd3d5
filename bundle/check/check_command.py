"""``python -m bundle check DATASET``: the doctor on the command line."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bundle.data.datalist_error import DatalistError
from bundle.inference.summary import EXIT_BAD_CASES

from .dataset_check import SPACING_RANGE, check_dataset


def add_check(commands: Any) -> None:
    """Add ``check`` to the commands of ``python -m bundle``; it exits with 2 where it finds a fault."""
    parser = commands.add_parser("check", help="look for faults in a dataset: files, labels, duplicates, leaks")
    parser.add_argument("dataset_dir", help="folder of the dataset: volumes or pictures, with labels")
    parser.add_argument("--datalist", help="datalist in MSD form (default: DIR/dataset.json where there is one)")
    parser.add_argument("--output_dir", help="folder for check.json and check.html (default: write nothing)")
    parser.add_argument(
        "--label_names", help='classes as JSON, {"name": value}, or a JSON file that has them under label_names'
    )
    parser.add_argument(
        "--levels", type=int, nargs="+", default=[255], help="grey level of every class in masks (default: 255)"
    )
    parser.add_argument(
        "--spacing_range",
        type=float,
        nargs=2,
        default=list(SPACING_RANGE),
        metavar=("LOW", "HIGH"),
        help="voxel sizes in mm that are no fault (default: 0.1 10)",
    )
    parser.add_argument("--workers", type=int, help="items read at a time (default: one a processor, at most 8)")
    parser.set_defaults(run=_check)


def parse_label_names(text: str | None) -> dict[str, int] | None:
    """Read the classes from JSON, or from a JSON file that has them under ``label_names``, such as a config.

    Raises:
        DatalistError: when it is neither.
    """
    if text is None:
        return None
    try:
        content = json.loads(text if text.lstrip().startswith("{") else Path(text).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DatalistError(f"--label_names {text}: is neither JSON nor a JSON file ({error}).") from error
    names = content.get("label_names", content) if isinstance(content, Mapping) else None
    if not isinstance(names, Mapping) or not names or not all(type(value) is int for value in names.values()):
        raise DatalistError(f'--label_names {text}: holds no classes; give them as {{"name": value}}.')
    return dict(names)


def _check(args: argparse.Namespace) -> None:
    if args.workers is not None and args.workers < 1:
        raise DatalistError(f"--workers must be 1 or more, got {args.workers}.")
    if sorted({*args.levels, 0}) != [0, *args.levels] or args.levels[-1] > 255:
        raise DatalistError(f"--levels must be rising grey levels from 1 to 255, got {args.levels}.")
    content = check_dataset(
        args.dataset_dir,
        args.datalist,
        args.output_dir,
        label_names=parse_label_names(args.label_names),
        levels=args.levels,
        spacing_range=args.spacing_range,
        workers=args.workers,
        command=args.command_line,
    )
    if content["faults"]:
        raise SystemExit(EXIT_BAD_CASES)
