"""``plausibility``: learn from finished runs what results are plausible."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "learn from finished runs what results of their weights are plausible, and to estimate the Dice"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "results",
        nargs="+",
        type=Path,
        help="output folders of inference.json, run with --measure_features true --plausible_distance null, or of "
        "evaluate.json, run with --save_labels true",
    )
    parser.add_argument(
        "--out_of_fold",
        nargs="+",
        type=Path,
        default=[],
        help="output folders of evaluate.json, run with --save_labels true, by networks of the same kind that were not "
        "trained on the cases, such as those of the folds of crossval; the estimate of the Dice is learned from them",
    )
    parser.add_argument(
        "--checkpoint", type=Path, required=True, help="weights of these results; the file is written next to them"
    )


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from bundle.inference.learn_plausibility import learn_plausibility

    learn_plausibility(args.results, args.checkpoint, out_of_fold=args.out_of_fold)
