"""Options and writing of the datalist, shared by the commands of ``prepare``."""

from __future__ import annotations

import argparse
import json
import logging
from functools import partial
from inspect import Parameter, signature
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from .output_paths import output_file

logger = logging.getLogger(__name__)

KEPT = ("not_failed", "passed")
"""Cases that are kept of those that ``--qc`` rates."""


def add_dataset(
    names: Any,
    name: str,
    prepare: str,
    *,
    description: str,
    folder: str,
    target: str = "dataset.json",
) -> argparse.ArgumentParser:
    """Add a command that lists a dataset.

    Args:
        names: commands of ``prepare``.
        name: name of the command.
        prepare: ``"module:function"`` that makes the content of a datalist from the folder; every keyword-only
            parameter needs an option of its name.
        description: purpose of the command.
        folder: content of the folder.
        target: default name of the file to write.

    Returns:
        The parser of the command, for its options.
    """
    parser: argparse.ArgumentParser = names.add_parser(name, help=description, description=description)
    parser.add_argument("dataset_dir", help=folder)
    parser.add_argument("--output", type=output_file, help=f"datalist to write (default: DIR/{target})")
    parser.add_argument("--qc", help="qc.csv of the page of a run; cases that it rates as failed are left out")
    parser.add_argument("--qc_keep", choices=KEPT, default=KEPT[0], help="cases to keep (default: %(default)s)")
    parser.set_defaults(prepare=partial(_list_dataset, prepare, target))
    return parser


def add_split(parser: argparse.ArgumentParser, *, test_share: float = 0.2, folds: int = 5) -> None:
    """Add ``--test_share``, ``--folds`` and ``--seed``."""
    parser.add_argument(
        "--test_share", type=float, default=test_share, help="share of the cases held out (default: %(default)s)"
    )
    parser.add_argument("--folds", type=int, default=folds, help="folds of the others (default: %(default)s)")
    add_seed(parser)


def add_seed(parser: argparse.ArgumentParser) -> None:
    """Add ``--seed``."""
    parser.add_argument("--seed", type=int, default=0, help="seed of the shuffle (default: 0)")


def report_datalist(content: dict[str, Any], path: str | Path) -> None:
    """Log how many cases a datalist has, and those that were skipped.

    Raises:
        SystemExit: with the status of a run that skipped cases, when there are any.
    """
    logger.info("%s: %d training cases, %d test cases", path, len(content["training"]), len(content.get("test", [])))
    skipped = content.get("skipped", [])
    if skipped:
        from bundle.inference.case_record import EXIT_BAD_CASES

        for case in skipped:
            logger.error("skipped: %s", case["message"])
        logger.error("%d cases skipped; they are listed under 'skipped' in %s", len(skipped), path)
        raise SystemExit(EXIT_BAD_CASES)


def _list_dataset(prepare: str, target: str, args: argparse.Namespace) -> None:
    from bundle.data.case_review import CaseReview, review_datalist
    from bundle.data.datalist_file import write_datalist

    path = Path(args.output) if args.output else _check_default(Path(args.dataset_dir, target))
    function = resolve_name(prepare)
    parameters = signature(function).parameters.values()
    options = {item.name: getattr(args, item.name) for item in parameters if item.kind is Parameter.KEYWORD_ONLY}
    content = function(args.dataset_dir, **options)
    if args.qc is not None:
        content = review_datalist(content, args.dataset_dir, CaseReview(args.qc, args.qc_keep))
    write_datalist(content, path)
    report_datalist(content, path)


def _check_default(path: Path) -> Path:
    """Return the path unless it is a file that was released with the dataset.

    Raises:
        DatalistError: when it is.
    """
    from bundle.data.datalist_file import DatalistError

    try:
        known = not path.is_file() or "seed" in json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = False
    if not known:
        raise DatalistError(f"{path}: was not written by prepare and is kept; pass --output FILE.")
    return path
