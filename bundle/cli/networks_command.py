"""``networks``: write the table of the networks."""

from __future__ import annotations

import argparse

HELP = "count and measure the networks for the table in docs/networks.md"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--repeats", type=int, default=3, help="repeats of the timing (default: 3)")


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from bundle.export.network_table import measure_networks, write_network_table

    write_network_table(measure_networks(repeats=args.repeats))
