"""``plausibility``: learn from results of the training cases what results are plausible."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "learn from the results of training cases what results of their weights are plausible"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "results",
        nargs="+",
        type=Path,
        help="output folders of inference.json, run with --measure_features true --plausible_distance null",
    )
    parser.add_argument(
        "--checkpoint", type=Path, required=True, help="weights of these results; the file is written next to them"
    )


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from bundle.inference.learn_plausibility import learn_plausibility

    learn_plausibility(args.results, args.checkpoint)
