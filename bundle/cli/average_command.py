"""``average``: write the mean of the weights of several trainings."""

from __future__ import annotations

import argparse

from .output_paths import output_file

HELP = "write the mean of the weights of several trainings of one network"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("files", nargs="+", help="files of weights")
    parser.add_argument("--output", type=output_file, required=True, help="file to write, .pt")


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from bundle.networks.weight_average import average_weights

    average_weights(args.files, args.output)
