"""Commands for what a config cannot do: ``python -m bundle <command>``."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from .datasets import DatalistError
from .datasets.split import make_datalist, write_datalist
from .demo import run_demo
from .report.model_card import write_model_card

logger = logging.getLogger("bundle")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(prog="python -m bundle", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    demo = commands.add_parser("demo", help="segment the hippocampi of the MNI152 template")
    demo.add_argument("--output_dir", default="demo", help="folder to write to (default: demo)")
    demo.set_defaults(run=lambda args: run_demo(args.output_dir))

    prepare = commands.add_parser("prepare", help="write a datalist with a held-out test set and folds")
    prepare.add_argument("dataset_dir", help="folder with dataset.json, imagesTr/labelsTr or images/labels")
    prepare.add_argument("--output", required=True, help="datalist to write")
    prepare.add_argument("--test_share", type=float, default=0.2, help="share of the cases held out (default: 0.2)")
    prepare.add_argument("--folds", type=int, default=5, help="folds of the others (default: 5)")
    prepare.add_argument("--seed", type=int, default=0, help="seed of the shuffle (default: 0)")
    prepare.set_defaults(run=_prepare)

    card = commands.add_parser("card", help="write models/README.md from the metadata of the tasks")
    card.set_defaults(run=lambda args: write_model_card())
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status: 0, or 2 for a user's mistake, which is told in one line."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    args = build_parser().parse_args(argv)
    try:
        args.run(args)
    except (DatalistError, ModuleNotFoundError) as error:
        logger.error("%s", error)
        return 2
    return 0


def _prepare(args: argparse.Namespace) -> None:
    content = make_datalist(args.dataset_dir, test_share=args.test_share, folds=args.folds, seed=args.seed)
    write_datalist(content, args.output)
    logger.info("%s: %d training cases, %d test cases", args.output, len(content["training"]), len(content["test"]))


if __name__ == "__main__":
    sys.exit(main())
