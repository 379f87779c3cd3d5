"""``root``: print the folder that holds the configs and the weights."""

from __future__ import annotations

import argparse
import sys

from bundle import ROOT

HELP = "print the folder that holds configs/ and models/"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command: none."""


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    sys.stdout.write(f"{ROOT}\n")
