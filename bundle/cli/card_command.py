"""``card``: write the model cards."""

from __future__ import annotations

import argparse

HELP = "write models/README.md from the metadata of the tasks"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command: none."""


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from bundle.export.model_card import write_model_card

    write_model_card()
