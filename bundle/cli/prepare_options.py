"""What the commands of ``python -m bundle prepare`` share: their options, and writing of the datalist."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable
from functools import partial
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

from bundle.data.datalist_error import DatalistError
from bundle.data.split import write_datalist

logger = logging.getLogger(__name__)


def add_dataset(
    names: Any,
    name: str,
    prepare: Callable[..., dict[str, Any]],
    *,
    told: str,
    folder: str,
    target: str = "dataset.json",
) -> argparse.ArgumentParser:
    """Add a command that lists a dataset.

    Args:
        names: commands of ``prepare``.
        name: name of the command.
        prepare: from the folder to the content of a datalist; every keyword-only parameter needs an option of its name.
        told: what the command is for.
        folder: what the folder holds.
        target: name of the file to write where the user names none.

    Returns:
        The parser of the command, for its options.
    """
    parser: argparse.ArgumentParser = names.add_parser(name, help=told)
    parser.add_argument("dataset_dir", help=folder)
    parser.add_argument("--output", help=f"datalist to write (default: DIR/{target})")
    parser.set_defaults(run=partial(_list, prepare, target))
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


def write(content: dict[str, Any], path: str | Path) -> None:
    """Write a datalist and tell how many cases it has."""
    write_datalist(content, path)
    tell(content, path)


def tell(content: dict[str, Any], path: str | Path) -> None:
    """Log how many cases a datalist has."""
    logger.info("%s: %d training cases, %d test cases", path, len(content["training"]), len(content.get("test", [])))


def _list(prepare: Callable[..., dict[str, Any]], target: str, args: argparse.Namespace) -> None:
    path = Path(args.output) if args.output else _default(Path(args.dataset_dir, target))
    parameters = signature(prepare).parameters.values()
    options = {item.name: getattr(args, item.name) for item in parameters if item.kind is Parameter.KEYWORD_ONLY}
    write(prepare(args.dataset_dir, **options), path)


def _default(path: Path) -> Path:
    """Return the path unless a file lies there that was handed out with the dataset.

    Raises:
        DatalistError: when one does.
    """
    try:
        known = not path.is_file() or "seed" in json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = False
    if not known:
        raise DatalistError(f"{path}: was not written by prepare and is left as it is; pass --output FILE.")
    return path
