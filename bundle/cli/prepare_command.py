"""``prepare``: write the datalist of a dataset, or make phantoms."""

from __future__ import annotations

import argparse

from .prepare_images import add_images
from .prepare_phantoms import add_phantoms
from .prepare_spine import add_spine
from .prepare_volumes import add_volumes

HELP = "write the datalist of a dataset: its cases, test set and folds"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add one command per dataset."""
    names = parser.add_subparsers(dest="dataset", required=True, metavar="NAME")
    add_volumes(names)
    add_phantoms(names)
    add_spine(names)
    add_images(names)


def run(args: argparse.Namespace) -> None:
    """Run the command of the dataset."""
    args.prepare(args)
